"""A few rendered people, in the files that `synth data` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcld_anim.synthetic.dataset import write_face_shards, write_shards
from mcld_anim.train.loop import LoopOptions
from mcld_anim.train.views import ViewsOptions

LAST_DEVELOPS = ViewsOptions(development=((2, 3),))
"""Split of the three `people` in which the last is the development person."""
LOOP = LoopOptions(steps=4, batch_size=2, warmup_steps=1, checkpoint_steps=2, evaluate_minutes=1e9, log_steps=1)

PEOPLE, VIEWS = 3, 8


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people in eight views of 256x256."""
    folder = tmp_path_factory.mktemp("people")
    write_shards(folder, 40, PEOPLE, VIEWS)
    return folder


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people in four close-ups of the head."""
    folder = tmp_path_factory.mktemp("heads")
    write_face_shards(folder, 40, 6, 4)
    return folder
