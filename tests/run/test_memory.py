"""Memory is bounded: a clip of six hundred frames takes what its first sixty take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import psutil
import pytest

from mcld_anim import Animator
from mcld_anim.model.load import LoadedModels
from mcld_anim.synthetic.person import Rendering

FRAMES, FIRST = 600, 60
MOST_GROWTH = 1.05


@pytest.fixture
def animator(small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Animator]:
    """An animator with small random networks, in a folder of its own."""
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    monkeypatch.chdir(tmp_path)
    with Animator.load("tiny") as animator:
        yield animator


def test_memory_does_not_grow_with_the_clip(
    animator: Animator, media: Path, dance: list[Rendering], clip_writer: Callable[..., None], tmp_path: Path
) -> None:
    clip_writer(tmp_path / "long.mp4", list(islice(cycle([one.picture for one in dance]), FRAMES)))
    made = animator.frames(media / "person.png", tmp_path / "long.mp4", steps=1, guidance=1.0, batch_size=8)
    memory = [psutil.Process().memory_info().rss for _ in made]
    assert len(memory) == FRAMES
    assert max(memory) <= MOST_GROWTH * max(memory[:FIRST]), f"{max(memory[:FIRST])} bytes, then {max(memory)}"
