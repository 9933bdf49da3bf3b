"""The harness passes on recorded data and fails on any deviation from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mcld_anim.core.errors import InputError
from mcld_anim.model.focal import route_tokens
from mcld_anim.parity.golden import (
    NOTES,
    CaseResult,
    Golden,
    Replayer,
    compare,
    registered_replayers,
    verify_golden,
)

RECORDED = Path(__file__).parent.parent / "golden"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A writable copy of the recorded data."""
    return Path(shutil.copytree(RECORDED, tmp_path / "golden"))


def failures(results: list[CaseResult]) -> dict[str, str]:
    """Case and reason of everything that did not pass."""
    return {result.case: result.reason for result in results if not result.passed}


@pytest.mark.parametrize(("case", "comparisons"), [("b_*", 2), ("c_*", 5), ("d_pairing*", 1)])
def test_recorded_cases_pass(case: str, comparisons: int) -> None:
    results = verify_golden(RECORDED, only=case)
    assert failures(results) == {}
    assert len(results) == comparisons
    assert all(result.max_difference is not None for result in results)


@torch.no_grad()
def test_a_guided_pass_computes_the_published_numbers() -> None:
    golden = Golden(RECORDED)
    data, bank = golden.tensors("e_unet_cfg"), golden.tensors("d_reference_bank")
    features = {key.split(".", 2)[2]: value for key, value in bank.items() if key.startswith("bank.")}
    denoiser = golden.networks("denoising_unet").denoiser
    tokens = route_tokens(data["image_embeds"], data["texture_embeds"], data["face_tokens"])
    latents, pose = data["latents"][:, :, 0], data["pose_features"][:2, :, 0]
    exact = denoiser.project_source(features, tokens)
    halves = denoiser(latents, data["timestep"], pose, exact, guided=True)
    torch.testing.assert_close(torch.cat(halves), data["noise_pred_bank_float32"][:, :, 0], atol=2e-4, rtol=0)
    rounded = denoiser.project_source(features, tokens, reference_dtype=torch.float16)
    alone = denoiser(latents, data["timestep"], pose, rounded)
    torch.testing.assert_close(alone, data["noise_pred_unguided"][:, :, 0], atol=5e-4, rtol=0)


def test_a_changed_number_fails(folder: Path) -> None:
    path = folder / "cases" / "c_ip_attention.safetensors"
    data = load_file(path)
    data["mid_out"][0, 0, 0] += 1e-4
    save_file(data, path)
    failed = failures(verify_golden(folder, only="c_*"))
    assert set(failed) == {"c_ip_attention: mid", "c_ip_attention.safetensors"}
    assert "SHA256SUMS" in failed["c_ip_attention.safetensors"]


def test_changed_weights_fail(folder: Path) -> None:
    path = folder / "weights" / "pose_guider.safetensors"
    state = load_file(path)
    state["conv_out.bias"] += 1e-3
    save_file(state, path)
    failed = failures(verify_golden(folder, only="b_*"))
    assert set(failed) == {"b_pose_guider: features", "b_pose_guider: frames"}


def test_nan_and_other_shapes_fail(folder: Path) -> None:
    path = folder / "cases" / "c_ip_attention.safetensors"
    data = load_file(path)
    data["up_out"][0, 0, 0] = float("nan")
    data["self_out"] = data["self_out"][:1]
    save_file(data, path)
    (folder / "SHA256SUMS").unlink()
    failed = failures(verify_golden(folder, only="c_*"))
    assert set(failed) == {"c_ip_attention: up", "c_ip_attention: self (2, 20, 12) for (1, 20, 12)"}


def test_a_weight_of_another_name_is_named(folder: Path) -> None:
    path = folder / "weights" / "pose_guider.safetensors"
    state = load_file(path)
    state["blocks.6.weight"] = state.pop("blocks.5.weight").clone()
    save_file(state, path)
    failed = failures(verify_golden(folder, only="b_*"))
    assert "missing blocks.5.weight" in failed["b_pose_guider"]
    assert "unexpected blocks.6.weight" in failed["b_pose_guider"]


def test_missing_files_fail(folder: Path) -> None:
    (folder / "weights" / "denoising_unet.safetensors").unlink()
    (folder / "cases" / "b_pose_guider.pose_0.png").unlink()
    failed = failures(verify_golden(folder))
    assert "denoising_unet.safetensors is missing" in failed["c_ip_attention"]
    assert "b_pose_guider.pose_0.png" in failed["b_pose_guider"]
    assert failed["denoising_unet.safetensors"] == "listed in SHA256SUMS but missing"
    assert failed["a_resampler*.safetensors"] == "no such case in the folder"
    assert failed["vae*.safetensors"] == "no such case in the folder"


def test_unknown_files_fail(folder: Path) -> None:
    (folder / "cases" / "z_new_case.safetensors").write_bytes(b"")
    failed = failures(verify_golden(folder, only="z_*"))
    assert failed == {"z_new_case.safetensors": "no replayer knows this file"}


def test_notes_are_not_cases(folder: Path) -> None:
    for name in NOTES:
        (folder / "cases" / name).write_text("{}")
    assert not set(NOTES) & set(failures(verify_golden(folder)))


def test_a_pattern_without_cases_fails(folder: Path) -> None:
    assert failures(verify_golden(folder, only="nothing*")) == {"nothing*": "no case of this name in the folder"}


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a golden folder"):
        verify_golden(tmp_path)
    with pytest.raises(InputError, match="not a golden folder"):
        verify_golden(tmp_path / "none")


def test_an_incomplete_configuration_is_named(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["unet_2d"]["norm_num_groups"]
    path.write_text(json.dumps(config))
    assert "norm_num_groups" in failures(verify_golden(folder, only="c_*"))["c_ip_attention"]


def test_other_picture_sizes_and_counts_are_taken_from_the_folder(folder: Path) -> None:
    """A third sample and smaller pictures: the harness finds them and reports the mismatch with the recording."""
    for path in (folder / "cases").glob("b_pose_guider.pose_*.png"):
        Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save(path)
    Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save(folder / "cases" / "b_pose_guider.pose_2.png")
    failed = failures(verify_golden(folder, only="b_pose_guider"))
    assert "b_pose_guider: features (3, 12, 1, 8, 4) for (2, 12, 1, 16, 16)" in failed


def test_every_published_case_has_a_replayer() -> None:
    names = (
        "a_resampler",
        "b_pose_guider",
        "c_ip_attention",
        "d_reference_bank",
        "e_unet_cfg",
        "e2_unet_frames",
    )
    replayers = registered_replayers()
    for name in (*names, "vae", "f_pipeline_b9_other"):
        assert sum(replayer.claims(f"{name}.safetensors") for replayer in replayers) == 1, name


def test_compare() -> None:
    assert compare("x", torch.ones(2), torch.tensor([1.0, 1.5]), 1).max_difference == 0.5
    assert compare("x", np.zeros(2), torch.zeros(3), 1).max_difference == float("inf")
    assert Replayer(lambda *_: [], "a*.json", ("b_*.png",)).claims("b_1.png")
