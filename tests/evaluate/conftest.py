"""What tests of real footage need."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcld_anim.core.errors import WeightsError
from mcld_anim.setup.pull import PullOptions, pull


@pytest.fixture(scope="session")
def blazepose_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MCLD_ANIM_HOME that holds BlazePose's networks."""
    home = tmp_path_factory.mktemp("home")
    try:
        pull(PullOptions("blazepose", folder=home / "blazepose"), lambda licences: True)
    except WeightsError as error:
        pytest.skip(f"BlazePose's networks are not to be had: {error}")
    return home
