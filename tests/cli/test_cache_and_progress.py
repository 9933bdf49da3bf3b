"""`--progress json`, `mcld-anim cache` and `--no-cache`: real runs of the embedded model, each a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcld_anim.cli.main import app

MCLD_ANIM = [sys.executable, "-m", "mcld_anim.cli.start"]
FORGETFUL = """
import sys
import mcld_anim.run.driving, mcld_anim.run.source
from mcld_anim.cli.start import main

def called(*_):
    raise AssertionError("made again")

mcld_anim.run.source.read_photo = mcld_anim.run.source.encode_photo = mcld_anim.run.driving.encode_driving = called
sys.argv[0] = "mcld-anim"
main()
"""


@dataclass
class Place:
    """A folder with a home of its own, and the runs in it."""

    folder: Path
    media: Path

    @property
    def environment(self) -> dict[str, str]:
        more = {"MCLD_ANIM_HOME": str(self.folder / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        return {name: text for name, text in os.environ.items() if name != "MCLD_ANIM_CACHE_GB"} | more

    def call(self, *arguments: str, command: list[str] = MCLD_ANIM, **more: Any) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"env": self.environment, "cwd": self.folder, "capture_output": True, "text": True}
        return subprocess.run([*command, *arguments], check=False, **{**options, **more})

    def run(
        self, output: str, *more: str, command: list[str] = MCLD_ANIM, **process: Any
    ) -> subprocess.CompletedProcess[str]:
        given = f"--max-frames 2 --steps 1 --densepose tiny --framing fixed --offline -o {output}".split()
        inputs = ["-s", str(self.media / "person.png"), "-d", str(self.media / "dance.mp4")]
        return self.call("run", *inputs, *given, *more, command=command, **process)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A first run has been made with the samples."""
    samples = Path(__file__).parents[2] / "samples"
    place = Place(tmp_path_factory.mktemp("place"), samples)
    done = place.run("first.mp4", "--progress", "json")
    assert (done.returncode, done.stdout) == (0, "first.mp4\n"), done.stderr
    (place.folder / "first.jsonl").write_text(done.stderr)
    return place


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_of_stderr_is_an_object(place: Place) -> None:
    told = objects((place.folder / "first.jsonl").read_text())
    assert {one["event"] for one in told} == {"progress", "done"}
    last = {one["stage"]: (one["done"], one["total"]) for one in told if one["event"] == "progress"}
    assert last == {"start": (1, 1), "source": (2, 2), "driving poses": (2, 2), "frames": (2, 2)}
    assert [one["seconds"] for one in told] == sorted(one["seconds"] for one in told)
    assert told[-1]["event"] == "done"
    assert told[-1]["output"] == "first.mp4"
    assert told[-1]["message"] == "model tiny, densepose tiny, face tiny"


