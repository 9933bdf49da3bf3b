"""The README says what is so: its commands parse, its Python runs, its files exist, its map shows every room."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import pytest
import typer
from PIL import Image

from mcld_anim.batch.manifest import read_manifest
from mcld_anim.cli.main import app
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import PoseOptions, RunOptions

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = (ROOT / "mcld_anim" / "weights" / "embedded" / "MODEL_CARD.md").read_text(encoding="utf-8")
LONGEST = 250
"""Lines of a README that a newcomer finishes."""

OTHERS_FLAGS = {"--no-build-isolation", "--no-deps"}
"""pip's."""

TOP_LEVEL = ("cli", "configs", "samples", "tests", "mcld_anim")


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a language."""
    return [body for found, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if found == language]


def inline_code(text: str) -> list[str]:
    """What stands between backticks in prose and tables; a line break in it is a space."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def arguments_of(code: str) -> list[str]:
    """The arguments after each `mcld-anim` in a line or block, one text a command."""
    parts = re.split(r"\n| && ", code)
    found = [re.search(r"(?:^|/)mcld-anim (.*)|-m mcld_anim\.cli\.start (.*)", part) for part in parts]
    return [one[1] or one[2] for one in found if one is not None]


def command_lines() -> Iterator[tuple[str, bool]]:
    """(arguments, whether they are complete): a fenced command is, one in prose may be only its name or its flags."""
    for text in (README, CARD):
        for block in blocks(text):
            yield from ((found, True) for found in arguments_of(block))
        for code in inline_code(text):
            yield from ((found, text is README and " -" in found) for found in arguments_of(code))


Command = Any
"""A command of typer, which brings its own click or uses the installed one, depending on its version."""

APP: Command = typer.main.get_command(app)


def resolve(arguments: list[str]) -> tuple[Command, list[str]]:
    """The command that the first words name, and what follows them."""
    command = APP
    while arguments and hasattr(command, "commands"):
        assert arguments[0] in command.commands, f"mcld-anim has no {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, arguments


def leaves(command: Command) -> Iterator[Command]:
    """Every command below this one that does something itself."""
    if not hasattr(command, "commands"):
        yield command
        return
    for below in command.commands.values():
        yield from leaves(below)


def flags_of(command: Command) -> set[str]:
    return {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)} | {"--help"}


def test_a_newcomer_finishes_it() -> None:
    assert len(README.splitlines()) <= LONGEST


def check_command(line: str, complete: bool) -> None:
    """Refuse what `mcld-anim` would refuse before it begins to work."""
    command, rest = resolve(shlex.split(line, comments=True))
    given = {word.split("=")[0] for word in rest if re.match(r"-\D", word)}
    assert given <= flags_of(command), f"{sorted(given - flags_of(command))} of `mcld-anim {line}` do not exist"
    if complete and "--help" not in given:
        command.make_context(command.name, rest)  # types, required options and arguments


@pytest.mark.parametrize(("line", "complete"), [pytest.param(*found, id=found[0]) for found in command_lines()])
def test_every_command_shown_parses(line: str, complete: bool) -> None:
    check_command(line, complete)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fly", "has no fly"),
        ("models push", "has no push"),
        ("run --stepz 3", "--stepz.* do not exist"),
        ("run --steps many", "integer"),
        ("report out.mp4", "[Mm]issing"),
    ],
)
def test_a_wrong_command_would_be_seen(line: str, words: str) -> None:
    with pytest.raises(Exception, match=words):  # AssertionError, or the UsageError of typer's click
        check_command(line, True)


def test_commands_are_found_in_blocks_prose_and_tables() -> None:
    assert len(list(command_lines())) > 30
    assert arguments_of("a/bin/mcld-anim run -s x && mcld-anim pose\nmcld-anim doctor  # looks") == [
        "run -s x",
        "pose",
        "doctor  # looks",
    ]


@pytest.mark.parametrize("flag", sorted({code.split()[0] for code in inline_code(README) if code.startswith("--")}))
def test_every_flag_named_exists(flag: str) -> None:
    known = {name for command in leaves(APP) for name in flags_of(command)}
    assert flag in known | OTHERS_FLAGS


def test_every_verb_is_shown() -> None:
    for verb in APP.commands:
        assert re.search(rf"mcld-anim {verb}\b", README), f"README does not show mcld-anim {verb}"


def test_every_module_that_is_run_exists() -> None:
    named = re.findall(r"-m (mcld_anim[\w.]*)", README + CARD)
    assert {"mcld_anim.cli.start", "mcld_anim.setup.install"} <= set(named)
    assert all(find_spec(name) is not None for name in named)


