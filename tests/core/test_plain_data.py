"""JSON and YAML from anywhere: plain data within limits, or a refusal of one short line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mcld_anim.core import plain_data
from mcld_anim.core.bounded_files import UnboundedError, read_bytes
from mcld_anim.core.plain_data import MOST_DEPTH, PlainDataError, parse_json, parse_yaml, shown, yaml_items
from mcld_anim.core.tables import read_text

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 9))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 500))

HOSTILE = {
    "lists": "[" * 3000 + "]" * 3000,
    "open lists": "[" * 100_000,
    "maps": "{a: " * 3000 + "1" + "}" * 3000,
    "dashes": "- " * 5000 + "a",
    "laughs": LAUGHS,
    "merged laughs": MERGES,
    "a chain of anchors": CHAIN,
    "itself": "&a [*a]",
    "merged itself": "&a {<<: *a}",
    "no month": "a: 2001-99-99",
    "no day": "2001-02-30T99:99:99: b",
    "digits": "9" * 5000,
    "more digits than a float has": "[" + "9" * 400 + "]",
    "hexadecimal": "0x" + "f" * 5000,
    "sexagesimal": ":".join(["1"] * 3000),
    "surrogate": '"\\ud800"',
    "surrogate as key": '{"\\udfff": 1}',
    "NUL": '["a\\0b"]',
    "tag of time": "!!timestamp x",
    "tag of int": "!!int x",
    "tag of int alone": "!!int ",
    "tag of float alone": "[!!float '']",
    "tag of float": "!!float x",
    "tag of bool": "!!bool x",
    "object": "!!python/object/apply:os.system ['touch hacked']",
    "list as key": "{[1, 2]: 3}",
    "NUL in the file": "a: \0",
}


@pytest.fixture(params=["C", "Python"])
def _either_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML with libyaml, and without it."""
    if request.param == "Python":
        monkeypatch.setattr(plain_data, "_LOADER", plain_data.yaml.SafeLoader)


@pytest.mark.usefixtures("_either_loader")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_in_a_short_line(name: str) -> None:
    began = time.process_time()
    with pytest.raises(PlainDataError) as caught:
        parse_yaml(HOSTILE[name])
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 350
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2),
        "9" * 5000,
        "[" + "9" * 400 + "]",
        '"\\ud800"',
        '{"a\\u0000b": 1}',
        "[0," * 10,
        "",
        " " * 2_000_000,
        "[" + "0," * 400_000 + "0]" + " " * 300_000,
    ],
)
def test_hostile_json_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(PlainDataError) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 350
    assert "\n" not in str(caught.value)


def test_what_people_write_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, null, "caf\\u00e9", "caf\\udce9"]}') == {"a": [1, 2.5, None, "café", "caf\udce9"]}
    text = "base: &base {steps: 4, seed: 9223372036854775807}\nrow: {<<: *base, blend: 1e-1}\nday: 2024-02-29\n"
    read = parse_yaml(text)
    assert read["row"] == {"steps": 4, "seed": 2**63 - 1, "blend": "1e-1"}
    assert parse_yaml("") is None
    assert parse_yaml("[" * MOST_DEPTH + "]" * MOST_DEPTH)


def test_items_of_a_list_fail_one_by_one() -> None:
    text = "- &a {x: 1}\n- 2001-99-99\n\n- {<<: *a, y: 2}\n- {k: 1, k: 2}\n- {? [a] : 3}\n"
    items = dict(yaml_items(text))
    assert list(items) == [1, 2, 4, 5, 6]
    assert (items[1], items[4]) == ({"x": 1}, {"x": 1, "y": 2})
    assert [line for line, item in items.items() if isinstance(item, PlainDataError)] == [2, 5, 6]
    assert list(yaml_items("")) == []
    with pytest.raises(PlainDataError, match="expected a list"):
        list(yaml_items("a: 1"))
    for text in (f"- {LAUGHS!r}\n- &a [*a]", "- [" + LAUGHS.replace("\n", ", ") + "]", "- " * 5000 + "a"):
        with pytest.raises(PlainDataError):
            list(yaml_items(text))


def test_a_value_is_shown_in_a_short_line() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in ("x" * 10**6, [["y" * 1000] * 1000] * 1000, 10**400, 16**5000, endless, {"a": {"b": {"c": endless}}}):
        assert len(shown(value)) < 400
    assert shown("four") == "'four'"


def test_only_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(UnboundedError, match="more than"):
        read_bytes(tmp_path / "file", 4)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link", "."):
        with pytest.raises(UnboundedError, match=r"a device or a pipe|a folder"):
            read_bytes(tmp_path / name, 5)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**12)  # without content on disk
    with pytest.raises(UnboundedError, match="more than 64 MB"):
        read_text(tmp_path / "large")