def test_a_later_process_makes_nothing_again(place: Place) -> None:
    """In an empty environment without a locale, which is enough."""
    bare = {"MCLD_ANIM_HOME": str(place.folder / "home"), "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    done = place.run("caf\u00e9.mp4", "--progress", "json", command=[sys.executable, "-c", FORGETFUL], env=bare)
    assert done.returncode == 0, done.stderr
    assert (place.folder / "caf\u00e9.mp4").read_bytes() == (place.folder / "first.mp4").read_bytes()
    assert objects(done.stderr)[-1]["output"] == "caf\u00e9.mp4"
    record = json.loads((place.folder / "caf\u00e9.run.json").read_text())
    assert record["reused"] == ["source-photo", "source", "driving-poses"]


def test_no_cache_makes_everything_again(place: Place) -> None:
    done = place.run("third.mp4", "--no-cache", command=[sys.executable, "-c", FORGETFUL])
    assert done.returncode == 1
    assert "made again" in done.stderr


def test_the_cache_is_listed_and_cleared(place: Place) -> None:
    home = place.folder / "home"
    assert place.call("cache", "where").stdout == f"{home / 'cache'}\n"
    listed = place.call("cache", "list")
    assert listed.stderr.startswith("3 results, ")
    assert listed.stderr.endswith("of at most 5 GB\n")
    assert {line.split("  ")[-1] for line in listed.stdout.splitlines()} == {
        str(place.media / "person.png"),
        str(place.media / "dance.mp4"),
    }
    killed = (
        "import os, signal; from pathlib import Path; from mcld_anim.core.temporary_folder import TemporaryFolder\n"
        "left = TemporaryFolder(Path.cwd()); os.kill(os.getpid(), signal.SIGKILL)"
    )
    left = place.call("-c", killed, command=[sys.executable])
    assert left.returncode == -9
    assert len(list(place.folder.glob(".mcld-anim-*.work"))) == 1
    cleared = place.call("cache", "clear", "--outputs", ".", env={**place.environment, "TMPDIR": str(home)})
    assert (cleared.returncode, cleared.stderr.endswith(" MB removed\n")) == (0, True)
    assert not list(place.folder.glob(".mcld-anim-*.work"))
    assert place.call("cache", "list").stdout == ""


Call = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Calls the command line here: exit code, and the objects on stderr."""
    monkeypatch.chdir(tmp_path)

    def call_with(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        with pytest.raises(SystemExit) as caught:
            app(list(arguments))
        return int(caught.value.code or 0), objects(capfd.readouterr().err)

    return call_with


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("run -s no.png -d no.mp4", 3, "no.png"),
        ("run -s no.png", 2, "--driving is missing"),
        ("run --wings", 2, "No such option"),
        ("pose -s no.png -p no.png --preset none", 2, "--preset"),
        ("batch no.jsonl --output-dir out", 3, "no.jsonl"),
        ("report no.mp4 -s no.png", 3, "no.mp4"),
        ("densepose no.mp4", 3, "no.mp4"),
    ],
)
def test_errors_are_objects_and_exit_codes_stay(call: Call, arguments: str, code: int, message: str) -> None:
    verb, *others = arguments.split()
    for flag in (["--progress", "json"], ["--progress=json"]):
        (returned, told) = call(verb, *flag, *others)
        assert returned == code
        assert [(one["event"], one["exit_code"]) for one in told] == [("error", code)]
        assert message in told[0]["message"]


def test_every_wrong_row_is_an_object(call: Call, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("source,driving\nnone.png,none.mp4\n,none.mp4\n")
    code, told = call("batch", "jobs.csv", "--output-dir", "out", "--progress", "json")
    assert code == 3
    assert [one["message"][:15] for one in told] == ["jobs.csv line 2", "jobs.csv line 3"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(KeyboardInterrupt(), (130, "interrupted")), (RuntimeError("a\ndefect"), (1, "RuntimeError: a"))],
)
def test_an_interruption_and_a_defect_are_objects(
    call: Call, monkeypatch: pytest.MonkeyPatch, failure: BaseException, expected: tuple[int, str]
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr("mcld_anim.cli.flags.resolve_options", fail)
    code, told = call("run", "-s", "a", "-d", "b", "--progress", "json")
    assert (code, told[0]["message"]) == expected


def test_whatever_else_is_written_to_stderr_becomes_a_notice(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        os.write(2, b"from a C library: \xff\n\n")
        print("from Python é", file=sys.stderr)
        raise KeyboardInterrupt

    monkeypatch.setattr("mcld_anim.cli.flags.resolve_options", write)
    code, told = call("run", "-s", "a", "-d", "b", "--progress", "json")
    assert code == 130
    assert [(one["event"], one["message"]) for one in told] == [
        ("notice", "from a C library: \\xff"),
        ("notice", "from Python é"),
        ("error", "interrupted"),
    ]


def test_another_style_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        app(["run", "--progress", "xml"])
    assert caught.value.code == 2
    assert "--progress xml" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["cache list", "run -s a.png -d a.mp4", "batch jobs.csv --output-dir out"])
def test_a_size_that_is_none_is_one_sentence(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, media: Path, tmp_path: Path, arguments: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.csv").write_text(f"source,driving,output\n{media}/person.png,{media}/dance.mp4,a.mp4\n")
    monkeypatch.setenv("MCLD_ANIM_CACHE_GB", "much")
    with pytest.raises(SystemExit) as caught:
        app(arguments.split())
    assert caught.value.code == 2
    out, err = capfd.readouterr()
    assert (out, err.splitlines()) == (
        "",
        ["mcld-anim: MCLD_ANIM_CACHE_GB=much is not a size: give gigabytes, such as 5, or 0 to keep nothing"],
    )
