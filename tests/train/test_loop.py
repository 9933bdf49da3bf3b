"""The training loop: a killed and resumed run ends bit for bit like an uninterrupted one."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.errors import McldAnimError, UsageError, WeightsError
from mcld_anim.train.loop import CHECKPOINT_NAME, MAX_BAD_STEPS, LoopOptions, train
from mcld_anim.train.record import Checkpoint, Curve, write_checkpoint, write_weights
from mcld_anim.train.schedule import learning_rate, update_average
from mcld_anim.weights.trained import HEADER_KEY

OPTIONS = LoopOptions(
    steps=30,
    batch_size=4,
    learning_rate=0.05,
    warmup_steps=5,
    ema_decay=0.9,
    checkpoint_steps=7,
    evaluate_minutes=1e9,
    log_steps=2,
    seed=5,
)


class Regression:
    """Learns a linear map through a network with running statistics and dropout, which a resume must restore.

    There is no bias before the normalisation, which would cancel it: its gradient would be pure rounding error, and
    Adam would scale that up like any other.
    """

    def __init__(self, pause: float = 0.0, broken: bool = False, statistics: bool = True) -> None:
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(16) if statistics else nn.LayerNorm(16)
        enter = nn.Linear(3, 16, bias=not statistics)
        self.network: nn.Module = nn.Sequential(enter, norm, nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.pause, self.broken = pause, broken

    def batch(self, rng: np.random.Generator, progress: float) -> Tensor:
        return torch.from_numpy(rng.standard_normal((16, 3)).astype(np.float32) * (1 + 0.1 * progress))

    def loss(self, batch: Tensor, rng: np.random.Generator, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        time.sleep(self.pause)
        error = functional.mse_loss(self.network(batch)[:, 0], batch.sum(1))
        metrics = {"progress": torch.tensor(progress), "drawn": torch.tensor(rng.random())}
        return error * (math.nan if self.broken else 1.0), metrics

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        inputs = torch.eye(3)
        return {"error": float((network(inputs)[:, 0] - 1).abs().mean())}

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        return dict(network.state_dict()), {"network": "regression"}


def state(folder: Path) -> Checkpoint:
    return Checkpoint.read(folder / CHECKPOINT_NAME)


def assert_same_run(one: Path, other: Path) -> None:
    """Same step, network, average, optimizer, metrics and loss curve; only the clock may differ."""
    first, second = state(one), state(other)
    assert first.step == second.step
    assert first.metrics == second.metrics
    for left, right in ((first.network, second.network), (first.average, second.average)):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    moments, others = first.optimizer["state"], second.optimizer["state"]
    assert moments.keys() == others.keys()
    assert all(torch.equal(moments[p][name], others[p][name]) for p in moments for name in moments[p])
    assert curve(one) == curve(other)


def curve(folder: Path) -> list[dict[str, str]]:
    with open(folder / "curve.csv", newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """An uninterrupted run of 30 steps."""
    train(Regression(), OPTIONS, tmp_path / "whole")
    return tmp_path / "whole"


class Killed(Exception):
    """Stands in for the end of the process."""


def test_resume_equals_uninterrupted_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    lines = 0

    def stop_at_log(line: str) -> None:
        nonlocal lines
        lines += 1
        if lines == 9:  # step 18, between the checkpoints of steps 14 and 21
            raise Killed

    parts = tmp_path / "parts"
    with pytest.raises(Killed):
        train(Regression(), OPTIONS, parts, on_log=stop_at_log)
    assert state(parts).step == 14
    assert [row["step"] for row in curve(parts)][-1] == "18"
    torch.manual_seed(99)  # earlier draws of the process must not matter
    train(Regression(), OPTIONS, parts, resume=True)
    assert_same_run(whole, parts)


def test_a_killed_process_loses_only_the_steps_since_its_checkpoint(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    script = (
        "import sys; from pathlib import Path; import torch; from test_loop import OPTIONS, Regression; "
        "from mcld_anim.train.loop import train; torch.set_num_threads(int(sys.argv[2])); "
        "train(Regression(pause=0.1), OPTIONS, Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    threads = str(torch.get_num_threads())  # an earlier test may have changed it, and rounding depends on it
    process = subprocess.Popen([sys.executable, "-c", script, str(folder), threads], env=environment)
    deadline = time.monotonic() + 60
    while not (folder / CHECKPOINT_NAME).exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 7 <= state(folder).step < 30
    assert state(folder).step % 7 == 0
    train(Regression(), OPTIONS, folder, resume=True)
    assert_same_run(whole, folder)


def test_worker_processes_make_the_same_batches(whole: Path, tmp_path: Path) -> None:
    train(Regression(), dataclasses.replace(OPTIONS, workers=2), tmp_path / "workers")
    assert_same_run(whole, tmp_path / "workers")


def test_batches_are_made_in_the_workers_processes(tmp_path: Path) -> None:
    class Places(Regression):
        """Reports in its metrics the process that made a batch."""

        def batch(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, int]:
            return super().batch(rng, progress), os.getpid()

        def loss(self, batch: tuple[Tensor, int], rng: np.random.Generator, progress: float):  # type: ignore[no-untyped-def, override]
            return super().loss(batch[0], rng, progress)[0], {"process": torch.tensor(batch[1])}

    for workers in (0, 2):
        train(Places(), dataclasses.replace(OPTIONS, workers=workers, log_steps=1), tmp_path / str(workers))
    assert {row["process"] for row in curve(tmp_path / "0")} == {str(os.getpid())}
    elsewhere = {row["process"] for row in curve(tmp_path / "2")}
    assert len(elsewhere) == 2
    assert str(os.getpid()) not in elsewhere


def test_a_batch_that_cannot_be_made_ends_the_training(tmp_path: Path) -> None:
    class Damaged(Regression):
        def batch(self, rng: np.random.Generator, progress: float) -> Tensor:
            raise McldAnimError("shard_00003_iuv.npy is damaged")

    for workers in (0, 2):
        with pytest.raises(McldAnimError, match=r"^shard_00003_iuv.npy is damaged$"):
            train(Damaged(), dataclasses.replace(OPTIONS, workers=workers), tmp_path / str(workers))
        assert not multiprocessing.active_children()


def test_workers_end_with_the_training(tmp_path: Path) -> None:
    train(Regression(), dataclasses.replace(OPTIONS, workers=2), tmp_path)
    assert not multiprocessing.active_children()


def test_workers_begin_where_a_resumed_run_stands(tmp_path: Path) -> None:
    """With a wall-clock budget too, the batches requested before the first step know the run's progress."""

    class Placed(Regression):
        def batch(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, float]:
            return super().batch(rng, progress), progress

        def loss(self, batch: tuple[Tensor, float], rng: np.random.Generator, progress: float):  # type: ignore[no-untyped-def, override]
            return super().loss(batch[0], rng, progress)[0], {"progress": torch.tensor(batch[1])}

    by_clock = dataclasses.replace(OPTIONS, steps=None, minutes=1.0, log_steps=1)
    train(Placed(), dataclasses.replace(by_clock, steps=3), tmp_path)
    checkpoint = state(tmp_path)
    write_checkpoint(tmp_path / CHECKPOINT_NAME, dataclasses.replace(checkpoint, seconds=57.0))
    train(Placed(), dataclasses.replace(by_clock, workers=2), tmp_path, resume=True)
    assert min(float(row["progress"]) for row in curve(tmp_path)[3:]) > 0.9


