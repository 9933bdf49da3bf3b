"""Hostile texts through the real command line, in every place that takes one: one short line, exit 2 or 3, no file."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mcld_anim.cli.main import app

LINE = 1_500
"""Most characters of a message; paths in it may be long."""
SECONDS = 5

YAML_VALUES = {
    "nested lists": "[" * 3000 + "]" * 3000,
    "nested maps": "{a: " * 3000 + "1" + "}" * 3000,
    "an impossible date": "2001-99-99",
    "digits": "9" * 5000,
    "more digits than a float has": "9" * 400,
    "hexadecimal digits": "0x" + "f" * 5000,
    "sexagesimal digits": ":".join(["1"] * 3000),
    "a surrogate": '"\\ud800"',
    "NUL": '"a\\0b"',
    "a long text": "x" * 300_000,
    "not a number": ".nan",
    "infinity": "-.inf",
    "itself": "&a [*a]",
    "laughs": "[&a [x, x], "
    + ", ".join(f"&{c} [{', '.join([f'*{b}'] * 10)}]" for b, c in zip("abcdefghi", "bcdefghij", strict=True))
    + "]",
    "a wrong tag": "!!timestamp x",
    "an object": "!!python/object/apply:os.system ['touch hacked']",
}
JSON_VALUES = {
    "nested lists": "[" * 100_000,
    "nested maps": '{"a":' * 100_000,
    "digits": "9" * 5000,
    "more digits than a float has": "9" * 400,
    "a surrogate": '"\\ud800"',
    "NUL": '"a\\u0000b"',
    "a long text": '"' + "x" * 300_000 + '"',
    "not a number": "NaN",
    "infinity": "-Infinity",
    "a map": "{}",
}
KEYS = ("source", "steps", "blend", "fps", "output", "background", "model", "config", "densepose", "audio", "person")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "person.png").write_bytes((media / "person.png").read_bytes())
    os.mkfifo(folder / "pipe")
    return folder


def refused(arguments: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line: the one line of its refusal."""
    before, began = sorted(place.iterdir()), time.process_time()
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    assert time.process_time() - began < SECONDS
    out, err = capsys.readouterr()
    assert caught.value.code in (2, 3), err
    (line,) = err.splitlines()
    assert (out, line[:11], len(line) < LINE) == ("", "mcld-anim: ", True)
    assert sorted(place.iterdir()) == before
    return line


@pytest.mark.parametrize("key", KEYS[:-2])
@pytest.mark.parametrize("name", YAML_VALUES)
def test_in_yaml(
    name: str, key: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the file of --config, in a YAML manifest, and in a cell of a CSV."""
    monkeypatch.chdir(place)
    texts = {"source": "person.png", "driving": "none.mp4", "output": "o.mp4", key: YAML_VALUES[name]}
    (place / "in").write_text("".join(f"{key}: {text}\n" for key, text in texts.items()))
    refused(["run", "--config", "in"], place, capsys)
    (place / "in").write_text("-\n" + "".join(f"  {key}: {text}\n" for key, text in texts.items()))
    refused(["batch", "in", "--output-dir", "out"], place, capsys)
    cells = ['"' + text.replace('"', '""') + '"' for text in texts.values()]
    (place / "in").write_text(",".join(texts) + "\n" + ",".join(cells) + "\n")
    refused(["batch", "in", "--output-dir", "out"], place, capsys)
    assert not (place / "hacked").exists()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", JSON_VALUES)
def test_in_a_row_of_json(
    name: str, key: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    texts = {"source": '"person.png"', "driving": '"none.mp4"', "output": '"o.mp4"', key: JSON_VALUES[name]}
    (place / "in").write_text("{" + ", ".join(f'"{key}": {text}' for key, text in texts.items()) + "}\n")
    assert "line 1" in refused(["batch", "in", "--output-dir", "out"], place, capsys)


@pytest.mark.parametrize(
    "flags",
    [
        [f"--{name}", value]
        for name in ("steps", "seed", "blend", "max-frames", "start", "end", "fps", "crf", "retries", "guidance")
        for value in ("9" * 400, "nan", "1e999")
        if (name, value) != ("max-frames", "9" * 400)  # which is no limit
    ]
    + [[f"--{name}", "x" * 6000] for name in ("noise", "person", "background", "audio", "densepose", "model", "config")]
    + [["--background", "#" + "f" * 6000], ["--noise", "mixed:" + "9" * 5000], ["--output", "x" * 6000 + ".mp4"]],
)
def test_in_flags(
    flags: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as caught:
        app(["run", "--source", "person.png", "--driving", "none.mp4", *flags])
    error = capsys.readouterr().err
    assert caught.value.code in (2, 3), error
    assert "Traceback" not in error
    assert flags[0] in error or flags[0][2:].replace("-", "_") in error or "none.mp4" in error


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("endless", ["/dev/zero", "/dev/full", "/dev/random", "pipe"])
@pytest.mark.parametrize(
    "flag", ["--source", "--driving", "--config", "--audio", "--background", "--densepose", "--model"]
)
def test_endless_files_are_not_read(
    flag: str,
    endless: str,
    place: Path,
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    given = {"--source": "person.png", "--driving": str(media / "dance.mp4"), flag: endless}
    assert endless in refused(["run", *(part for pair in given.items() for part in pair)], place, capsys)
    if flag != "--model":  # a row that names no model fails when it runs
        (place / "in").write_text(json.dumps({name[2:]: value for name, value in given.items()}))
        assert endless in refused(["batch", "in", "--output-dir", "out"], place, capsys)
    assert endless in refused(["batch", endless, "--output-dir", "out"], place, capsys)
