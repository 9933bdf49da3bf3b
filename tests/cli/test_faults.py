"""Bad days of the real command line, each in a process of its own: signals, full disks, lost streams, a second run."""

from __future__ import annotations

import ctypes
import io
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mcld_anim.cli.main import main
from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels

SHORT = ("--batch-size", "1", "--steps", "1", "--max-frames", "7")
FILES = ("mp4", "report.csv", "report.html", "report.json", "run.json")
KEPT = re.compile(r"[1-9]\d* of \d+ frames are kept: the same command again goes on there")


@dataclass
class Command:
    """A running command, or one that has ended."""

    process: int
    stages: int  # a pipe: a line per progress of a stage
    out: Path
    err: Path
    seen: bytes = field(default=b"", repr=False)

    def wait_for(self, stage: str, done: int) -> None:
        """Return when a stage has come that far."""
        while f"{stage} {done}\n".encode() not in self.seen:
            block = os.read(self.stages, 4096)
            assert block, f"{stage} never came that far: {self.seen!r} {self.err.read_text()}"
            self.seen += block

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; a signal's number below zero if it died of one."""
        os.close(self.stages)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status), self.out.read_text(), self.err.read_text()


Start = Callable[..., Command]


@pytest.fixture
def start(tmp_path: Path, media: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts `mcld-anim run -o` with these arguments and small networks, forked, so that nothing is imported again."""
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    monkeypatch.setattr("mcld_anim.run.cache.ready_densepose", lambda *_: "tiny")
    number = iter(range(1000))

    def begin(
        *arguments: str | Path,
        before: Callable[[], None] = lambda: None,
        pace: float = 0.0,
        out: str | int | None = None,
        err: str | int | None = None,
    ) -> Command:
        """`before` runs in the process, `pace` is waited after every batch."""
        usual = ("run", "-s", media / "person.png", "-d", media / "dance.mp4", *SHORT, "-o")
        given = [
            str(each) for each in ((*usual, *arguments) if arguments and arguments[0] != "--version" else arguments)
        ]
        told = [tmp_path / f"{name}-{next(number)}.txt" for name in ("out", "err")]
        reader, writer = os.pipe()
        process = os.fork()
        if process:
            os.close(writer)
            return Command(process, reader, *told)
        try:
            code = _child(given, writer, told, (out, err), before, pace)
        except BaseException as error:
            os.write(2, repr(error).encode())
            code = 99
        os._exit(code)

    return begin


def _child(
    arguments: list[str],
    writer: int,
    told: list[Path],
    streams: tuple[str | int | None, str | int | None],
    before: Callable[[], None],
    pace: float,
) -> int:
    for descriptor, path, given in zip((1, 2), told, streams, strict=True):
        path.touch()
        source = given if isinstance(given, int) else os.open(given or path, os.O_WRONLY)
        if source < 0:
            os.close(descriptor)
        else:
            os.dup2(source, descriptor)
    sys.stdout = None if streams[0] == -1 else io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=False)  # type: ignore[assignment]
    sys.stderr = None if streams[1] == -1 else io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)  # type: ignore[assignment]
    real = Stages.progress

    def progress(self: Stages, stage: str, done: int, total: int | None) -> None:
        real(self, stage, done, total)
        os.write(writer, f"{stage} {done}\n".encode())
        time.sleep(pace)

    Stages.progress = progress  # type: ignore[method-assign]
    sys.argv = ["mcld-anim", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before()
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 98
    return 97


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


@pytest.mark.parametrize(
    ("stage", "done", "number"),
    [
        ("source", 0, signal.SIGINT),
        ("source", 1, signal.SIGHUP),
        ("driving poses", 0, signal.SIGTERM),
        ("driving poses", 4, signal.SIGHUP),
        ("frames", 0, signal.SIGTERM),
        ("frames", 0, signal.SIGINT),
    ],
)
def test_a_signal_before_the_first_frame_leaves_nothing(
    start: Start, tmp_path: Path, stage: str, done: int, number: signal.Signals
) -> None:
    command = start(tmp_path / "new" / "x.mp4", pace=0.2)
    command.wait_for(stage, done)
    os.kill(command.process, number)
    code, out, err = command.end()
    assert (code, out, err) == (128 + number, "", f"mcld-anim: {WORDS[number]}\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 6), (signal.SIGTERM, 1), (signal.SIGHUP, 1)])
def test_a_signal_among_the_frames_keeps_them_in_a_sentence(
    start: Start, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    command = start(tmp_path / "new" / "x.mp4", pace=0.1)
    command.wait_for("frames", 3)
    for _ in range(times):
        os.kill(command.process, number)
    code, out, err = command.end()
    assert (code, out) == (128 + number, "")
    sentence, end = err.splitlines()[-2:]
    assert KEPT.search(sentence)
    assert end == f"mcld-anim: {WORDS[number]}"
    assert "Traceback" not in err
    assert left(tmp_path / "new") == [".x.mcld-anim"]
    code, _, err = start(tmp_path / "new" / "x.mp4").end()
    assert code == 0, err
    assert "going on from frame" in err
    assert left(tmp_path / "new") == [f"x.{suffix}" for suffix in FILES]


def test_a_signal_among_the_imports_is_one_line(tmp_path: Path, media: Path) -> None:
    arguments = ["run", "-s", str(media / "person.png"), "-d", str(media / "dance.mp4"), "-o", "new/x.mp4"]
    moments = ((0.0, 1, signal.SIGINT), (0.2, 6, signal.SIGINT), (0.5, 1, signal.SIGINT))
    for delay, times, number in (*moments, (0.7, 1, signal.SIGTERM), (1.0, 1, signal.SIGINT)):
        process = subprocess.Popen(
            [sys.executable, "-m", "mcld_anim.cli.start", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not _catches(process.pid, signal.SIGTERM):  # from when on the program, not Python, answers
            assert process.poll() is None
        time.sleep(delay)
        for _ in range(times):
            process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (128 + number, "", f"mcld-anim: {WORDS[number]}\n"), delay
        assert not list(tmp_path.iterdir())


def _catches(process: int, number: signal.Signals) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text(), re.M)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


SWALLOWED = """
import os, signal, time
from mcld_anim.cli.signals import SIGNALS
class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10))
SIGNALS.install()
with SIGNALS.raised():
    try:
        Callback()
        time.sleep(60)
    except KeyboardInterrupt:
        print("raised")
