"""A set of files changes as one: kills between any two renames, and renames that fail."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcld_anim.core.errors import OutputError
from mcld_anim.core.outputs import OutputFiles, check_writable
from mcld_anim.core.publishing import publish
from mcld_anim.core.work_folder import Work, recover, working_folder


def publish_killed(files: OutputFiles, last: int, after: bool) -> int:
    """Publish a new set in a process of its own, which is killed before or after its file operation `last`.

    Returns how many operations it made, if it was not killed; else 0.
    """
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
    calls = 0

    def count(real: Callable[..., Any], *given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*given, **named)
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with working_folder(files) as work:
        for path in work.made.all:
            path.write_text("new")
        work.kept.mkdir()
        for name in ("replace", "rmdir", "unlink"):
            setattr(os, name, partial(count, getattr(os, name)))
        publish(work.folder, files.all, True, "the request", ends_run=True)
    os._exit(calls)


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many renames and removals a publishing over an old set makes."""
    files = OutputFiles(tmp_path_factory.mktemp("whole") / "x.mp4")
    for path in files.all:
        path.write_text("old")
    return publish_killed(files, -1, False)


@pytest.mark.parametrize("old", [True, False])
def test_a_kill_at_any_operation_leaves_one_whole_set(tmp_path: Path, operations: int, old: bool) -> None:
    assert operations > 10
    outcomes = []
    for last in range(1, operations + 1):
        files = OutputFiles(tmp_path / f"{last}" / "x.mp4")
        files.result.parent.mkdir()
        for path in files.all if old else ():
            path.write_text("old")
        if publish_killed(files, last, after=last % 2 == 0):  # without old files there are fewer operations
            continue
        request = recover(files)
        found = {path.read_text() if path.exists() else "nothing" for path in files.all}
        assert len(found) == 1, (last, found)
        outcomes += found
        assert request in (None, "the request")
        if request is None and found == {"nothing"}:
            check_writable(files, overwrite=False)
        with working_folder(files) as work:
            assert not list(work.new.iterdir())
    assert set(outcomes) == {"new", "old" if old else "nothing"}


def fail_at(monkeypatch: pytest.MonkeyPatch, names: set[str]) -> None:
    """Let the move of these files to their final names fail, as with another owner's file in a sticky folder."""
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if Path(source).parent.name == "new" and Path(target).name in names:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("failing", range(5))
def test_a_file_that_cannot_be_moved_leaves_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, old: bool, links: bool
) -> None:
    files = OutputFiles(tmp_path / "x.mp4")
    for path in files.all if old else ():
        path.write_text("old")
    if not links:  # as on FAT

        def no_link(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", no_link)
    fail_at(monkeypatch, {files.all[failing].name})

    def publish_new() -> None:
        with working_folder(files) as work:
            for path in work.made.all:
                path.write_text("new")
            publish(work.folder, files.all, overwrite=True)

    with pytest.raises(OutputError, match="run the same command again"):
        publish_new()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        (path.name for path in files.all if old), "old"
    )


def test_a_journal_names_files_of_its_folder_only(tmp_path: Path) -> None:
    work = Work(OutputFiles(tmp_path / "out" / "x.mp4"))
    work.new.mkdir(parents=True)
    (tmp_path / "victim").write_text("precious")
    journal = work.folder / "publishing.json"
    journal.write_text('{"files": ["../../victim"], "request": "", "ends_run": true}')
    with pytest.raises(OutputError, match="outside"):
        recover(work.outputs)
    journal.write_text('{"files": 3')
    with pytest.raises(OutputError, match="damaged"):
        recover(work.outputs)
    assert (tmp_path / "victim").read_text() == "precious"