def test_every_extra_named_exists() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.search(r"^\[project\.optional-dependencies\]\n(.*?)^\[", declared, re.M | re.S)
    assert extras is not None
    named = {name for found in re.findall(r"\.\[([\w,]+)\]", README + CARD) for name in found.split(",")}
    assert {"test", "gpu", "face", "ffmpeg"} <= named <= set(re.findall(r"^(\w+) = \[", extras[1], re.M))


def test_every_file_and_heading_that_is_linked_exists() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)", README, re.M)
    }
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 5
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors
        elif not link.startswith("https://"):
            assert (ROOT / link).is_file(), link
    words = {word.strip("'\"(),;") for code in [*blocks(README), *inline_code(README)] for word in code.split()}
    named = {word for word in words if word.startswith((".ci/", *(f"{top}/" for top in TOP_LEVEL)))}
    assert {"samples/person.png", "tests/check.py", "tests/golden"} <= named
    assert all((ROOT / name).exists() for name in named), named


def test_the_map_shows_every_room_from_the_top_down() -> None:
    (shown,) = (block for block in blocks(README) if block.startswith("cli/"))
    top = re.findall(r"^(\w+)/ ", shown, re.M)
    assert top == list(TOP_LEVEL)
    assert all((ROOT / folder).is_dir() for folder in top)
    rooms = [name.strip("/").removesuffix(".py") for name in re.findall(r"^  (\S+) +\S", shown, re.M)]
    folders = {path.parent.name for path in (ROOT / "mcld_anim").glob("*/__init__.py")} - {"cli", "configs"}
    assert set(rooms) == folders | {"animator"}
    assert sorted(rooms, key=layers().__getitem__) == rooms


def layers() -> dict[str, int]:
    """The place of every room among the layers of pyproject.toml, 0 at the top."""
    declared = re.search(r"^layers = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S)
    assert declared is not None
    names = re.findall(r'^    "([^"]+)"', declared[1], re.M)
    return {room: place for place, layer in enumerate(names) for room in layer.split(" | ")}


def test_ci_runs_what_the_readme_says() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for part in ("python3 -m venv", 'install --quiet -e ".[test]"', 'python" tests/check.py'):
        assert part in ci
    (shown,) = (block for block in blocks(README) if "tests/check.py" in block and "venv" in block)
    assert shown == 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python tests/check.py\n'


@pytest.fixture
def in_folder(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: empty but for the three files that README's examples read."""
    Image.open(media / "person.png").convert("RGB").save(tmp_path / "me.jpg", quality=95)
    Image.open(media / "other.png").save(tmp_path / "pose.png")
    (tmp_path / "dance.mp4").write_bytes((media / "dance.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_shown_does_what_it_says(
    in_folder: Path,
    small_models: LoadedModels,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loads, batches = [], []

    def load(*arguments: object) -> LoadedModels:
        loads.append(arguments)
        return small_models

    monkeypatch.setattr("mcld_anim.run.cache.load_models", load)
    small_models.mcld.pose_guider.register_forward_hook(lambda *_: batches.append(1))
    (program,) = blocks(README, "python")
    scope: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), scope)

    first, *frames = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"out\.mp4 (0|-?0\.\d+|1\.0)", first)
    assert [line.split()[0] for line in frames] == ["0", "1", "2", "3", "4"]
    assert all(line.endswith("(64, 64, 3)") for line in frames)
    beside = (".mp4", ".report.html", ".report.csv", ".report.json", ".run.json")
    written = {f"{name}{suffix}" for name in ("out", "short") for suffix in beside}
    assert {path.name for path in in_folder.iterdir()} == written | {
        "me.jpg",
        "pose.png",
        "dance.mp4",
        "me_in_pose.png",
    }
    assert [frames_of("out.mp4"), frames_of("short.mp4")] == [(11, 10), (8, 25)]
    assert len(loads) == 1
    assert len(batches) == 3 + 2 + 1 + 2  # of 11 frames, of 5 (the third batch is never begun), of 1 and of 8
    assert Image.open("me_in_pose.png").size == (64, 64)
    record = json.loads((in_folder / "out.run.json").read_text(encoding="utf-8"))
    assert record["reader"] == {"driving poses": "pyav"}
    assert {"options", "versions", "weights", "inputs", "seconds", "peak_memory_bytes", "events"} < set(record)


def frames_of(video: str) -> tuple[int, int]:
    """(number of frames, frames per second)."""
    with av.open(video) as container:
        stream = container.streams.video[0]
        return sum(1 for _ in container.decode(stream)), int(stream.average_rate or 0)


def test_the_manifest_shown_is_valid(in_folder: Path) -> None:
    (manifest,) = blocks(README, "json")
    (in_folder / "jobs.jsonl").write_text(manifest, encoding="utf-8")
    rows = read_manifest(in_folder / "jobs.jsonl", in_folder / "outputs")
    assert [type(row.options) for row in rows] == [RunOptions, PoseOptions]
    assert f"`{len(rows)} done, 0 skipped, 0 failed`" in README