def test_two_processes_compute_what_one_with_two_batches_does(tmp_path: Path) -> None:
    """Real processes under torchrun: the mean gradient, the steps and the files are the same."""
    options = dataclasses.replace(OPTIONS, steps=6)
    train(Regression(statistics=False), dataclasses.replace(options, accumulate=2), tmp_path / "one")
    script = tmp_path / "two.py"
    script.write_text(
        "import dataclasses, sys; from pathlib import Path\n"
        "from test_loop import OPTIONS, Regression\n"
        "from mcld_anim.train.loop import train\n"
        "options = dataclasses.replace(OPTIONS, steps=6)\n"
        "train(Regression(statistics=False), options, Path(sys.argv[1]), on_log=print)\n"
    )
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])  # the same package as here
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *launch, str(script), str(tmp_path / "two")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 6 ") == 2, "the main process alone logs the step and the evaluation"
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    assert one.step == two.step == 6
    for name, tensor in one.network.items():
        torch.testing.assert_close(two.network[name], tensor, rtol=1e-4, atol=1e-6)
    single = tmp_path / "single"
    train(Regression(statistics=False), options, single)
    assert any(not torch.allclose(state(single).network[name], tensor) for name, tensor in one.network.items())


def test_half_precision_computes_in_half_and_keeps_full_weights(tmp_path: Path) -> None:
    script = (
        "import dataclasses, sys; from pathlib import Path; from test_loop import OPTIONS, Regression; "
        "from mcld_anim.train.loop import train; "
        "train(Regression(), dataclasses.replace(OPTIONS, steps=60, precision='bfloat16'), Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "half")], env=environment, check=True)
    train(Regression(), dataclasses.replace(OPTIONS, steps=60), tmp_path / "full")
    half, full = state(tmp_path / "half"), state(tmp_path / "full")
    assert half.network["0.weight"].dtype == torch.float32
    difference = (half.network["0.weight"] - full.network["0.weight"]).abs().max()
    assert 0 < difference < 0.2
    assert half.metrics["error"] < 0.8


def test_it_learns_and_reports(tmp_path: Path) -> None:
    with torch.no_grad():
        before = Regression().evaluate(Regression().network.eval())["error"]
    result = train(Regression(), dataclasses.replace(OPTIONS, steps=300), tmp_path)
    assert result.steps == 300
    assert result.metrics["error"] < 0.5 * before
    losses = [float(row["loss"]) for row in curve(tmp_path)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_weights_are_half_precision_and_describe_themselves(whole: Path) -> None:
    with safe_open(whole / "weights.safetensors", "pt") as file:
        header = json.loads(file.metadata()[HEADER_KEY])
        weight = file.get_tensor("0.weight")
    assert header["network"] == "regression"
    assert header["steps"] == 30
    assert header["measured"] == state(whole).metrics
    assert weight.dtype == torch.float16
    assert torch.equal(weight, state(whole).average["0.weight"].half())


def test_a_finished_run_is_not_begun_again_by_accident(whole: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train(Regression(), OPTIONS, whole)


def test_a_run_is_not_resumed_with_other_options(whole: Path) -> None:
    with pytest.raises(UsageError, match="crop"):
        train(Regression(), OPTIONS, whole, resume=True, describe={"crop": 64})


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_NAME).write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="not a checkpoint"):
        train(Regression(), OPTIONS, tmp_path, resume=True)


def test_a_loss_that_stays_nan_ends_the_run_and_spoils_nothing(tmp_path: Path) -> None:
    task = Regression(broken=True)
    before = {name: tensor.clone() for name, tensor in task.network.named_parameters()}
    with pytest.raises(McldAnimError, match=f"{MAX_BAD_STEPS} steps in a row"):
        train(task, OPTIONS, tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in task.network.named_parameters())


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="big"):
        write_weights(tmp_path / "w.safetensors", {"big": torch.tensor([1e6])}, {})
    assert not list(tmp_path.iterdir())


