"""LiteRT's networks are read at their first call, and its infos do not reach stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcld_anim.pose.blazepose import BlazePose
from mcld_anim.pose.tflite import _without_infos


def test_a_network_writes_nothing_to_stderr(blazepose_home: Path) -> None:
    code = (
        "import numpy as np; from pathlib import Path; from mcld_anim.pose.tflite import TfliteNetwork\n"
        f"network = TfliteNetwork(Path({str(blazepose_home / 'blazepose' / 'pose_detection.tflite')!r}), 1)\n"
        "print(len(network(np.zeros((224, 224, 3), np.uint8))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_only_infos_are_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with _without_infos():
            os.write(2, b"INFO: Created a delegate.\nERROR: a reason\n")
            raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        fail()
    assert capfd.readouterr().err == "ERROR: a reason\n"


def test_networks_are_read_at_their_first_call(tmp_path: Path) -> None:
    BlazePose(tmp_path)  # an empty folder
