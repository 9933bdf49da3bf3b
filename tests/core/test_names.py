"""Names that are not UTF-8: escaped for people, and the same again when read from JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import partial_name
from mcld_anim.core.names import printable, write_json


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"caf\xe9.mp4"), "caf\\xe9.mp4"),
        ("танец.mp4", "танец.mp4"),
        ("a\nb\x1b[31m\u2028.png", "a\\x0ab\\x1b[31m\\u2028.png"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_people_see(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(Path(name)) == shown


@given(st.binary(max_size=40))
def test_every_name_reads_back_from_json(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    path, text = tmp_path_factory.getbasetemp() / "names.json", name.decode("utf-8", "surrogateescape")
    write_json(path, {text: [text, "é"]})
    assert json.loads(path.read_text("utf-8")) == {text: [text, "é"]}
    printable(text).encode("utf-8")


def test_json_keeps_what_needs_no_escape(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"driving": os.fsdecode("танец".encode() + b"\xe9")})
    assert (tmp_path / "a.json").read_bytes().strip() == '{\n  "driving": "танец\\udce9"\n}'.encode()


def test_temporary_names_are_names(tmp_path: Path) -> None:
    for stem in (b"caf\xe9", "т".encode() * 120, b"\xff" * 250):
        partial = partial_name(tmp_path / os.fsdecode(stem + b".mp4"))
        partial.touch()
        partial.unlink()


def test_folders_with_such_names_have_a_checksum(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xe9.png")).write_bytes(b"1")
    first = Checksums().of(tmp_path)
    (tmp_path / os.fsdecode(b"\xe9.png")).rename(tmp_path / os.fsdecode(b"\xe8.png"))
    assert Checksums().of(tmp_path) != first
