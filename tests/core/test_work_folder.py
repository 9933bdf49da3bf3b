"""The work folder beside an output: who holds it, what goes with its holder, and what stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mcld_anim.core.errors import OutputError
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.core.publishing import publish
from mcld_anim.core.work_folder import Work, abandoned_work, remove_work, working_folder

HOLD = """
import sys, time
from pathlib import Path
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.core.work_folder import working_folder
with working_folder(OutputFiles(Path(sys.argv[1]))) as work:
    work.kept.mkdir(exist_ok=True)
    (work.kept / "frames").write_text("precious")
    print("held", flush=True)
    time.sleep(600)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the work folder of a result."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def publish_all(files: OutputFiles, text: str, overwrite: bool = False) -> None:
    """Publish a whole set, each file holding its name and `text`."""
    with working_folder(files) as work:
        for path in work.made.all:
            path.write_text(path.name + text)
        publish(work.folder, files.all, overwrite)


def test_finished_files_appear_and_the_folder_goes(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "new" / "x.mp4")
    publish_all(files, "")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in files.all)
    assert all(path.read_text() == path.name for path in files.all)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_removes_its_own_folders_only(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "old").mkdir()
    files = OutputFiles(tmp_path / "old" / "new" / "deep" / "x.mp4")

    def fail() -> None:
        with working_folder(files) as work:
            (work.new / "half").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
    assert not list((tmp_path / "old").iterdir())


def test_what_is_kept_stays_for_the_next_holder_and_the_rest_goes(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "x.mp4")

    def fail() -> None:
        with working_folder(files) as work:
            (work.new / "half").write_text("half")
            work.kept.mkdir()
            (work.kept / "frames").write_text("precious")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == [".x.mcld-anim", ".x.mcld-anim/kept", ".x.mcld-anim/kept/frames"]
    with working_folder(files) as work:
        assert (work.kept / "frames").read_text() == "precious"
        assert not list(work.new.iterdir())


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "x.mp4")

    def be_late() -> None:
        with working_folder(files) as work:
            for path in work.made.all:
                path.write_text("mine")
            files.result.write_text("theirs")
            publish(work.folder, files.all, overwrite=False)

    with pytest.raises(OutputError, match="exists already"):
        be_late()
    assert files.result.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [files.result]


def test_sets_that_share_a_file_share_the_folder_and_names_may_be_long(tmp_path: Path) -> None:
    folders = {Work(OutputFiles(tmp_path / name)).folder for name in ("x.mp4", "x.mov", "x.png")}
    assert len(folders) == 1
    names = [Work(OutputFiles(tmp_path / f"{'ä' * 120}{end}.mp4")).folder.name for end in "ab"]
    assert names[0] != names[1]
    assert all(len(os.fsencode(name)) <= 255 for name in names)


def test_the_second_process_is_told_who_holds_it_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "x.mp4")
    process = hold(files.result)
    try:
        with pytest.raises(OutputError) as refused, working_folder(files):
            pass
        assert f"x.mp4 is being made by process {process.pid} on {os.uname().nodename} since 20" in str(refused.value)
        assert abandoned_work(tmp_path) == []
        assert not remove_work(Work(files).folder)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert abandoned_work(tmp_path) == [Work(files).folder]
    with working_folder(files) as work:
        assert (work.kept / "frames").read_text() == "precious"
    assert abandoned_work(tmp_path) == [Work(files).folder]
    assert remove_work(Work(files).folder)
    assert not list(tmp_path.iterdir())


def test_one_process_does_not_hold_it_twice(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path / "x.mp4")
    with working_folder(files), pytest.raises(OutputError, match=f"process {os.getpid()}"), working_folder(files):
        pass
    assert not list(tmp_path.iterdir())
