"""DensePose by detectron2 (R_101 or R_50_FPN_DL_s1x), the published estimator; the only file that imports it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.core.home import expanded
from mcld_anim.pose.assemble import assemble_people
from mcld_anim.pose.backends import PoseEstimate
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.store import first_pulled, model_folder
from mcld_anim.weights.strict import load_strictly

_PULL = "run `mcld-anim models pull densepose-r101`"

LEAST_SCORE = 0.5
"""Least score of a detection that counts as a person; the network returns scores from 0.05."""

# The settings of the published DensePose configuration, whose YAML files are not in the package.
SETTINGS: Mapping[str, Any] = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
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
_SHORTEST_SIDE, _LONGEST_SIDE = 800, 1333  # pixels, as in the network's training and tests

# Buffers that older versions of detectron2 store and newer ones compute.
_COMPUTED_KEYS = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.")

_INSTALL = (
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2' and then "
    "pip install --no-build-isolation --no-deps "
    "'git+https://github.com/facebookresearch/detectron2#subdirectory=projects/DensePose'"
)


class Detectron2Backend:
    """IUV of all people in a picture, by detectron2."""

    name = "detectron2"

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device

    @torch.no_grad()
    def estimate(self, pictures: Sequence[AnySizePicture]) -> list[list[PoseEstimate]]:
        """All people in each picture (H, W, 3) uint8 RGB; pictures of one size share a batch.

        The network would pad pictures of different sizes to the largest, which changes its input.
        """
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, picture in enumerate(pictures):
            by_size.setdefault(picture.shape, []).append(index)
        estimates: dict[int, list[PoseEstimate]] = {}
        for indices in by_size.values():
            found = self._network([network_input(pictures[index], self._device) for index in indices])
            for index, one in zip(indices, found, strict=True):
                estimates[index] = read_instances(one["instances"], pictures[index])
        return [estimates[index] for index in range(len(pictures))]


def read_instances(found: Any, picture: Picture) -> list[PoseEstimate]:
    """The detections with a sufficient score; where they overlap, each keeps its own pixels."""
    kept = [index for index in range(len(found)) if float(found.scores[index]) >= LEAST_SCORE]
    if not kept:
        return []
    chart = found.pred_densepose
    maps = (chart.coarse_segm[kept], chart.fine_segm[kept], chart.u[kept], chart.v[kept])
    scores = [float(found.scores[index]) for index in kept]
    return assemble_people(found.pred_boxes.tensor[kept], *maps, scores, (picture.shape[0], picture.shape[1]))


def network_input(picture: Picture, device: torch.device) -> dict[str, Any]:
    """The network's input: float32 (3, h, w) BGR in 0..255, with a shortest side of 800 pixels.

    "height" and "width" are the picture's own, so detections come back in its pixels.
    """
    from detectron2.data.transforms import ResizeShortestEdge

    bgr = np.ascontiguousarray(picture[..., ::-1])
    scaled = ResizeShortestEdge([_SHORTEST_SIDE] * 2, _LONGEST_SIDE).get_transform(bgr).apply_image(bgr)
    image = torch.from_numpy(scaled.astype(np.float32).transpose(2, 0, 1)).to(device)
    return {"image": image, "height": picture.shape[0], "width": picture.shape[1]}


def load_detectron2_backend(weights: Path | None = None, device: torch.device | str = "cpu") -> Detectron2Backend:
    """The published network, R_101 or R_50 according to its weights, from `models pull` or a given file."""
    check_packages()
    path = expanded(weights) if weights is not None else pulled_weights()
    if not path.is_file():
        raise WeightsError(f"DensePose weights {path} are missing: {_PULL}")
    tensors = read_tensors(path)
    from densepose import add_densepose_config
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    device = torch.device(device)
    if device.type not in ("cuda", "cpu"):  # its operators exist only for these two
        device = torch.device("cpu")
    settings = {**SETTINGS, "MODEL.RESNETS.DEPTH": resnet_depth(tensors), "MODEL.DEVICE": str(device)}
    configuration = get_cfg()
    add_densepose_config(configuration)
    configuration.merge_from_list([item for pair in settings.items() for item in pair])
    network = build_model(configuration).eval()
    load_weights(network, tensors, path)
    return Detectron2Backend(network, device)


def pulled_weights() -> Path:
    """The best of the pulled files. Raises WeightsError if there is none."""
    model = first_pulled("densepose")
    if model is None:
        raise WeightsError(f"no DensePose weights are installed: {_PULL}")
    return model_folder(model.name) / f"{model.files[0].part}.safetensors"


def resnet_depth(tensors: Mapping[str, Tensor]) -> int:
    """101 if the fourth stage has 23 blocks, 50 if it has 6."""
    return 101 if any(name.startswith("backbone.bottom_up.res4.22.") for name in tensors) else 50


def check_packages() -> None:
    """Raise MissingDependencyError without detectron2 and its DensePose project."""
    for package in ("detectron2", "densepose"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"--densepose detectron2 needs the package {package}: {_INSTALL}")


def load_weights(network: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load the weights strictly, except for buffers that newer versions compute."""
    used = {name: value for name, value in tensors.items() if not name.startswith(_COMPUTED_KEYS)}
    computed = {name: value for name, value in network.state_dict().items() if name.startswith(_COMPUTED_KEYS)}
    load_strictly(
        network, {**computed, **used}, str(path), remedy=f"it must be R_101_FPN_DL_s1x or R_50_FPN_DL_s1x: {_PULL}"
    )
