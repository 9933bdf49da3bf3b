"""Options from YAML: valid data is converted, and errors name what is invalid."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.options.load import bundled_names, from_mapping, load_yaml, to_mapping
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    kind: Literal["linear", "cosine"] = "linear"


@dataclass(frozen=True)
class Outer:
    steps: int
    inner: Inner = field(default_factory=Inner)
    size: tuple[int, int] = (2, 3)
    widths: tuple[int, ...] = ()
    folder: Path | None = None
    heads: int | tuple[int, ...] = 1
    strict: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, expected at least 1")


FULL = {
    "steps": 4,
    "inner": {"rate": 1, "kind": "cosine"},
    "size": [8, 16],
    "widths": [1, 2, 3],
    "folder": "out",
    "heads": [2, 4],
    "strict": False,
}


def test_values_get_their_types() -> None:
    options = from_mapping(Outer, FULL, "a.yaml")
    assert options == Outer(4, Inner(1.0, "cosine"), (8, 16), (1, 2, 3), Path("out"), (2, 4), strict=False)
    assert isinstance(options.inner.rate, float)


def test_mapping_round_trip() -> None:
    options = from_mapping(Outer, FULL, "a.yaml")
    assert from_mapping(Outer, to_mapping(options), "a.yaml") == options


def test_a_number_without_a_dot_before_its_exponent_is_a_number() -> None:
    assert from_mapping(Inner, {"rate": "1e-5"}, "a.yaml").rate == 1e-5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 3}, ["stepz", "a.yaml", "steps"]),
        ({"steps": "four"}, ["steps", "'four'", "int"]),
        ({"steps": True}, ["steps", "True", "int"]),
        ({"steps": 0}, ["steps is 0", "at least 1"]),
        ({"inner": {"kind": "cubic"}}, ["kind", "'cubic'", "linear, cosine"]),
        ({"inner": {"rat": 1}}, ["rat", "inner", "rate, kind"]),
        ({"inner": 3}, ["inner", "mapping"]),
        ({"size": [1]}, ["size", "1 values", "2"]),
        ({"size": [1, "x"]}, ["size[1]", "'x'"]),
        ({"widths": 5}, ["widths", "list"]),
        ({"heads": "many"}, ["heads", "'many'"]),
        ({"strict": 1}, ["strict", "bool"]),
        ({"steps": None}, ["steps"]),
    ],
)
def test_refusals_name_key_and_file(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping(Outer, FULL | change, "a.yaml")
    assert "\n" not in str(caught.value)
    for word in ["a.yaml", *words]:
        assert word in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UsageError, match="missing key steps"):
        from_mapping(Outer, {}, "a.yaml")


def test_files_by_path(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("steps: 7\n")
    assert load_yaml(Outer, path).steps == 7
    path.write_text("steps: [\n")
    with pytest.raises(UsageError, match=r"own\.yaml.*YAML"):
        load_yaml(Outer, path)
    with pytest.raises(UsageError, match="no such configuration file"):
        load_yaml(Outer, tmp_path / "none.yaml")


def test_an_unknown_bundled_name_lists_the_known_ones() -> None:
    assert {"tiny", "mcld_sd15"} <= set(bundled_names("model"))
    with pytest.raises(UsageError, match=r"mcld_sd15.*tiny"):
        load_yaml(Outer, "huge", folder="model")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_as_editors_save_them(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.yaml").write_bytes("# größer\r\nrate: 0.25\r\n".encode(encoding))
    assert load_yaml(Inner, tmp_path / "a.yaml") == Inner(0.25)
    (tmp_path / "run.yaml").write_bytes("# größer\r\nsteps: 7\r\n".encode(encoding))
    given = {"config": tmp_path / "run.yaml", "source": Path("a.png"), "driving": Path("v.mp4")}
    assert resolve_options(RunOptions, given).steps == 7


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("# größer\nrate: 0.25\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"a\.yaml: not readable as text"):
        load_yaml(Inner, tmp_path / "a.yaml")
