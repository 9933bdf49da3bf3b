"""`synth retarget`: its metrics of right, wrong and retargeted IUVs."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.retarget import (
    METHODS,
    MethodMetrics,
    RetargetEvaluationOptions,
    draw_pair,
    lowest_row,
    part_distances,
    retarget_metrics,
    retargeted_dance,
)


def test_the_truth_is_perfect_and_a_shifted_one_is_off_by_the_shift() -> None:
    truth = draw_pair(980_203, 980_204, 1, 128).truths[0].iuv
    moved = np.roll(truth, (-3, 4), (0, 1))
    perfect, off = MethodMetrics(person_psnr=[0.0]), MethodMetrics(person_psnr=[0.0])
    perfect.add(truth, truth)
    off.add(moved, truth)
    metrics = perfect.metrics("a") | off.metrics("b")
    assert (metrics["a_iou"], metrics["a_part_accuracy"]) == (1, 1)
    assert (metrics["a_part_error"], metrics["a_foot_error"]) == (0, 0)
    assert metrics["b_part_error"] == pytest.approx(5)
    assert metrics["b_foot_error"] == 3
    assert metrics["b_iou"] < 0.8
    assert metrics["b_part_accuracy"] < 0.8
    assert part_distances(np.zeros_like(truth), truth) == []
    assert lowest_row(np.zeros_like(truth)) == -1


def test_everybody_stands_on_one_floor_and_in_the_frame() -> None:
    pair = draw_pair(980_208, 980_209, 4, 128)
    assert len(pair.driving) == len(pair.truths) == 4
    for frame, truth in zip(pair.driving, pair.truths, strict=True):
        assert abs(lowest_row(frame.iuv) - lowest_row(truth.iuv)) <= 1
        for iuv in (frame.iuv, truth.iuv, pair.photo.iuv):
            assert not iuv[0].any()
            assert not iuv[:, 0].any()
            assert not iuv[:, -1].any()
            assert lowest_row(iuv) < 127


def test_each_way_is_nearer_to_the_truth_than_the_one_before() -> None:
    pair, iou = draw_pair(980_203, 980_204, 6, 160), {}
    for method in METHODS:
        measured = MethodMetrics(person_psnr=[0.0])
        for made, truth in zip(retargeted_dance(pair, method), pair.truths, strict=True):
            measured.add(made, truth.iuv)
        iou[method] = measured.metrics(method)[f"{method}_iou"]
    assert iou["off"] + 0.02 < iou["scale"] < iou["limbs"] - 0.01


def test_the_command_s_metrics_with_the_embedded_model() -> None:
    calls: list[tuple[int, int]] = []
    options = RetargetEvaluationOptions(people=2, frames=2, first_seed=980_203)
    metrics = retarget_metrics(options, on_person=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]
    names = ("iou", "part_accuracy", "part_error", "foot_error", "person_psnr")
    assert list(metrics) == [f"{method}_{name}" for method in METHODS for name in names]
    assert metrics["limbs_iou"] > metrics["off_iou"] + 0.03
    assert metrics["limbs_person_psnr"] > metrics["off_person_psnr"] + 1
    assert metrics["limbs_foot_error"] <= 1


@pytest.mark.parametrize(("seed", "people"), [(899_999, 4), (980_000, 1)])
def test_training_people_and_a_single_person_are_refused(seed: int, people: int) -> None:
    with pytest.raises(UsageError, match=r"900000 or more|--people must be 2"):
        RetargetEvaluationOptions(people=people, first_seed=seed)