"""


def test_a_signal_that_a_callback_swallows_is_raised_again() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "raised\n", "")


def test_below_nohup_a_hang_up_is_ignored(start: Start, tmp_path: Path) -> None:
    command = start(tmp_path / "x.mp4", pace=0.05, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None)
    command.wait_for("frames", 1)
    os.kill(command.process, signal.SIGHUP)
    assert command.end()[0] == 0


def test_the_second_run_of_one_output_says_who_holds_it(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path / "x.mp4", "--overwrite", pace=0.2)
    first.wait_for("source", 0)
    code, out, err = start(tmp_path / "x.mp4", "--overwrite").end()
    assert (code, out) == (3, "")
    (line,) = err.splitlines()
    assert f"x.mp4 is being made by process {first.process} on {os.uname().nodename} since " in line
    os.kill(first.process, signal.SIGKILL)
    assert first.end()[0] == -9
    code, _, err = start(tmp_path / "x.mp4", "--overwrite").end()  # the lock went with its process
    assert code == 0, err
    assert not list(tmp_path.glob(".*"))


@dataclass
class Disk:
    """A small disk: a tmpfs, or where none can be mounted a limit on the size of every file."""

    folder: Path
    limited: int  # bytes of the limit; 0: it is a tmpfs

    def apply(self) -> None:
        """In the process that works there."""
        if self.limited:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limited, self.limited))

    def grow(self) -> None:
        """Make room."""
        if not self.limited:
            subprocess.run(["mount", "-o", "remount,size=64m", self.folder], check=True)
        self.limited = 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Disk]]:
    """Makes small disks."""
    mounted: list[Path] = []

    def make(size: int) -> Disk:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if subprocess.run(options, capture_output=True, check=False).returncode:
            return Disk(folder, size // 4)
        mounted.append(folder)
        return Disk(folder, 0)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_keeps_what_was_made_and_the_same_command_goes_on(
    start: Start, tmp_path: Path, disk: Callable[[int], Disk]
) -> None:
    small, whole = disk(240 * 1024), ("--crf", "0", "--max-frames", "11", "--steps", "3")
    output = small.folder / "x.mp4"
    code, out, err = start(output, *whole, before=small.apply).end()
    assert (code, out) == (1, ""), err
    assert len(err.splitlines()) == 1
    assert KEPT.search(err), err
    assert left(small.folder) == [".x.mcld-anim"]
    small.grow()
    code, _, err = start(output, *whole).end()
    assert code == 0, err
    assert "frames are kept of an earlier run" in err
    assert left(small.folder) == [f"x.{suffix}" for suffix in FILES]
    code, _, err = start(tmp_path / "whole.mp4", *whole).end()
    assert code == 0, err
    assert output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_full_temporary_folder_is_one_line(start: Start, tmp_path: Path, disk: Callable[[int], Disk]) -> None:
    small = disk(8 * 1024)

    def fill() -> None:
        small.apply()
        tempfile.tempdir = str(small.folder)

    code, out, err = start(tmp_path / "new" / "x.mp4", before=fill).end()
    assert (code, out) == (1, ""), err
    assert len(err.splitlines()) == 1
    assert "No space left on device" in err or "File too large" in err
    assert not (tmp_path / "new").exists()


def obey_permissions() -> None:
    """Give up root's right to write where permissions forbid it; others have no such right."""
    libc = ctypes.CDLL(None, use_errno=True)
    head, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(head, sets) == 0
    sets[0] &= ~0b110  # the effective CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(head, sets) == 0


