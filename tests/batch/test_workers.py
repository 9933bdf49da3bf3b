"""Rows in processes of their own and on a real Ray cluster: workers are really killed, and the frames are the same."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from mcld_anim.batch.job import BatchResult, run_batch
from mcld_anim.batch.processes import gpus_for
from mcld_anim.core.errors import MissingDependencyError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.options.batch import BatchOptions
from mcld_anim.options.model import ModelOptions
from mcld_anim.setup.convert import convert

ROOT = Path(__file__).parent.parent.parent
WORKERS = 2
CLIP = "long.mp4"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in float32 depend on the number of threads; workers take $OMP_NUM_THREADS, this process has one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, media: Path, published_files: Path, small: ModelOptions) -> Path:
    """A long clip and three short rows, with small networks that other processes can load."""
    folder = tmp_path_factory.mktemp("workers")
    convert(published_files, folder / "model", small)
    usual = {"source": str(media / "person.png"), "model": str(folder / "model"), "densepose": "tiny", "face": "none"}
    usual |= {"dtype": "float32", "device": "cpu"}
    short = {**usual, "steps": 1, "guidance": 1.0}
    clip = {**usual, "driving": str(media / "dance.mp4"), "batch_size": 1, "steps": 10}
    rows = [
        {**clip, "output": CLIP},
        {**short, "pose": str(media / "other.png"), "output": "still.png"},
        {**short, "driving": str(media / "dance.mp4"), "max_frames": 2, "output": "short.mp4"},
        {**short, "pose": str(media / "room.png"), "output": "nobody.png"},
    ]
    path = folder / "jobs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def expected(manifest: Path) -> dict[str, np.ndarray]:
    """The frames that this process makes alone."""
    options = BatchOptions(manifest=manifest, output_dir=manifest.parent / "alone")
    assert run_batch(options, on_event=lambda event: None).done == 3
    return frames(manifest.parent / "alone")


def frames(folder: Path) -> dict[str, np.ndarray]:
    """The frames of every result, (F, H, W, 3)."""
    found = {path.name: np.asarray(Image.open(path))[None] for path in folder.glob("*.png")}
    for path in folder.glob("*.mp4"):
        with av.open(str(path)) as video:
            found[path.name] = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    return found


def holder(folder: Path) -> int:
    """The process that makes the long clip."""
    return int(json.loads((folder / f".{Path(CLIP).stem}.mcld-anim" / "holder.json").read_text())["pid"])


def wait_for_frames(folder: Path) -> None:
    """Return when the first frames of the long clip are kept."""
    while not (folder / f".{Path(CLIP).stem}.mcld-anim" / "kept" / "border.1").exists():
        time.sleep(0.01)


class KillOne:
    """A callback that kills the process of the long clip when another row has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.killed: int | None = None

    def __call__(self, stage: str, done: int, _total: int | None) -> None:
        if (stage, done) == ("rows", 1) and self.killed is None:
            wait_for_frames(self._folder)
            self.killed = holder(self._folder)
            assert self.killed != os.getpid()
            os.kill(self.killed, signal.SIGKILL)


Run = Callable[..., tuple[BatchResult, list[Event]]]


@pytest.fixture
def run(manifest: Path, tmp_path: Path) -> Run:
    """Runs the manifest into `tmp_path/out`: the result and the events."""

    def run_with(progress: Progress = ignore_progress, **options: Any) -> tuple[BatchResult, list[Event]]:
        told: list[Event] = []
        given = BatchOptions(manifest=manifest, output_dir=tmp_path / "out", **options)
        return run_batch(given, progress, told.append), told

    return run_with


