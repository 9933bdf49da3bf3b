"""The inventory: embedded and published files with their size, origin and state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcld_anim.core.checksums import file_sha256
from mcld_anim.weights import published, table
from mcld_anim.weights.inventory import WeightState, inventory
from mcld_anim.weights.origins import HubFile
from mcld_anim.weights.published import PublishedFile, PublishedModel
from mcld_anim.weights.store import PulledFile, add_to_record
from mcld_anim.weights.table import Verification, embedded_table


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the only published model, with one pulled file of two."""
    origin = HubFile("someone/model", ("a.pth",))
    files = tuple(PublishedFile(part, origin, 0, "MIT", True, 1000) for part in ("first", "second"))
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path))
    monkeypatch.setattr(published, "MODELS", (PublishedModel("own", "test", "densepose", files),))
    (tmp_path / "own").mkdir()
    file = tmp_path / "own" / "a.safetensors"
    file.write_bytes(b"12345")
    add_to_record(tmp_path / "own", "first", PulledFile(file.name, 5, file_sha256(file), 7, "0" * 64, "x", {}))
    return tmp_path / "own"


def of_model(name: str, checksums: bool = False) -> list[WeightState]:
    return [state for state in inventory(checksums) if state.model == name]


def test_a_pulled_file_has_its_recorded_size_and_a_missing_one_an_estimate(folder: Path) -> None:
    first, second = of_model("own")
    assert first == WeightState(
        model="own",
        part="first",
        label="own first",
        bytes=5,
        estimated=False,
        licence="MIT",
        origin="someone/model",
        installed=True,
        problem=None,
        remedy="run `mcld-anim models pull own`",
    )
    assert second == replace(
        first, part="second", label="own second", bytes=1000, estimated=True, installed=False, problem="not pulled"
    )


def test_checksums_are_compared_on_request_only(folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(b"12346")
    assert of_model("own")[0].problem is None
    assert of_model("own", checksums=True)[0].problem == "the checksum of a.safetensors differs"
    (folder / "a.safetensors").write_bytes(b"1234")
    assert of_model("own")[0].problem == "a.safetensors has 4 bytes, expected 5"


def test_embedded_files_come_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = embedded_table()
    results = (Verification(rows[0], "checksum differs"), *(Verification(row, None) for row in rows[1:]))
    monkeypatch.setattr(table, "verify_embedded", lambda: results)
    states = inventory(checksums=False)
    assert [state.label for state in states] == [*(row.file for row in rows), "own first", "own second"]
    assert [state.problem for state in states[:2]] == ["checksum differs", None]
    assert (states[0].origin, states[0].remedy) == ("this package", "install mcld-anim again")
    assert all(state.installed and not state.estimated for state in states[: len(rows)])
