"""`synth retarget`: what its figures say of IUV that are right, wrong, or retargeted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.retarget import (
    WAYS,
    WayTotals,
    draw_pair,
    lowest,
    part_distances,
    retarget_figures,
    retargeted_dance,
)
from mcld_anim.model.load import load_models


def test_the_truth_itself_is_perfect_and_a_moved_one_is_as_far_off_as_it_was_moved() -> None:
    truth = draw_pair(980_203, 980_204, 1, 128).truths[0].iuv
    moved = np.roll(truth, (-3, 4), (0, 1))
    perfect, off = WayTotals(person_psnr=[0.0]), WayTotals(person_psnr=[0.0])
    perfect.add(truth, truth)
    off.add(moved, truth)
    figures = perfect.figures("a") | off.figures("b")
    assert (figures["a_iou"], figures["a_part_accuracy"]) == (1, 1)
    assert (figures["a_part_error"], figures["a_foot_error"]) == (0, 0)
    assert figures["b_part_error"] == pytest.approx(5)
    assert figures["b_foot_error"] == 3
    assert figures["b_iou"] < 0.8
    assert figures["b_part_accuracy"] < 0.8
    assert part_distances(np.zeros_like(truth), truth) == []
    assert lowest(np.zeros_like(truth)) == -1


def test_everybody_stands_on_one_floor_and_in_the_frame() -> None:
    pair = draw_pair(980_208, 980_209, 4, 128)
    assert len(pair.driving) == len(pair.truths) == 4
    for frame, truth in zip(pair.driving, pair.truths, strict=True):
        assert abs(lowest(frame.iuv) - lowest(truth.iuv)) <= 1
        for iuv in (frame.iuv, truth.iuv, pair.photo.iuv):
            assert not iuv[0].any()
            assert not iuv[:, 0].any()
            assert not iuv[:, -1].any()
            assert lowest(iuv) < 127


def test_each_way_is_nearer_to_the_truth_than_the_one_before() -> None:
    pair, iou = draw_pair(980_203, 980_204, 6, 160), {}
    for way in WAYS:
        totals = WayTotals(person_psnr=[0.0])
        for made, truth in zip(retargeted_dance(pair, way), pair.truths, strict=True):
            totals.add(made, truth.iuv)
        iou[way] = totals.figures(way)[f"{way}_iou"]
    assert iou["off"] + 0.02 < iou["scale"] < iou["limbs"] - 0.01


def test_the_command_s_figures_with_the_embedded_model() -> None:
    models = load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
    calls: list[tuple[int, int]] = []
    figures = retarget_figures(models, 980_203, 2, 2, lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]
    names = ("iou", "part_accuracy", "part_error", "foot_error", "person_psnr")
    assert list(figures) == [f"{way}_{name}" for way in WAYS for name in names]
    assert figures["limbs_iou"] > figures["off_iou"] + 0.03
    assert figures["limbs_person_psnr"] > figures["off_person_psnr"] + 1
    assert figures["limbs_foot_error"] <= 1


@pytest.mark.parametrize(("seed", "people"), [(899_999, 4), (980_000, 1)])
def test_training_people_and_one_person_alone_are_refused(seed: int, people: int) -> None:
    models = load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
    with pytest.raises(UsageError, match=r"900000 or more|--people must be 2"):
        retarget_figures(models, seed, people, 2)