def test_the_curve_is_drawn(whole: Path) -> None:
    drawing = ElementTree.parse(whole / "curve.svg").getroot()
    lines = drawing.findall("{http://www.w3.org/2000/svg}polyline")
    points = [[tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()] for line in lines]
    losses = [float(row["loss"]) for row in curve(whole)]
    assert [len(line) for line in points] == [len(losses)] * 2
    heights = [y for _, y in points[0]]
    assert np.argmax(losses) == np.argmin(heights), "the largest loss is drawn highest"
    assert [x for x, _ in points[0]] == sorted(x for x, _ in points[0])
    assert min(heights) > 0
    assert max(heights) < 420


def test_the_learning_rate_warms_up_and_falls() -> None:
    options = dataclasses.replace(OPTIONS, learning_rate=1.0, warmup_steps=10, decay_from=0.5, final_learning_rate=0.1)
    assert learning_rate(options, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(options, 9, 0.5) == pytest.approx(1.0)
    assert learning_rate(options, 50, 0.75) == pytest.approx(0.55)
    assert learning_rate(options, 99, 1.0) == pytest.approx(0.1)
    assert learning_rate(dataclasses.replace(options, schedule="constant"), 99, 1.0) == pytest.approx(1.0)


def test_the_average_follows_parameters_and_copies_statistics() -> None:
    average, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(network.weight, 3.0)
    assert network.running_mean is not None
    assert average.running_mean is not None
    network.running_mean.fill_(7.0)
    update_average(average, network, decay=0.75, step=10_000)
    assert torch.allclose(average.weight, torch.tensor(1.5))
    assert torch.equal(average.running_mean, network.running_mean)


@pytest.mark.parametrize("wrong", [{"steps": None}, {"batch_size": 0}, {"ema_decay": 1.0}])
def test_impossible_options_are_refused(wrong: dict[str, float | None]) -> None:
    with pytest.raises(ValueError, match="|".join(wrong)):
        dataclasses.replace(OPTIONS, **wrong)  # type: ignore[arg-type]


def test_a_curve_forgets_what_a_resumed_run_repeats(tmp_path: Path) -> None:
    first = Curve(tmp_path / "c.csv", 0)
    for step in (1, 2, 3):
        first.add(step, 0.0, {"loss": step})
    again = Curve(tmp_path / "c.csv", 2)
    again.add(3, 0.0, {"loss": 30.0})
    with open(tmp_path / "c.csv", newline="", encoding="utf-8") as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["1", "2", "30"]


def test_the_end_is_measured_once(tmp_path: Path) -> None:
    train(Regression(), dataclasses.replace(OPTIONS, steps=4, evaluate_minutes=0.0), tmp_path)
    with open(tmp_path / "evaluation.csv", newline="", encoding="utf-8") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
