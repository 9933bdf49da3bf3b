"""Pulling whole models: licences, disk space, records, conversion and refusals."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.model.choose import ChosenModel, find_model
from mcld_anim.model.load import load_mcld, model_files
from mcld_anim.options.model import ModelOptions
from mcld_anim.setup.pull import PullOptions, pull
from mcld_anim.weights import published, store
from mcld_anim.weights.origins import UrlFile
from mcld_anim.weights.published import PublishedFile, PublishedModel, published_model
from mcld_anim.weights.store import find_problem, is_pulled, model_folder, read_record

SD15 = published_model("mcld-sd15")


def put_on_hub(hub, folder: Path) -> None:
    """Publish the small model's files under the table's repositories and names."""
    for file in SD15.files:
        for name in file.origin.names:
            for path in (folder / name, folder / file.part / name):
                if path.is_file():
                    hub.add(file.origin.repository, name, path.read_bytes())


def agree(_text: str) -> bool:
    return True


def refuse(_text: str) -> bool:
    return False


def test_a_model_is_pulled_converted_and_loads_strictly(hub, published_files: Path, small: ModelOptions) -> None:
    put_on_hub(hub, published_files)
    hub.faults.cuts = 1
    told: list[str] = []
    folder = pull(PullOptions("mcld-sd15", architecture=small), agree, told.append)
    assert folder == model_folder("mcld-sd15")
    assert [text.split()[0] for text in told] == [file.part for file in SD15.files]
    assert is_pulled(SD15)
    assert not (folder / "downloads").exists()
    chosen = ChosenModel("x", small, folder, "insightface")
    mcld = load_mcld(chosen, torch.device("cpu"), torch.float32)
    parts = ["vae", "image_encoder", "reference_net", "denoiser", "pose_guider", "face_tokens"]
    assert list(model_files(chosen)) == parts
    given = torch.load(published_files / "denoising_unet.pth", weights_only=True)
    for key, value in mcld.denoiser.unet.state_dict().items():
        assert torch.equal(value, given[key]), key
    before = len(hub.asked)
    pull(PullOptions("mcld-sd15", architecture=small), refuse, told.append)  # complete: no question, no request
    assert "complete" in told[-1]
    assert len(hub.asked) == before


def test_an_interrupted_pull_resumes_with_the_next_file(hub, published_files: Path, small: ModelOptions) -> None:
    put_on_hub(hub, published_files)
    gone = hub.files.pop("Lotior/mcld/resolve/main/pose_guider.pth")
    with pytest.raises(WeightsError, match=r"has none of pose_guider\.pth"):
        pull(PullOptions("mcld-sd15", architecture=small), agree)
    assert not is_pulled(SD15)
    assert set(read_record(model_folder("mcld-sd15"))) == {"denoising_unet", "reference_unet"}
    with pytest.raises(WeightsError, match="models pull mcld-sd15"):
        find_model("mcld-sd15")
    hub.files["Lotior/mcld/resolve/main/pose_guider.pth"] = gone
    hub.asked.clear()
    pull(PullOptions("mcld-sd15", architecture=small), agree)
    assert not any("unet" in path for _, path, _ in hub.asked)


def test_the_users_own_files_are_used(hub, published_files: Path, small: ModelOptions, tmp_path: Path) -> None:
    given = tmp_path / "mine"
    shutil.copytree(published_files, given / "deeper")
    shutil.move(given / "deeper" / "vae", given / "vae")
    shutil.move(given / "deeper" / "image_encoder", given / "image_encoder")
    pull(PullOptions("mcld-sd15", from_folder=given, architecture=small), agree)
    assert hub.asked == []
    (given / "deeper" / "image_projector.pth").unlink()
    store.remove("mcld-sd15")
    with pytest.raises(WeightsError, match=r"no image_proj_model\.pth or image_projector\.pth for image_proj_model"):
        pull(PullOptions("mcld-sd15", from_folder=given, architecture=small), agree)
    with pytest.raises(UsageError, match="is not a folder"):
        pull(PullOptions("mcld-sd15", from_folder=given / "nothing"), agree)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_halves_the_files(hub, published_files: Path, small: ModelOptions, dtype) -> None:
    folder = pull(PullOptions("mcld-sd15", dtype, published_files, True, small), refuse)
    assert {value.dtype for value in load_file(folder / "denoiser.safetensors").values()} == {getattr(torch, dtype)}


def test_declining_the_licences_stops_before_the_first_byte(hub, small: ModelOptions) -> None:
    shown: list[str] = []
    with pytest.raises(UsageError, match="--accept-licences"):
        pull(PullOptions("mcld-sd15", architecture=small), lambda text: bool(shown.append(text)))
    assert "denoising_unet: none stated (Lotior/mcld/denoising_unet.pth)" in shown[0]
    assert "vae" not in shown[0]
    assert hub.asked == []


def test_a_full_disk_is_detected_first(hub, small: ModelOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage(10**12, 0, 3 * 10**9))
    with pytest.raises(WeightsError, match=r"needs 12\.3 GB on the disk of .*, which has 3\.0 GB left.*MCLD_ANIM_HOME"):
        pull(PullOptions("mcld-sd15", architecture=small), agree)
    with pytest.raises(WeightsError, match=r"needs 7\.9 GB"):
        pull(PullOptions("mcld-sd15", "bfloat16", architecture=small), agree)
    assert hub.asked == []


def test_a_recorded_checksum_is_enforced(hub, published_files: Path, small: ModelOptions) -> None:
    folder = pull(PullOptions("mcld-sd15", "float32", published_files, True, small), refuse)
    (folder / "pose_guider.safetensors").unlink()
    assert find_problem(folder, read_record(folder)["pose_guider"]) == "pose_guider.safetensors is missing"
    state = torch.load(published_files / "pose_guider.pth", weights_only=True)
    key = next(key for key, value in state.items() if value.is_floating_point())
    state[key] = state[key] + 1
    buffer = io.BytesIO()
    torch.save(state, buffer)
    hub.add("Lotior/mcld", "pose_guider.pth", buffer.getvalue())
    with pytest.raises(WeightsError, match=r"is not the file that was pulled before.*models remove mcld-sd15"):
        pull(PullOptions("mcld-sd15", accept_licences=True, architecture=small), refuse)
    hub.add("Lotior/mcld", "pose_guider.pth", (published_files / "pose_guider.pth").read_bytes())
    pull(PullOptions("mcld-sd15", accept_licences=True, architecture=small), refuse)
    assert is_pulled(SD15)


def test_a_damaged_file_is_found_and_pulled_again(hub, published_files: Path, small: ModelOptions) -> None:
    options = PullOptions("mcld-sd15", "float32", published_files, True, small)
    folder = pull(options, refuse)
    content = bytearray((folder / "face_tokens.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "face_tokens.safetensors").write_bytes(content)
    assert find_problem(folder, read_record(folder)["image_proj_model"], checksum=False) is None
    assert "checksum" in str(find_problem(folder, read_record(folder)["image_proj_model"]))
    told: list[str] = []
    pull(options, refuse, told.append)
    assert [text.split()[0] for text in told] == ["image_proj_model"]
    assert find_problem(folder, read_record(folder)["image_proj_model"]) is None


@pytest.mark.parametrize("change", ["missing", "unexpected", "resized", "not finite"])
def test_keys_are_checked_both_ways(
    hub, published_files: Path, small: ModelOptions, tmp_path: Path, change: str
) -> None:
    given = tmp_path / "mine"
    shutil.copytree(published_files, given)
    state = torch.load(given / "denoising_unet.pth", weights_only=True)
    key = "mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_ip.weight"
    words = {
        "missing": rf"missing {key}",
        "unexpected": r"unexpected conv_extra\.weight",
        "resized": rf"{key} \(2, 2\) instead of",
        "not finite": rf"{key} has values that are not finite",
    }
    if change == "missing":
        del state[key]
    elif change == "unexpected":
        state["conv_extra.weight"] = torch.zeros(1)
    else:
        state[key] = torch.zeros(2, 2) if change == "resized" else torch.full_like(state[key], float("nan"))
    torch.save(state, given / "denoising_unet.pth")
    with pytest.raises(WeightsError, match=words[change]):
        pull(PullOptions("mcld-sd15", "float32", given, True, small), refuse)
    assert read_record(model_folder("mcld-sd15")) == {}
    assert not list(model_folder("mcld-sd15").glob("denoiser*"))


def with_table(monkeypatch: pytest.MonkeyPatch, use, origin: UrlFile, part: str = "part", **more) -> PublishedModel:
    """Replace the table by one model of one file."""
    file = PublishedFile(part, origin, 0, "MIT", True, 1000, **more)
    model = PublishedModel("own", "test", use, (file,))
    monkeypatch.setattr(published, "MODELS", (model,))
    return model


def test_densepose_weights_become_safetensors(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"backbone.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
    hub.files["densepose/model_final.pkl"] = pickle.dumps({"model": arrays, "__author__": "x"}, protocol=2)
    with_table(monkeypatch, "densepose", UrlFile(f"{hub.address}/densepose/model_final.pkl"))
    folder = pull(PullOptions("own"), refuse)
    assert torch.equal(load_file(folder / "part.safetensors")["backbone.weight"], torch.arange(6.0).reshape(2, 3))


def test_of_a_metrics_network_only_what_is_used_is_kept(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    torch.save({"features.0.weight": torch.arange(4.0), "classifier.1.weight": torch.zeros(9)}, buffer)
    hub.files["models/net.pth"] = buffer.getvalue()
    with_table(monkeypatch, "metric", UrlFile(f"{hub.address}/models/net.pth"), kept=("features.*",))
    folder = pull(PullOptions("own"), refuse)
    assert load_file(folder / "part.safetensors").keys() == {"features.0.weight"}
    hub.files["models/net.pt"] = b"program"
    with_table(monkeypatch, "metric", UrlFile(f"{hub.address}/models/net.pt"), "other")
    assert (pull(PullOptions("own"), refuse) / "other.torchscript").read_bytes() == b"program"


def test_a_known_checksum_is_enforced_at_the_first_pull(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files["a/b.torchscript"] = b"program"
    with_table(monkeypatch, "torchscript", UrlFile(f"{hub.address}/a/b.torchscript"), sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"is not the published file .SHA-256 .* expected 0000"):
        pull(PullOptions("own"), refuse)
    assert not list(model_folder("own").glob("*.torchscript"))


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def test_the_nested_archive_of_face_models_is_flattened(hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {
        "antelopev2/antelopev2/glintr100.onnx": b"embedder",
        "antelopev2/antelopev2/scrfd.onnx": b"detector",
        "antelopev2/readme.txt": b"hello",
        "../../evil.onnx": b"evil",
    }
    hub.files["a/antelopev2.zip"] = zip_of(files)
    model = with_table(monkeypatch, "faces", UrlFile(f"{hub.address}/a/antelopev2.zip"), "antelopev2")
    folder = pull(PullOptions("own"), refuse)
    assert sorted(path.name for path in folder.iterdir()) == [
        "evil.onnx",
        "glintr100.onnx",
        "record.json",
        "scrfd.onnx",
    ]
    assert not (tmp_path / "evil.onnx").exists()
    record = json.loads((folder / "record.json").read_text())["antelopev2"]
    assert record["file"] == "glintr100.onnx"
    (folder / "scrfd.onnx").write_bytes(b"something else")
    assert find_problem(folder, read_record(folder)["antelopev2"]) == "the checksum of scrfd.onnx differs"
    (folder / "scrfd.onnx").unlink()
    assert not is_pulled(model)


def test_unpacked_face_models_are_used(hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_table(monkeypatch, "faces", UrlFile(f"{hub.address}/a/antelopev2.zip"), "antelopev2")
    inner = tmp_path / "models" / "antelopev2" / "antelopev2"
    inner.mkdir(parents=True)
    (inner / "glintr100.onnx").write_bytes(b"embedder")
    folder = pull(PullOptions("own", from_folder=tmp_path / "models"), refuse)
    assert (folder / "glintr100.onnx").read_bytes() == b"embedder"


@pytest.mark.parametrize("content", [b"<html>not here</html>", zip_of({"a.txt": b""})])
def test_a_file_that_is_no_archive_of_models_is_refused(hub, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    hub.files["a/antelopev2.zip"] = content
    with_table(monkeypatch, "faces", UrlFile(f"{hub.address}/a/antelopev2.zip"))
    with pytest.raises(WeightsError, match=r"not a zip file|holds no \.onnx"):
        pull(PullOptions("own"), refuse)
