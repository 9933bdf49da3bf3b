"""A full-size rehearsal: random weights in the published layout, pulled, loaded strictly and run once on the CPU."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.device import cpu_multiplies_bfloat16, peak_memory_bytes
from mcld_anim.core.errors import NotFiniteError, UsageError
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.build import build_mcld
from mcld_anim.model.choose import ChosenModel
from mcld_anim.model.keys import PUBLISHED_NETWORKS
from mcld_anim.model.load import load_mcld
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.setup.convert import BYTES_PER_NUMBER, GENERIC_NAMES, check_saved_dtype
from mcld_anim.setup.pull import PullOptions, pull
from mcld_anim.weights.published import BYTES_PER_PARAMETER, PublishedModel, published_model
from mcld_anim.weights.store import check_free_space, models_folder

MEMORY_LIMITS: Mapping[str, float] = {"float32": 20e9, "bfloat16": 11e9}
"""Main memory in bytes within which the published model must run on a CPU, by dtype."""

Layout = Mapping[str, Mapping[str, tuple[int, ...]]]
"""Published part -> key -> shape."""


@dataclass(frozen=True)
class ParameterCount:
    """Parameter counts of one published file."""

    part: str
    written: int  # in the file
    loaded: int  # of these, in our network; the others are never read
    expected: int | None  # in the table of published weights; None: not compared

    @property
    def matches(self) -> bool:
        """Whether the file has as many parameters as the table says."""
        return self.expected in (None, self.written)


@dataclass
class Rehearsal:
    """The result of a rehearsal."""

    name: str
    dtype: str
    counts: list[ParameterCount] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    finite: bool = False  # whether all reference features are finite and the picture is not uniform

    @property
    def limit_bytes(self) -> float | None:
        """The memory limit for this dtype; None if it has none."""
        return MEMORY_LIMITS.get(self.dtype)

    @property
    def passed(self) -> bool:
        """Whether the numbers are finite, memory stays within its limit and all counts match."""
        within = self.limit_bytes is None or self.peak_bytes <= self.limit_bytes
        return self.finite and within and all(count.matches for count in self.counts)


def rehearse(
    name: str,
    dtype: str = "auto",
    options: ModelOptions | None = None,
    on_stage: Callable[[str], None] = lambda text: None,
) -> Rehearsal:
    """Write a published model with random weights, pull it from there, load it, and make one picture in one step.

    dtype: float32, float16 or bfloat16; "auto" is the faster of float32 and bfloat16 on this CPU.
    options: another architecture in place of the model's own.
    """
    if dtype == "auto":
        dtype = "bfloat16" if cpu_multiplies_bfloat16() else "float32"
    saved = check_saved_dtype(dtype)
    model = published_model(name)
    if model.use != "model":
        raise UsageError(f"--random {name} has no networks of this program: give the name of a diffusion model")
    architecture = options or load_model_options(model.configuration)
    layout, loaded = published_layout(architecture), loaded_counts(architecture)
    result = Rehearsal(name, saved)
    for part, shapes in layout.items():
        written = sum(int(np.prod(shape)) for key, shape in shapes.items() if not key.endswith("position_ids"))
        expected = model.file(part).parameters if options is None else None
        result.counts.append(ParameterCount(part, written, loaded[part], expected))
    total = sum(count.written for count in result.counts)
    needed = total * (BYTES_PER_PARAMETER + BYTES_PER_NUMBER[saved])
    check_free_space(models_folder(), needed, f"the rehearsal of {name}")
    models_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=models_folder()) as work:
        source, folder = Path(work) / "published", Path(work) / name
        with _timed(result, "write the published files", on_stage):
            write_published(layout, model, source)
        with _timed(result, "pull and convert", on_stage):
            pull(PullOptions(name, saved, source, True, architecture, folder), confirm=lambda text: True)
        run_once(ChosenModel(name, architecture, folder, "insightface"), result, on_stage)
    result.peak_bytes = peak_memory_bytes(torch.device("cpu"))["main"]
    return result


def published_layout(options: ModelOptions) -> Layout:
    """Keys and shapes of every published part, including keys that are never read and older key names."""
    with torch.device("meta"):
        mcld = build_mcld(options)
    layout = {
        part: {key: tuple(value.shape) for key, value in mcld.get_submodule(network).state_dict().items()}
        for part, network in PUBLISHED_NETWORKS.items()
    }
    left_out = ("conv_norm_out.", "conv_out.")
    layout["reference_unet"] = {
        key: shape
        for key, shape in layout["denoising_unet"].items()
        if not key.startswith(left_out) and ".processor." not in key
    }
    renames = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in renames.items():
        layout["vae"] = {
            key.replace(f".attentions.0.{new}.", f".attentions.0.{old}."): s for key, s in layout["vae"].items()
        }
    patches = (options.image_encoder.image_size // options.image_encoder.patch_size) ** 2
    layout["image_encoder"]["vision_model.embeddings.position_ids"] = (1, patches + 1)
    return layout


def loaded_counts(options: ModelOptions) -> dict[str, int]:
    """Parameter counts of our networks, by published part."""
    with torch.device("meta"):
        mcld = build_mcld(options)
    return {
        part: sum(value.numel() for value in mcld.get_submodule(network).parameters())
        for part, network in PUBLISHED_NETWORKS.items()
    }


def write_published(layout: Layout, model: PublishedModel, folder: Path, seed: int = 0) -> None:
    """Write random weights under the published file names; one network is in memory at a time."""
    for part, shapes in layout.items():
        # The last name: the projector's file is then named as in the published README, not as in its code.
        name = model.file(part).origin.names[-1]
        path = folder / part / name if name.startswith(GENERIC_NAMES) else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        state = {key: random_tensor(key, shape, generator) for key, shape in shapes.items()}
        if path.suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save(state, path)


def random_tensor(key: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random weights that preserve the scale of activations, so that the output is finite."""
    if key.endswith("position_ids"):
        return torch.arange(shape[1])[None]
    if len(shape) < 2:
        return torch.ones(shape) if key.endswith("weight") else torch.zeros(shape)
    return torch.randn(shape, generator=generator) / float(np.prod(shape[1:])) ** 0.5


