"""FVD, the Frechet distance between windows of videos (Unterthiner et al. 2018, arXiv 1812.01717).

The network is I3D as TorchScript, exported for StyleGAN-V and used by most code since; its 400 logits are the features.
Two videos give few windows, fewer than features: such an FVD orders methods that were measured on the same windows, and
is not to be compared with one over a data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from mcld_anim.core.arrays import AnySizePicture
from mcld_anim.core.errors import WeightsError, reason_of
from mcld_anim.metrics.judges import judge_file
from mcld_anim.weights.published import I3D

WINDOW = 16
"""Frames of a window, as in the paper's short videos."""
STRIDE = 4
"""Frames from the beginning of a window to that of the next."""
SIDE = 224
"""Height and width of I3D's frames, pixels."""
FEATURES = 400

VideoFeatures = Callable[[Float[Tensor, "n 3 frames H W"]], Float[Tensor, "n features"]]
"""Features of windows with values in -1..1."""


def load_i3d(device: torch.device | str = "cpu") -> VideoFeatures:
    """The pulled network; WeightsError says how to get it."""
    path = judge_file(I3D, "i3d.torchscript")
    try:
        module = torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        message = f"{path} is no TorchScript module ({reason_of(error)}): run `mcld-anim models remove {I3D}` and pull"
        raise WeightsError(message) from error
    return lambda windows: module(windows.to(device), rescale=False, resize=False, return_features=True)


def windows_of(frames: Iterable[AnySizePicture]) -> Iterator[Float[Tensor, "1 3 16 224 224"]]:
    """Windows of a video in -1..1, its frames squashed to squares bilinearly; one at a time."""
    held: list[Tensor] = []
    for frame in frames:
        pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float() / 127.5 - 1
        held.append(interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False)[0])
        if len(held) == WINDOW:
            yield torch.stack(held, 1)[None]
            del held[:STRIDE]


@torch.no_grad()
def video_features(network: VideoFeatures, windows: Iterable[Tensor]) -> Float[np.ndarray, "windows features"]:
    """Features of a video's windows."""
    found: Sequence[Tensor] = [network(window).double().cpu() for window in windows]
    return torch.cat(list(found)).numpy() if found else np.zeros((0, FEATURES))