def check_after_the_kill(folder: Path, told: list[Event], expected: dict[str, np.ndarray]) -> None:
    """The killed worker's row ran again, a refused row did not, and every frame is the same."""
    repeated = [event.message for event in told if event.kind == "row_repeated"]
    assert len(repeated) == 1
    assert re.match(r"line 1: .* runs again", repeated[0])
    rows = {row["output"]: row for row in json.loads((folder / "batch.json").read_text())["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        **dict.fromkeys((CLIP, "still.png", "short.mp4"), "done"),
        "nobody.png": "failed",
    }
    assert (rows[CLIP]["tries"], rows["nobody.png"]["exit_code"]) == (2, 3)
    assert json.loads((folder / "long.run.json").read_text())["resumed_from_frame"] >= 1
    found = frames(folder)
    assert found.keys() == expected.keys()
    assert len(found[CLIP]) == 11
    for name, known in expected.items():
        np.testing.assert_array_equal(found[name], known)
    assert not list(folder.glob(".*"))


def test_a_killed_process_costs_no_row(run: Run, tmp_path: Path, expected: dict[str, np.ndarray]) -> None:
    kill = KillOne(tmp_path / "out")
    result, told = run(kill, workers=WORKERS)
    assert (result.done, result.failed) == (3, 1)
    check_after_the_kill(tmp_path / "out", told, expected)
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_workers_end_with_a_killed_batch_which_goes_on(
    run: Run, manifest: Path, tmp_path: Path, expected: dict[str, np.ndarray]
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "mcld_anim.cli.start", "batch", str(manifest), "--output-dir", str(out)]
    first = subprocess.Popen([*command, "--workers", str(WORKERS)], stderr=subprocess.DEVNULL)
    wait_for_frames(out)
    workers = psutil.Process(first.pid).children()
    assert holder(out) in [worker.pid for worker in workers]
    first.kill()
    first.wait()
    assert not psutil.wait_procs(workers, timeout=20)[1]
    result, _ = run()
    assert (result.done + result.skipped, result.failed) == (3, 1)
    np.testing.assert_array_equal(frames(out)[CLIP], expected[CLIP])


def test_more_workers_than_there_is_room_for_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"--workers 9999: this machine has \d+ CPU cores and no GPU"):
        run(workers=9999)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)  # as on a machine with two GPUs
    assert gpus_for(None) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,GPU-c")
    assert gpus_for(1) == ["GPU-b"]
    with pytest.raises(UsageError, match="--workers 3: 2 GPUs are visible"):
        gpus_for(3)


@pytest.fixture(scope="module")
def cluster(_one_thread: None) -> Iterator[str]:
    """The address of a Ray cluster of two CPUs on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read at the import
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # by default workers give way to everything else
    import ray

    context = ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, object_store_memory=80_000_000)
    yield context.address_info["gcs_address"]
    ray.shutdown()


@pytest.mark.ray
def test_a_killed_ray_worker_costs_no_row(
    cluster: str, run: Run, tmp_path: Path, expected: dict[str, np.ndarray]
) -> None:
    kill = KillOne(tmp_path / "out")
    result, told = run(kill, executor="ray", workers=WORKERS)
    assert (result.done, result.failed) == (3, 1)
    check_after_the_kill(tmp_path / "out", told, expected)
    with pytest.raises(UsageError, match="--workers 3: the Ray cluster has 2 CPU cores and no GPU"):
        run(executor="ray", workers=3)


@pytest.mark.ray
def test_a_ray_cluster_is_used_by_its_address(cluster: str, manifest: Path, tmp_path: Path) -> None:
    """Without a cluster of its own: the command is refused what that one does not have."""
    command = [sys.executable, "-m", "mcld_anim.cli.start", "batch", str(manifest), "--output-dir", str(tmp_path)]
    command += ["--executor", "ray", "--address", cluster, "--workers", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr == (
        "mcld-anim: --workers 9: the Ray cluster has 2 CPU cores and no GPU; ask for less, or add machines\n"
    )


def test_without_ray_one_sentence_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"needs Ray: pip install 'mcld-anim\[ray\]'$"):
        run(executor="ray")


def test_one_file_imports_ray() -> None:
    code = [path for folder in ("mcld_anim", "cli") for path in (ROOT / folder).rglob("*.py")]
    found = [path.name for path in code if re.search(r"^\s*(import|from) ray\b", path.read_text("utf-8"), re.M)]
    assert found == ["ray_executor.py"]
