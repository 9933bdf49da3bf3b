"""Training of the DensePose network on a few rendered people: batches, loss, evaluation, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mcld_anim.pose.tiny import load_tiny_pose_backend
from mcld_anim.pose.tiny_network import DensePoseMaps, TinyDensePose, TinyDensePoseOptions, Window
from mcld_anim.train.body_augment import BodyAugmentOptions
from mcld_anim.train.densepose import DensePoseTask, DensePoseTrainingOptions, cell_labels, draw_window, measure
from mcld_anim.train.loop import CHECKPOINT_NAME, train
from mcld_anim.train.record import Checkpoint
from mcld_anim.train.views import PeopleViews

from .conftest import LAST_DEVELOPS, LOOP


def densepose_task(people: Path) -> DensePoseTask:
    """A small network on unaugmented views."""
    options = DensePoseTrainingOptions(
        network=TinyDensePoseOptions((8, 16, 16, 32), (1, 1, 1, 1)),
        loop=dataclasses.replace(
            LOOP, steps=16, batch_size=3, learning_rate=1e-2, ema_decay=0.9, checkpoint_steps=None
        ),
        data=LAST_DEVELOPS,
        augment=BodyAugmentOptions(replaced_background=0.0, small=0.0, close=0.0, empty=0.0, dressed=0.0),
        backgrounds=2,
        measured_views=2,
    )
    return DensePoseTask(options, people)


def loss(task: DensePoseTask, seed: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    rng = np.random.default_rng(seed)
    return task.loss(task.batch(rng, 0.0), rng, 0.0)


def test_densepose_batches_can_be_all_from_behind(people: Path) -> None:
    options = dataclasses.replace(densepose_task(people).options, back_views=1.0)
    task = DensePoseTask(options, people)
    labels = torch.cat([task.batch(np.random.default_rng(seed), 0.0)[1][..., 0] for seed in range(4)])
    assert (labels == 1).sum() > (labels == 2).sum() > 0


def test_densepose_training_lowers_its_loss(people: Path, tmp_path: Path) -> None:
    task = densepose_task(people)
    with torch.no_grad():
        before = float(loss(task, 11)[0])
    train(task, task.options.loop, tmp_path / "run")
    with torch.no_grad():
        assert float(loss(task, 11)[0]) < 0.9 * before


def test_densepose_loss_is_least_for_the_true_answer(people: Path) -> None:
    """The loss uses the batch's own labels: right answers cost nothing, wrong U or parts do."""
    task = densepose_task(people)
    labels = task.batch(np.random.default_rng(4), 0.0)[1].numpy()

    def metrics(answer: np.ndarray) -> dict[str, float]:
        task.network = Oracle(answer, certainty=50.0)
        return {name: float(value) for name, value in loss(task, 4)[1].items()}

    right = metrics(labels)
    assert max(right[name] for name in ("parts", "cells", "uv")) < 1e-6
    moved = labels.copy()
    moved[..., 1] = np.where(labels[..., 1] > 127, labels[..., 1] - 51, labels[..., 1] + 51)
    assert metrics(moved)["uv"] == pytest.approx(0.2, abs=0.01)
    wrong = metrics(np.roll(labels, 40, axis=2))
    assert min(wrong["parts"], wrong["cells"]) > 1


class Oracle(torch.nn.Module):
    """A network that outputs given labels (B, 256, 256, 3)."""

    def __init__(self, iuv: np.ndarray, certainty: float = 1.0) -> None:
        super().__init__()
        self.iuv, self.certainty = torch.from_numpy(iuv), certainty

    def forward(self, pictures: torch.Tensor, window: Window = (slice(0, 128), slice(0, 128))) -> DensePoseMaps:
        cells = cell_labels(self.iuv)
        rows, columns = (slice(2 * part.start, 2 * part.stop) for part in window)
        u, v = ((cells[..., k])[:, None].expand(-1, 24, -1, -1) for k in (1, 2))
        return DensePoseMaps(self.logits(self.iuv[:, rows, columns, 0]), u, v, self.logits(cells[..., 0]))

    def logits(self, parts: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(parts.long(), 25).permute(0, 3, 1, 2).float() * self.certainty


def test_cells_take_part_and_coordinates_of_the_same_pixels() -> None:
    labels = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    labels[0, 2:4, 4:6] = torch.tensor([[[7, 10, 20], [7, 30, 40]], [[9, 255, 255], [7, 50, 60]]], dtype=torch.uint8)
    cells = cell_labels(labels)
    assert cells.shape == (1, 128, 128, 3)
    torch.testing.assert_close(cells[0, 1, 2], torch.tensor([7.0, 30 / 255, 40 / 255]))
    assert cells.count_nonzero() == 3


def test_windows_lie_inside_and_reach_every_edge() -> None:
    rng = np.random.default_rng(0)
    windows = [draw_window(rng, 127) for _ in range(40)]
    assert {part.start for window in windows for part in window} == {0, 1}
    assert all(part.stop - part.start == 127 for window in windows for part in window)


def test_densepose_measures_are_right_for_known_answers(people: Path) -> None:
    pictures, labels = PeopleViews(people, LAST_DEVELOPS).development_views(3)
    right = measure(Oracle(labels), pictures, labels)
    assert right == {"part_accuracy": 1, "foreground_iou": 1, "uv_error": 0}
    shifted = labels.copy()
    shifted[..., 1:] = np.where(labels[..., 1:] > 127, labels[..., 1:] - 51, labels[..., 1:] + 51)
    assert measure(Oracle(shifted), pictures, labels)["uv_error"] == pytest.approx(0.2, abs=0.01)
    nobody = measure(Oracle(np.zeros_like(labels)), pictures, labels)
    assert (nobody["part_accuracy"], nobody["foreground_iou"]) == (0, 0)


def test_exported_densepose_loads_into_the_backend(people: Path, tmp_path: Path) -> None:
    options = DensePoseTrainingOptions(loop=dataclasses.replace(LOOP, steps=1), data=LAST_DEVELOPS, backgrounds=2)
    options = dataclasses.replace(options, measured_views=1)
    task = DensePoseTask(options, people)
    result = train(task, options.loop, tmp_path / "run")
    network = load_tiny_pose_backend(weights=result.weights).network
    assert isinstance(network, TinyDensePose)
    average = Checkpoint.read(tmp_path / "run" / CHECKPOINT_NAME).average
    for name, tensor in network.state_dict().items():
        wanted = average[name]
        assert torch.equal(tensor, wanted.half().float() if wanted.is_floating_point() else wanted)
