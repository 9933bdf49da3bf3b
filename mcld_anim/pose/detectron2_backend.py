"""DensePose by detectron2 (R_101_FPN_DL_s1x), the estimator of the published MCLD. The only file that
imports it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.errors import MissingDependencyError, WeightsError
from mcld_anim.pose.backends import Box, PoseEstimate
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.store import model_folder

WEIGHTS_MODEL = "densepose-r101"
"""Its name in the table of published weights."""
_PULL = f"run `mcld-anim models pull {WEIGHTS_MODEL}`"

LEAST_SCORE = 0.5
"""A detection of a lower score is taken for no person; the network gives scores from 0.05."""

# What the published DensePose configuration sets of detectron2's; its YAML files are not in the package.
_SETTINGS: Mapping[str, Any] = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.DEPTH": 101,
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "MODEL.DENSEPOSE_ON": True,
    "MODEL.ROI_HEADS.NAME": "DensePoseROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.NUM_CLASSES": 1,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_DENSEPOSE_HEAD.NAME": "DensePoseDeepLabHead",
    "MODEL.ROI_DENSEPOSE_HEAD.POOLER_TYPE": "ROIAlign",
}
_SHORTEST_SIDE, _LONGEST_SIDE = 800, 1333  # pixels; what the network was trained and is tested at

# Buffers that older versions of detectron2 stored and newer ones compute.
_COMPUTED_KEYS = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.")

_INSTALL = (
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2' and then "
    "pip install --no-build-isolation --no-deps "
    "'git+https://github.com/facebookresearch/detectron2#subdirectory=projects/DensePose'"
)


class Detectron2Backend:
    """The most certain person of each picture."""

    name = "detectron2"

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device

    @torch.no_grad()
    def estimate(self, pictures: Sequence[Picture]) -> list[PoseEstimate]:
        """One estimate per picture (H, W, 3) uint8 RGB."""
        return [self._estimate(picture) for picture in pictures]

    def _estimate(self, picture: Picture) -> PoseEstimate:
        height, width = picture.shape[:2]
        found = self._network([{**network_input(picture, self._device), "height": height, "width": width}])[0][
            "instances"
        ]
        if not len(found) or float(found.scores[0]) < LEAST_SCORE:
            return PoseEstimate(np.zeros_like(picture), None, 0.0)
        chart = found.pred_densepose
        x0, y0, x1, y1 = (float(value) for value in found.pred_boxes.tensor[0])
        iuv = assemble_iuv(
            (x0, y0, x1, y1),
            chart.coarse_segm[:1],
            chart.fine_segm[:1],
            chart.u[:1],
            chart.v[:1],
            (height, width),
        )
        if not iuv[..., 0].any():
            return PoseEstimate(iuv, None, 0.0)
        return PoseEstimate(iuv, (x0, y0, x1, y1), float(found.scores[0]))


def network_input(picture: Picture, device: torch.device) -> dict[str, Tensor]:
    """The picture as the network takes it: float32 (3, h, w) BGR in 0..255, its shortest side 800 pixels."""
    from detectron2.data.transforms import ResizeShortestEdge

    bgr = np.ascontiguousarray(picture[..., ::-1])
    scaled = ResizeShortestEdge([_SHORTEST_SIDE] * 2, _LONGEST_SIDE).get_transform(bgr).apply_image(bgr)
    return {"image": torch.from_numpy(scaled.astype(np.float32).transpose(2, 0, 1)).to(device)}


def assemble_iuv(
    box: Box,
    coarse: Float[Tensor, "1 2 cells cells"],
    fine: Float[Tensor, "1 25 cells cells"],
    u: Float[Tensor, "1 25 cells cells"],
    v: Float[Tensor, "1 25 cells cells"],
    size: tuple[int, int],
) -> Iuv:
    """Paint one detection's maps into an IUV of `size` (height, width).

    The maps are stretched over the box (its corner and size truncated to whole pixels); a pixel belongs to
    the most likely part where the coarse map says person. U and V are clamped to 0..1 (the published code
    lets them wrap), times 255, truncated. What lies outside the picture is cut off.
    """
    x0, y0 = int(box[0]), int(box[1])
    width, height = max(int(box[2] - box[0]), 1), max(int(box[3] - box[1]), 1)
    coarse, fine, u, v = (
        interpolate(maps.float(), (height, width), mode="bilinear", align_corners=False)[0]
        for maps in (coarse, fine, u, v)
    )
    part = fine.argmax(dim=0) * (coarse.argmax(dim=0) > 0)
    coordinates = torch.cat([maps.gather(0, part[None]) for maps in (u, v)]).clamp(0, 1) * 255 * (part > 0)
    inside = torch.cat([part[None], coordinates.long()]).permute(1, 2, 0).to(torch.uint8).cpu().numpy()
    iuv = np.zeros((*size, 3), np.uint8)
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = min(y0 + height, size[0]), min(x0 + width, size[1])
    if bottom > top and right > left:
        iuv[top:bottom, left:right] = inside[top - y0 : bottom - y0, left - x0 : right - x0]
    return iuv


def load_detectron2_backend(weights: Path | None = None, device: torch.device | str = "cpu") -> Detectron2Backend:
    """The published network with the weights of a `.pkl` file."""
    check_packages()
    path = weights.expanduser() if weights is not None else model_folder(WEIGHTS_MODEL) / "densepose_r101.safetensors"
    if not path.is_file():
        raise WeightsError(f"DensePose weights {path} are missing: {_PULL}")
    from densepose import add_densepose_config
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    configuration = get_cfg()
    add_densepose_config(configuration)
    configuration.merge_from_list([item for pair in _SETTINGS.items() for item in pair])
    configuration.MODEL.DEVICE = str(device)
    network = build_model(configuration).eval()
    load_weights(network, read_tensors(path), path)
    return Detectron2Backend(network, torch.device(device))


def check_packages() -> None:
    """Refuse to go on without detectron2 and its DensePose project."""
    for package in ("detectron2", "densepose"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"--densepose detectron2 needs the package {package}: {_INSTALL}")


def load_weights(network: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill `network` strictly; only buffers that are computed nowadays may be left over."""
    used = {name: value for name, value in tensors.items() if not name.startswith(_COMPUTED_KEYS)}
    result = network.load_state_dict(used, strict=False)
    missing = [name for name in result.missing_keys if not name.startswith(_COMPUTED_KEYS)]
    wrong = [*missing, *result.unexpected_keys]
    if wrong:
        raise WeightsError(f"{path} does not fit R_101_FPN_DL_s1x, first at {wrong[0]}: {_PULL}")
