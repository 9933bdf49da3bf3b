"""The architecture of an MCLD model, as read from `configs/model/*.yaml`.

Sizes are (height, width). The defaults are those of the published SD1.5-size model; sources: the published
configuration files and the Stable Diffusion 1.5 model card.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mcld_anim.options.load import load_yaml

Condition = Literal["image", "texture", "face"]
Aggregation = Literal["mfca", "concat"]
TextureFill = Literal["telea", "nearest"]

LATENT_STRIDE = 8
"""Pixels per latent cell, in each direction, of every autoencoder here."""


@dataclass(frozen=True)
class VaeOptions:
    """AutoencoderKL, behind a pixel-unshuffle of `patch_size` (1 = none, the published VAE)."""

    patch_size: Literal[1, 2, 4] = 1
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    mid_attention: bool = True
    linear_shortcut: bool = False
    """A linear code of 8x8 patches in parallel with the networks, which then only learn its residual."""
    scaling_factor: float = 0.18215
    """Latents are (posterior - shift) * scaling_factor, with a standard deviation of about 1."""
    shift: float = 0.0

    def __post_init__(self) -> None:
        stride = self.patch_size * 2 ** (len(self.block_out_channels) - 1)
        if stride != LATENT_STRIDE:
            levels = len(self.block_out_channels)
            raise ValueError(
                f"patch_size {self.patch_size} with {levels} block_out_channels reduces pictures {stride} "
                f"times, expected {LATENT_STRIDE}"
            )


@dataclass(frozen=True)
class UNetOptions:
    """The UNet of the denoiser; the ReferenceNet is the same without face keys and output layers."""

    in_channels: int = 4
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[str, ...] = (
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
    )
    up_block_types: tuple[str, ...] = (
        "UpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
    )
    layers_per_block: int = 2
    heads: int | tuple[int, ...] = 8
    """Attention heads: one number for all levels or one per level (SD1.5's `attention_head_dim: 8`)."""
    cross_attention_dim: int = 768
    norm_num_groups: int = 32

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        for name, kinds in (
            ("down_block_types", self.down_block_types),
            ("up_block_types", self.up_block_types),
        ):
            if len(kinds) != levels:
                raise ValueError(f"{name} has {len(kinds)} entries, expected {levels} as in block_out_channels")
        if isinstance(self.heads, tuple) and len(self.heads) != levels:
            raise ValueError(f"heads has {len(self.heads)} entries, expected {levels} or one number")
        for width in self.block_out_channels:
            if width % self.norm_num_groups:
                raise ValueError(f"width {width} is not a multiple of norm_num_groups {self.norm_num_groups}")


@dataclass(frozen=True)
class PoseGuiderOptions:
    """The pose encoder; three stride-2 convolutions take the picture to latent resolution."""

    condition: Literal["vui", "parts"] = "vui"
    """"vui": the 3 planes (V, U, I) / 255; "parts": 24 one-hot parts, foreground, U, V."""
    block_out_channels: tuple[int, int, int, int] = (16, 32, 96, 256)
    warped_source: Literal["none", "uv_warp"] = "none"
    """"uv_warp": another input is the latents of the source atlas rendered by the target's IUV, with its validity."""

    @property
    def condition_channels(self) -> int:
        """Channels of the pose condition (B, K, H, W)."""
        return {"vui": 3, "parts": 27}[self.condition]


@dataclass(frozen=True)
class DetailOptions:
    """The detail decoder, a U-Net on blocks of 2x2 pixels, see `model.detail`."""

    widths: tuple[int, ...] = (32, 48, 64)
    """Channels of its levels, each at half the resolution of the one before."""
    blocks: int = 1
    """Residual blocks per level, on the way down and on the way up."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= 3:
            raise ValueError(f"widths has {len(self.widths)} levels, expected 1 to 3: frames are multiples of 8 pixels")


@dataclass(frozen=True)
class ImageEncoderOptions:
    """The CLIP vision transformer; its projection has the width of the UNet's cross attention."""

    image_size: int = 224
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    projection_dim: int = 768
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    image_mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    """RGB mean and deviation of CLIP's training pictures in 0..1 (OpenAI's CLIP preprocessing)."""
    image_std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class FaceTokenOptions:
    """The Resampler from a face embedding to face tokens, and the weight of their attention branch."""

    embedding_dim: int = 512
    num_tokens: int = 16
    scale: float = 0.5
    """Weight of the face branch, added before the attention's output projection."""
    dim: int = 1280
    depth: int = 4
    dim_head: int = 64
    heads: int = 20
    ff_mult: int = 4


@dataclass(frozen=True)
class ScheduleOptions:
    """Noise schedule; betas rescaled to zero terminal SNR (Lin et al. 2024, algorithm 1), trailing steps."""

    beta_schedule: Literal["linear", "scaled_linear"] = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    zero_terminal_snr: bool = True
    spacing: Literal["trailing", "leading", "linspace"] = "trailing"
    steps_offset: int = 1
    """Only "leading" uses it; kept because the published configuration names it."""


@dataclass(frozen=True)
class SamplingDefaults:
    """The model's defaults for runs."""

    steps: int = 20
    guidance: float = 3.5
    """Classifier-free guidance scale; 1 = no unconditional pass."""


@dataclass(frozen=True)
class ModelOptions:
    """The architecture of one model."""

    name: str = "mcld_sd15"
    frame_size: tuple[int, int] = (512, 512)
    """Height and width of the networks' frames; both multiples of 8."""
    texture_size: tuple[int, int] = (512, 512)
    """Height and width of the UV texture at the autoencoder's input."""
    texture_fill: TextureFill = "telea"
    """Filling of texels near seen ones: "telea" inpaints as published, "nearest" copies the nearest."""
    vae: VaeOptions = field(default_factory=VaeOptions)
    unet: UNetOptions = field(default_factory=UNetOptions)
    pose_guider: PoseGuiderOptions = field(default_factory=PoseGuiderOptions)
    detail: DetailOptions | None = None
    """The detail decoder after the autoencoder; needs `pose_guider.warped_source`. The published model has none."""
    photo_pixels: bool = False
    """Whether frames in the source's photo are its own pixels, moved and lit (`source.photo_warp`), without a network:
    what small networks make of them is worse."""
    image_encoder: ImageEncoderOptions = field(default_factory=ImageEncoderOptions)
    face: FaceTokenOptions = field(default_factory=FaceTokenOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    """The schedule of sampling."""
    training_schedule: ScheduleOptions | None = None
    """The schedule of training if it differs, as the published model's does; None: `schedule`."""
    conditions: tuple[Condition, ...] = ("image", "texture", "face")
    """The tokens of the denoiser's cross attention."""
    aggregation: Aggregation = "mfca"
    """"mfca": image tokens in down blocks, texture tokens in up blocks, both in the middle; "concat": both in all."""
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)

    def __post_init__(self) -> None:
        for name, size in (("frame_size", self.frame_size), ("texture_size", self.texture_size)):
            if any(side <= 0 or side % LATENT_STRIDE for side in size):
                raise ValueError(f"{name} is {size}, expected positive multiples of {LATENT_STRIDE}")
        if not self.unet.in_channels == self.unet.out_channels == self.vae.latent_channels:
            raise ValueError(
                f"unet channels ({self.unet.in_channels} in, {self.unet.out_channels} out) must equal "
                f"vae.latent_channels ({self.vae.latent_channels})"
            )
        if self.image_encoder.projection_dim != self.unet.cross_attention_dim:
            raise ValueError(
                f"image_encoder.projection_dim ({self.image_encoder.projection_dim}) must equal "
                f"unet.cross_attention_dim ({self.unet.cross_attention_dim})"
            )
        if self.detail is not None and self.pose_guider.warped_source == "none":
            raise ValueError("detail needs a warped source: set pose_guider.warped_source to uv_warp, or omit detail")
        if len(set(self.conditions)) != len(self.conditions):
            raise ValueError(f"conditions has duplicates: {', '.join(self.conditions)}")

    @property
    def latent_size(self) -> tuple[int, int]:
        """Height and width of a frame's latents."""
        return self.frame_size[0] // LATENT_STRIDE, self.frame_size[1] // LATENT_STRIDE


def load_model_options(path_or_name: str | Path) -> ModelOptions:
    """Read a model configuration by bundled name ("tiny", "mcld_sd15") or by path."""
    return load_yaml(ModelOptions, path_or_name, folder="model")
