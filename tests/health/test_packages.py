"""Packages that are missing, too old, or in conflict."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from mcld_anim.health import packages as room
from mcld_anim.health.findings import Finding


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Installed versions by distribution."""
    found: dict[str, str] = {"torch": "2.13.0+cpu"}
    monkeypatch.setattr(room, "installed", found.get)
    return found


def conflicts() -> dict[str, Finding]:
    return {one.name: one for one in room.check_conflicts()}


def test_without_a_conflict_there_is_no_finding(versions: dict[str, str]) -> None:
    versions |= {"onnxruntime": "1.32", "opencv-python-headless": "5.0", "decord": "0.6"}
    assert conflicts() == {}


@pytest.mark.parametrize(
    ("both", "name", "remedy"),
    [
        (("onnxruntime", "onnxruntime-gpu"), "onnxruntime", "pip uninstall -y onnxruntime onnxruntime-gpu && pip"),
        (("opencv-python", "opencv-python-headless"), "opencv", "&& pip install opencv-python-headless"),
        (("decord", "decord2"), "decord", "pip uninstall -y decord decord2 && pip install decord"),
    ],
)
def test_pairs_that_share_a_folder_are_found(
    versions: dict[str, str], both: tuple[str, str], name: str, remedy: str
) -> None:
    versions |= dict.fromkeys(both, "1.0")
    found = conflicts()
    assert set(found) == {name}
    assert found[name].level == "bad"
    assert remedy in found[name].remedy
    assert not found[name].blocks


def test_the_gpu_build_is_kept_where_there_is_a_gpu(versions: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    versions |= {"onnxruntime": "1.32", "onnxruntime-gpu": "1.32"}
    monkeypatch.setattr(room.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert conflicts()["onnxruntime"].remedy.endswith("pip install onnxruntime-gpu")


def test_torchvision_must_belong_to_torch(versions: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    versions["torchvision"] = "0.28.0"
    assert conflicts() == {}
    versions["torchvision"] = "0.29.1"
    assert "which needs 0.28" in conflicts()["torchvision"].text
    assert "'torchvision==0.28.*'" in conflicts()["torchvision"].remedy
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it fails
    found = conflicts()["torchvision"]
    assert "does not load beside torch 2.13.0+cpu" in found.text
    assert found.blocks  # transformers would fail with it
    assert "'torchvision==0.28.*'" in found.remedy
    versions["torchvision"] = "0.28.0"
    assert conflicts()["torchvision"].remedy == "pip uninstall -y torchvision"


def test_required_packages_are_installed() -> None:
    (found,) = room.check_required()
    assert (found.level, found.blocks) == ("ok", False)


def test_a_missing_or_outdated_package_blocks(versions: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [
        "torch<2.14,>=2.13",
        "einops>=0.8",
        "typer>=0.15",
        "insightface>=1.0; extra == 'face'",
        "opencv-python-headless",
    ]
    monkeypatch.setattr(room, "requires", lambda name: needed)
    versions |= {"torch": "2.12.1", "typer": "0.20", "opencv-contrib-python": "5.0"}
    (found,) = room.check_required()
    assert (found.level, found.blocks) == ("bad", True)
    assert found.text.startswith("torch 2.12.1 (needs ")
    assert "einops is missing (needs >=0.8)" in found.text
    assert "insightface" not in found.text
    assert "opencv" not in found.text


def test_optional_packages_are_found_but_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None if name == "dlib" else object())
    found = {one.name: one for one in room.check_optional()}
    assert (found["dlib"].level, found["dlib"].remedy) == ("note", "pip install 'mcld-anim[dlib]'")
    assert all(one.level == "ok" for name, one in found.items() if name != "dlib")
    assert set(found) == set(room.OPTIONAL)