@torch.inference_mode()
def run_once(chosen: ChosenModel, result: Rehearsal, on_stage: Callable[[str], None]) -> None:
    """Load strictly, encode a source (VAE, CLIP, ReferenceNet) and make one frame in one guided step."""
    with _timed(result, "load", on_stage):
        mcld = load_mcld(chosen, torch.device("cpu"), getattr(torch, result.dtype))
    picture, iuv = block_person(chosen.options.frame_size)
    with _timed(result, "encode the source (CLIP, VAE, ReferenceNet)", on_stage):
        source = encode_source(picture, iuv, mcld)
    settings = SamplingSettings(steps=1, guidance=chosen.options.sampling.guidance, seed=0, noise="shared", blend=0.0)
    maker = FrameMaker(mcld, source, settings)
    with _timed(result, "one guided step and the VAE's decoder", on_stage):
        try:
            (made,) = maker.make([ClipFrame(0, FramePose(iuv))])
        except NotFiniteError:
            return
    finite = all(bool(value.isfinite().all()) for value in source.reference.values())
    result.finite = finite and len(np.unique(made)) > 1


def block_person(size: tuple[int, int]) -> tuple[Picture, Iuv]:
    """A noise picture and an IUV of two blocks, a head and a torso; every network then has an input."""
    height, width = size
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    iuv = np.zeros((height, width, 3), np.uint8)
    for part, top, bottom in ((23, 0.1, 0.3), (2, 0.3, 0.9)):
        rows = slice(int(top * height), int(bottom * height))
        columns = slice(width // 4, width - width // 4)
        v, u = np.mgrid[0 : rows.stop - rows.start, 0 : columns.stop - columns.start]
        iuv[rows, columns] = np.stack([np.full_like(u, part), u * 255 // u.max(), v * 255 // v.max()], -1)
    return picture, iuv


@contextmanager
def _timed(result: Rehearsal, stage: str, on_stage: Callable[[str], None]) -> Iterator[None]:
    on_stage(stage)
    began = time.perf_counter()
    yield
    result.seconds[stage] = time.perf_counter() - began
