"""`--compile`: each kind of step is compiled once and before the first frame; a compiler that fails stops nothing.

The compiler itself takes minutes and cannot look through the checks of array types in tests: what it is given is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from mcld_anim import Animator, Event
from mcld_anim.model.attention import DenoiserContext
from mcld_anim.model.feature_reuse import run_layers

GIVEN: dict[str, Any] = {
    "steps": 4,
    "guidance": 2.0,
    "guidance_interval": "0:0.8",
    "reuse_features": 2,
    "densepose": "tiny",
    "max_frames": 3,
    "batch_size": 2,
}
KINDS = 4
"""Full and shallow steps, with guidance and without."""


def test_no_batch_compiles_again_and_the_frames_are_the_same(
    animator: Animator, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the last one, which is smaller."""
    kinds: set[tuple[object, ...]] = set()
    decoded: list[int] = []
    told: list[tuple[str, int, int | None, int]] = []

    def compiler(function: Callable[..., Any], dynamic: bool) -> Callable[..., Any]:
        assert not dynamic

        def compiled(
            unet: object, inputs: Tensor, timesteps: Tensor, context: DenoiserContext, deep: Tensor | None
        ) -> tuple[Tensor, Tensor]:
            assert context.record is None
            kinds.add((inputs.shape, context.appearance.rows, context.unconditional_rows, deep is None))
            return function(unet, inputs, timesteps, context, deep)

        def compiled_decode(latents: Tensor) -> Tensor:
            decoded.append(len(latents))
            return function(latents)

        return compiled if function is run_layers else compiled_decode

    monkeypatch.setattr("mcld_anim.model.compiled.torch.compile", compiler)
    clip = media / "person.png", media / "dance.mp4"
    usual = list(animator.frames(*clip, **GIVEN))
    assert not kinds

    def note(stage: str, done: int, total: int | None) -> None:
        told.append((stage, done, total, len(kinds)))

    made = list(animator.frames(*clip, **GIVEN, compile=True, progress=note))
    for frame, plain in zip(made, usual, strict=True):
        assert np.abs(frame.picture.astype(int) - plain.picture).max() <= 1
    compiling = [step for step in told if step[0] == "compiling"]
    assert compiling == [("compiling", done, KINDS, done) for done in (0, 2, 4)]
    assert len(kinds) == KINDS
    assert decoded == [2, 2, 2]  # while it compiles, and two batches
    after = told[told.index(compiling[-1]) :]
    assert [done for stage, done, _, _ in after if stage == "frames"] == [2, 3]


def test_a_compiler_that_fails_is_told_once_and_the_run_goes_on(
    animator: Animator, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiler(_function: Callable[..., Any], **_: object) -> Callable[..., Any]:
        def compiled(*_: object) -> None:
            raise TorchDynamoException("no C++ compiler\nand much more")

        return compiled

    monkeypatch.setattr("mcld_anim.model.compiled.torch.compile", compiler)
    told: list[Event] = []
    clip = media / "person.png", media / "dance.mp4"
    usual = list(animator.frames(*clip, **GIVEN))
    made = list(animator.frames(*clip, **GIVEN, compile=True, on_event=told.append))
    assert [event.message for event in told if event.kind == "compile_failed"] == [
        "--compile without effect: the compiler fails (no C++ compiler); the run goes on without it"
    ]
    for frame, plain in zip(made, usual, strict=True):
        assert np.abs(frame.picture.astype(int) - plain.picture).max() <= 1