def test_a_folder_that_becomes_read_only_in_the_middle_keeps_the_old_set(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for suffix in FILES:
        (folder / f"x.{suffix}").write_text("old")
    command = start(folder / "x.mp4", "--overwrite", pace=0.1, before=obey_permissions)
    command.wait_for("frames", 3)
    folder.chmod(0o555)
    code, out, err = command.end()
    folder.chmod(0o755)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "Permission denied" in err
    assert "7 of 7 frames are kept" in err
    assert [(folder / f"x.{suffix}").read_text() for suffix in FILES] == ["old"] * 5
    code, _, err = start(folder / "x.mp4", "--overwrite", before=obey_permissions).end()
    assert code == 0, err
    assert left(folder) == [f"x.{suffix}" for suffix in FILES]


LOST: dict[str, tuple[str | int | None, str | int | None]] = {
    "stdout is a full disk": ("/dev/full", None),
    "stdout is closed": (-1, None),
    "stderr is a full disk": (None, "/dev/full"),
    "stderr is closed": (None, -1),
    "both are full": ("/dev/full", "/dev/full"),
}


@pytest.mark.parametrize("what", LOST)
def test_lost_streams_never_stop_the_work(start: Start, tmp_path: Path, what: str) -> None:
    out, err = LOST[what]
    code, said, told = start(tmp_path / "new" / "x.mp4", "--max-frames", "2", out=out, err=err).end()
    assert code == 0, told
    assert left(tmp_path / "new") == [f"x.{suffix}" for suffix in FILES]
    if err is None:
        assert ("is whole; standard output cannot be written: No space left" in told) == (out == "/dev/full")
    assert "Traceback" not in told
    if out is None:
        assert said == f"{tmp_path / 'new' / 'x.mp4'}\n"


def test_the_reader_of_both_streams_goes_away(start: Start, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = start(tmp_path / "new" / "x.mp4", "--max-frames", "2", out=writer, err=writer)
    os.close(writer)
    assert command.end()[0] == 0
    assert left(tmp_path / "new") == [f"x.{suffix}" for suffix in FILES]


def test_a_command_whose_product_is_its_output_fails_with_a_sentence(start: Start) -> None:
    code, _, err = start("--version", out="/dev/full").end()
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "No space left on device" in err
