"""`synth eval`: held-out people only, and figures that tell the model from a broken one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcld_anim.errors import UsageError
from mcld_anim.synthetic.evaluate import EvaluationOptions, compare_iuv, draw_subject, evaluate
from mcld_anim.weights.load import load_models


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
    models = load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
    calls: list[tuple[int, int]] = []
    figures = evaluate(models, EvaluationOptions(people=2, poses=2), lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert figures["person_psnr"] > 16
    assert figures["person_psnr"] > figures["grey_person_psnr"]
    assert figures["person_psnr"] > figures["mean_colour_person_psnr"]
    assert figures["vae_person_psnr"] > 23
    assert figures["right_person_rate"] == 1
