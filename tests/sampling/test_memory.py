"""`--memory`: what is chosen fits, is the most that fits, and is told; the frames stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mcld_anim import Animator, Event
from mcld_anim.core.errors import UsageError
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.model import load_model_options
from mcld_anim.options.run import RunOptions
from mcld_anim.sampling.memory import RESERVE, plan_memory
from mcld_anim.sampling.settings import SamplingSettings

GB = 10**9
PUBLISHED = load_model_options("mcld_sd15")
GUIDED, UNGUIDED = (
    SamplingSettings(steps=20, guidance=guidance, seed=0, noise="shared", blend=0.5) for guidance in (3.5, 1.0)
)


@pytest.mark.parametrize(
    ("budget", "batch_size", "decoded", "tiled", "offload"),
    [
        (80 * GB, 8, 8, False, False),
        (8 * GB, 8, 6, False, False),
        (5.9 * GB, 4, 1, False, False),
        (5.6 * GB, 2, 2, True, False),
        (4 * GB, 8, 7, False, True),
        (2.8 * GB, 1, 1, False, True),
    ],
)
def test_the_published_model_on_gpus(budget: float, batch_size: int, decoded: int, tiled: bool, offload: bool) -> None:
    plan = plan_memory(int(budget), PUBLISHED, torch.bfloat16, GUIDED, 8, ways=(False, True))
    assert plan.bytes <= budget
    assert (plan.batch_size, plan.decoded, plan.vae_tiling, plan.offload) == (batch_size, decoded, tiled, offload)


def test_too_little_says_what_is_needed() -> None:
    with pytest.raises(UsageError, match=r"--memory 4GB is too little: a single frame takes 5\.\d GB in bfloat16"):
        plan_memory(4 * GB, PUBLISHED, torch.bfloat16, GUIDED, 4)
    with pytest.raises(UsageError, match=r"--memory 2GB is too little: a single frame takes 2\.\d GB .* are 1\.8"):
        plan_memory(2 * GB, PUBLISHED, torch.bfloat16, GUIDED, 4, ways=(False, True))
    with pytest.raises(UsageError, match="or --dtype bfloat16"):
        plan_memory(8 * GB, PUBLISHED, torch.float32, GUIDED, 4)


@pytest.mark.parametrize(("given", "expected"), [("8GB", 8 * GB), ("512 MiB", 2**29), ("1.5GB", 3 * GB // 2)])
def test_sizes(given: str, expected: int) -> None:
    assert RunOptions(source=Path("a"), driving=Path("b"), memory=given).memory_bytes == expected


@pytest.mark.parametrize("given", ["8", "GB", "8TB", "-1GB", "1e9GB"])
def test_what_is_no_size(given: str) -> None:
    with pytest.raises(UsageError, match=r"--memory .* is no size"):
        RunOptions(source=Path("a"), driving=Path("b"), memory=given)


def test_a_run_within_little_memory_makes_the_same_frames(
    media: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    monkeypatch.chdir(tmp_path)
    given = {"steps": 1, "guidance": 1.0, "densepose": "tiny", "max_frames": 5}
    clip = media / "person.png", media / "dance.mp4"
    least = plan_memory(80 * GB, small_models.options, torch.float32, UNGUIDED, 1).bytes
    told: list[Event] = []
    with Animator.load("tiny") as animator:
        usual = [frame.picture for frame in animator.frames(*clip, **given)]
        frugal = list(animator.frames(*clip, memory=f"{least / 1e6:.3f}MB", on_event=told.append, **given))
    assert least > RESERVE
    assert [event.message.partition(" take")[0] for event in told if event.kind == "memory_plan"] == [
        f"--memory {least / 1e6:.3f}MB: batches of 1, decoded 1 at a time,"
    ]
    for frame, picture in zip(frugal, usual, strict=True):
        assert np.abs(frame.picture.astype(int) - picture).max() <= 1
