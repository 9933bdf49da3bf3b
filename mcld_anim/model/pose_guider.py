"""The Pose Guider: encodes the pose condition at picture size to features added after the UNet's conv_in."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from mcld_anim.options.model import PoseGuiderOptions


class PoseGuider(nn.Module):
    """Eight 3x3 convolutions, three of stride 2; the last is zero-initialised, as in ControlNet's hint encoder.

    With a warped source, the output of one more convolution on [its latents (C); its validity (1)] is added.
    """

    def __init__(self, options: PoseGuiderOptions, width: int, latent_channels: int) -> None:
        super().__init__()
        channels = options.block_out_channels
        self.conv_in = nn.Conv2d(options.condition_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(channels):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
        self.conv_out = nn.Conv2d(channels[-1], width, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]
        self.warp_in = (
            nn.Conv2d(latent_channels + 1, width, 3, padding=1) if options.warped_source == "uv_warp" else None
        )

    def forward(
        self,
        condition: Float[Tensor, "batch planes height width"],
        warped_source: Float[Tensor, "batch warp_channels h w"] | None = None,
    ) -> Float[Tensor, "batch c0 h w"]:
        """Pose features (B, C0, h, w) at an eighth of the picture's size.

        condition: (B, K, H, W), see `mcld_anim.pose.condition`.
        warped_source: (B, C + 1, h, w) latents of the warped source and its validity in [0, 1]; required exactly if
        `PoseGuiderOptions.warped_source` is not "none".
        """
        if (warped_source is None) != (self.warp_in is None):
            state = "missing" if warped_source is None else "given"
            raise ValueError(f"warped_source is {state}, but this pose guider was built otherwise")
        states = silu(self.conv_in(condition))
        for block in self.blocks:
            states = silu(block(states))
        features = self.conv_out(states)
        return features if self.warp_in is None else features + self.warp_in(warped_source)
