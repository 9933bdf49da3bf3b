"""`synth eval`: it takes held-out people only, and its metrics distinguish the model from a broken one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mcld_anim.body.clip import FramePose, clip_frames
from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.densepose import compare_iuv
from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.evaluate.faces import swap_drops
from mcld_anim.evaluate.held_out import EvaluationOptions, default_settings, draw_subject, evaluate
from mcld_anim.model.appearance import encode_source, with_face
from mcld_anim.sampling.frame_maker import FrameMaker


def test_training_seeds_are_refused() -> None:
    with pytest.raises(UsageError, match="900000"):
        EvaluationOptions(people=2, poses=1, first_seed=899_999)


def test_truth_compared_with_itself_is_perfect_and_with_a_wrong_part_is_not() -> None:
    truth = draw_subject(900_000, 1, 128).truths[0].iuv
    perfect = compare_iuv(truth, truth)
    assert (perfect["densepose_part_accuracy"], perfect["densepose_foreground_iou"]) == (1, 1)
    assert perfect["densepose_uv_error"] == 0
    wrong = truth.copy()
    wrong[..., 0] = np.where(truth[..., 0] == 2, 1, truth[..., 0])
    torso = (truth[..., 0] == 2).sum() / (truth[..., 0] > 0).sum()
    assert compare_iuv(wrong, truth)["densepose_part_accuracy"] == pytest.approx(1 - torso)


def test_the_embedded_model_beats_naive_predictors_on_held_out_people() -> None:
    calls: list[tuple[int, int]] = []
    few = replace(default_settings(load_embedded_models().mcld), steps=6)
    options = EvaluationOptions(people=2, poses=2, identities=12, clips=1, clip_frames=4, settings=few)
    metrics = evaluate(options, on_frame=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 4), (4, 4)]
    assert metrics["person_psnr"] > 16
    assert metrics["person_psnr"] > metrics["grey_person_psnr"]
    assert metrics["person_psnr"] > metrics["mean_colour_person_psnr"]
    assert metrics["vae_person_psnr"] > 23
    assert metrics["right_person_rate"] == 1
    assert metrics["face_accuracy"] > 0.9
    assert 0 < metrics["truth_texture_change"] < metrics["texture_change"] < 40
    assert metrics["texture_change_ratio"] == pytest.approx(metrics["texture_change"] / metrics["truth_texture_change"])
    assert metrics["face_swap_drop_low"] <= metrics["face_swap_drop"] <= metrics["face_swap_drop_high"]


def test_a_swapped_face_drops_the_similarity() -> None:
    """Swapping in the photo's own face changes nothing; another face changes the frame."""
    models = load_embedded_models()
    settings = default_settings(models.mcld)
    own, other = (draw_subject(seed, 1, 256) for seed in (900_003, 900_004))
    shown = own.photo.picture, own.photo.iuv
    source = encode_source(*shown, models.mcld, models.face_in(*shown))
    clip = list(clip_frames([FramePose(own.photo.iuv)]))
    made = FrameMaker(models.mcld, source, settings).make(clip)
    (same,), (other_face,) = (
        swap_drops(models.mcld, models.face_backend, settings, source, photo, [own.photo], made)
        for photo in (own.photo, other.photo)
    )
    assert same == 0
    assert other_face != 0
    assert models.face_backend is not None
    another = models.face_backend.largest(other.photo.picture, other.photo.iuv)
    assert another is not None
    swapped = with_face(source, another, models.mcld)
    frame = FrameMaker(models.mcld, swapped, settings).make(clip)[0]
    assert np.abs(made[0].astype(int) - frame).max() > 0
    assert torch.equal(swapped.image_embedding, source.image_embedding)


def test_other_samplers_come_to_what_many_steps_of_ddim_come_to() -> None:
    """And nearer in as few steps: with v-prediction and zero terminal SNR they take no wrong turn."""
    models = load_embedded_models()
    own = draw_subject(900_012, 1, 256)
    source = encode_source(own.photo.picture, own.photo.iuv, models.mcld)
    clip = list(clip_frames([FramePose(own.truths[0].iuv)]))

    def made(name: str, steps: int) -> np.ndarray:
        settings = replace(default_settings(models.mcld), sampler=name, steps=steps)
        return FrameMaker(models.mcld, source, settings).make(clip)[0].astype(float)

    many = made("ddim", 40)
    errors = {name: float(np.abs(made(name, 8) - many).mean()) for name in ("dpm++", "unipc", "ddim")}
    assert max(errors["dpm++"], errors["unipc"]) < 0.85 * errors["ddim"]
    assert errors["ddim"] < 3
