"""The sampling loop never makes the CPU wait for an accelerator: it copies nothing there and reads nothing back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mcld_anim.body.clip import FramePose, clip_frames
from mcld_anim.model.footprint import meta_appearance, meta_model
from mcld_anim.options.model import ModelOptions
from mcld_anim.pose.precomputed import resize_iuv
from mcld_anim.sampling.denoise import denoise
from mcld_anim.sampling.neighbour_blending import NeighbourBlending
from mcld_anim.sampling.schedule import make_sampler
from mcld_anim.sampling.surface_blending import SurfaceBlending
from mcld_anim.synthetic.person import Rendering

META = torch.device("meta")


class Crossings(TorchDispatchMode):
    """Lists what takes tensors of the CPU to the accelerator, which the meta device stands for. A single number as an
    operand does not count: it goes with the kernel. Reading from the meta device is an error of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = [leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf.device for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        copies = function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        if copies and META in made and torch.device("cpu") in given:
            self.found.append(str(function))
        return result


class Numbers(TorchFunctionMode):
    """Adds Python numbers that become tensors of the accelerator, which are copied there too."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") == META:
            self.found.append(function.__name__)
        return function(*args, **kwargs)


def crossings(small_options: ModelOptions, dance: list[Rendering], sampler: str, kind: str) -> list[str]:
    """Of a whole loop with guidance and blending."""
    mcld, size = meta_model(small_options), small_options.latent_size
    appearance, noise = meta_appearance(mcld), torch.ones(3, 4, *size, device=META)
    frames = list(clip_frames(FramePose(resize_iuv(one.iuv, (64, 64))) for one in dance[:3]))
    like = torch.empty(0, device=META)
    blending = SurfaceBlending(0.5, 3, size, like) if kind == "surface" else NeighbourBlending(0.5, size, like)
    pose, stepwise = torch.ones(3, 8, *size, device=META), blending.batch(frames)

    def predict(latents: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        return mcld.denoiser(latents, timestep, pose, appearance, guided=True)

    with torch.no_grad(), Crossings() as seen, Numbers(seen.found):
        denoise(predict, noise, make_sampler(small_options.schedule, sampler), 3, 2.0, stepwise)
    return seen.found


@pytest.mark.parametrize("kind", ["surface", "neighbour"])
@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_nothing_crosses_in_the_loop(
    small_options: ModelOptions, dance: list[Rendering], sampler: str, kind: str
) -> None:
    assert crossings(small_options, dance, sampler, kind) == []


def test_a_copy_would_be_seen() -> None:
    with Crossings() as seen, Numbers(seen.found):
        torch.as_tensor(5, device=META)
        torch.from_numpy(np.ones(3)).to(META)
        _ = torch.ones(2, device=META) * torch.tensor(2.0)
    assert seen.found == ["as_tensor", "aten._to_copy.default"]
