"""What several tests of runs need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcld_anim import Animator
from mcld_anim.model.load import LoadedModels


@pytest.fixture
def animator(small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Animator]:
    """An animator with small random networks, in a folder of its own."""
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    monkeypatch.chdir(tmp_path)
    with Animator.load("tiny") as animator:
        yield animator
