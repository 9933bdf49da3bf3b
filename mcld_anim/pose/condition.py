"""The Pose Guider's condition for one frame's IUV, and the warped source: the source's colours rendered by that IUV."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from mcld_anim.body.texels import texel_index
from mcld_anim.core.arrays import PART_COUNT, Atlas, AtlasMask, Iuv, Picture
from mcld_anim.core.chosen_pixels import ChosenPixels
from mcld_anim.options.model import PoseGuiderOptions

IuvTensor = UInt8[Tensor, "frames height width 3"]
Validity = Float[np.ndarray, "height width"]
"""1 where a warped source's colour is visible in the source photo, 0 where it is filled in."""


def pose_image(iuv: Iuv, size: tuple[int, int] | None = None) -> Float[Tensor, "3 height width"]:
    """The published condition: float32 (3, H, W) = (V, U, I) / 255 in 0..1.

    It is resized to `size` (height, width) as in the published code, by Pillow's bicubic filter on the bytes. That
    interpolates part labels too, and the published weights were trained on such pictures.
    """
    vui = np.ascontiguousarray(iuv[..., ::-1])
    if size is not None and size != vui.shape[:2]:
        vui = np.asarray(Image.fromarray(vui).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return torch.from_numpy(np.array(vui)).permute(2, 0, 1).float() / 255


def part_planes(iuv: IuvTensor) -> Float[Tensor, "frames 27 height width"]:
    """float32 (F, 27, H, W): 24 parts one-hot, foreground 0 or 1, then U and V in -1..1 inside the person, 0 outside;
    from uint8 (F, H, W, 3), on its device."""
    channels = iuv.permute(0, 3, 1, 2)
    part = channels[:, :1]
    planes = torch.zeros((len(iuv), PART_COUNT + 1, *part.shape[2:]), device=iuv.device)
    planes.scatter_(1, part.long(), 1.0)
    foreground = (part > 0).float()
    coordinates = channels[:, 1:].float() / 127.5 - 1
    return torch.cat([planes[:, 1:], foreground, coordinates * foreground], 1)


def network_condition(iuv: IuvTensor, options: PoseGuiderOptions) -> Float[Tensor, "frames channels height width"]:
    """The condition planes for a Pose Guider with these options, float32 (F, K, H, W), on the device of the IUV. Send
    the IUV to the device rather than the planes: it is 36 times smaller for "parts"."""
    return part_planes(iuv) if options.condition == "parts" else iuv.flip(-1).permute(0, 3, 1, 2).float() / 255


def uv_warp(atlas: Atlas, valid: AtlasMask, iuv: Iuv) -> tuple[Picture, Validity]:
    """The atlas rendered by `iuv`: uint8 (H, W, 3) RGB, 0 outside the person, and its validity float32 (H, W)."""
    person, texels = ChosenPixels(iuv[..., 0] > 0), texel_index(iuv)
    validity = valid.ravel().take(texels).astype(np.float32)
    return person.planes(atlas.reshape(-1, 3).take(texels, 0)), person.planes(validity)


def warped_source(atlas: Atlas, valid: AtlasMask, iuv: Iuv, background: Picture) -> tuple[Picture, Validity]:
    """The person of `atlas` in the pose of `iuv` in front of `background`, all of one size (H, W).

    `atlas` and `valid` come from `source.fill.complete_atlas`, once per source; `valid` marks the texels that the photo
    shows. Validity is 1 outside the person too.
    """
    picture, validity = uv_warp(atlas, valid, iuv)
    outside = iuv[..., 0] == 0
    picture[outside] = background[outside]
    validity[outside] = 1.0
    return picture, validity
