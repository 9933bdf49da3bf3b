"""`models pull` on bad days: two at once, a full disk, a folder that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NETWORKS = ("hand_landmark_full", "pose_detection", "pose_landmark_full", "pose_landmark_heavy")
PAGE = 4096


def start(home: Path, source: Path) -> subprocess.Popen[str]:
    """`models pull blazepose` out of a folder that has its files."""
    command = [sys.executable, "-m", "mcld_anim.cli.start", "models", "pull", "blazepose", "--from", str(source)]
    environment = {**os.environ, "MCLD_ANIM_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def source(blazepose_home: Path) -> Path:
    return blazepose_home / "blazepose"


def test_of_two_at_once_one_pulls_and_the_other_waits_for_it(source: Path, tmp_path: Path) -> None:
    ends = []
    for process in [start(tmp_path / "home", source) for _ in range(2)]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        ends.append((out, len(err.splitlines())))
    assert sorted(ends) == sorted([(f"{tmp_path}/home/blazepose\n", 4), (f"{tmp_path}/home/blazepose\n", 1)])
    assert {path.stem for path in (tmp_path / "home" / "blazepose").glob("*.tflite")} == set(NETWORKS)


@pytest.fixture
def almost_enough(source: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk with room for all but the end of the last network."""
    sizes = [(source / f"{name}.tflite").stat().st_size for name in NETWORKS]
    room = sum(-(-size // PAGE) * PAGE for size in sizes) - PAGE
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.fail("this test mounts a tmpfs: run it as root, or below `unshare --map-root-user --mount`")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_is_one_sentence_and_the_next_pull_goes_on(
    source: Path, almost_enough: Path, tmp_path: Path
) -> None:
    process = start(almost_enough, source)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert err.splitlines()[-1] == (
        f"mcld-anim: blazepose is not complete in {almost_enough}/blazepose (No space left on device): make room "
        "there, or set MCLD_ANIM_HOME to another folder; the same command fetches what is missing"
    )
    left = {path.name for path in (almost_enough / "blazepose").iterdir()}
    assert not [name for name in left if "partial" in name]
    whole = left - {"record.json"}
    subprocess.run(["mount", "-o", "remount,size=80m", str(almost_enough)], check=True)
    process = start(almost_enough, source)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(err.splitlines()) == len(NETWORKS) - len(whole)


def test_a_disk_without_room_is_refused_before_the_first_file(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(place)], check=True)
    try:
        process = start(place, source)
        _, err = process.communicate(timeout=300)
        assert (process.returncode, len(err.splitlines())) == (1, 1)
        assert "blazepose needs 3" in err or "blazepose needs 4" in err
        assert "which has 5 MB left" in err
    finally:
        subprocess.run(["umount", str(place)], check=True)
