"""DensePose by a TorchScript export of detectron2's networks, without detectron2 and torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.core.errors import WeightsError
from mcld_anim.core.home import expanded
from mcld_anim.pose.assemble import assemble_people
from mcld_anim.pose.backends import PoseEstimate
from mcld_anim.pose.region_operators import provide_operators
from mcld_anim.weights.store import first_pulled, model_folder

CERTAINTY = 1.0
"""Score of every detection, as the module returns none; its threshold was fixed at export."""
OUTPUTS = 5
"""Number of outputs: boxes (N, 4), coarse (N, 2, 112, 112), fine, u and v (N, 25, 112, 112)."""

_PULL = "run `mcld-anim models pull densepose-torchscript-r101`"


class TorchScriptBackend:
    """IUV of all people in a picture, by the exported module."""

    name = "torchscript"

    def __init__(self, module: Any, device: torch.device, channels: str = "BGR") -> None:
        self._module, self._device, self._channels = module, device, channels

    @torch.no_grad()
    def estimate(self, pictures: Sequence[AnySizePicture]) -> list[list[PoseEstimate]]:
        """All people in each picture (H, W, 3) uint8 RGB; the module takes one picture at a time."""
        return [self._estimate(picture) for picture in pictures]

    def _estimate(self, picture: Picture) -> list[PoseEstimate]:
        ordered = picture[..., ::-1] if self._channels == "BGR" else picture
        image = torch.from_numpy(np.ascontiguousarray(ordered.transpose(2, 0, 1))).to(self._device)
        found = self._module(image)
        if not isinstance(found, (tuple, list)) or len(found) != OUTPUTS:
            raise WeightsError(f"the TorchScript module does not return boxes and four maps: {_PULL}")
        boxes, *maps = found
        coarse, fine, u, v = maps
        scores = [CERTAINTY] * len(boxes)
        return assemble_people(boxes, coarse, fine, u, v, scores, (picture.shape[0], picture.shape[1]))


def load_torchscript_backend(weights: Path | None = None, device: torch.device | str = "cpu") -> TorchScriptBackend:
    """The pulled module, or one from a given file, in float32 (exports are in half precision)."""
    model = first_pulled("torchscript")
    if weights is None:
        if model is None:
            raise WeightsError(f"no TorchScript DensePose is installed: {_PULL}")
        weights = model_folder(model.name) / f"{model.files[0].part}.torchscript"
    path = expanded(weights)
    if not path.is_file():
        raise WeightsError(f"the TorchScript DensePose {path} is missing: {_PULL}")
    provide_operators()
    device = torch.device(device)
    if device.type not in ("cuda", "cpu"):
        device = torch.device("cpu")
    try:
        module = torch.jit.load(str(path), map_location=device).eval().float()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"{path} is no TorchScript module ({reason}): {_PULL}") from error
    return TorchScriptBackend(module, device, model.channels if model is not None else "BGR")
