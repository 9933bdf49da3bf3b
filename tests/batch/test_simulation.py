"""The simulated cluster: where time goes by hand, and the table of the README."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mcld_anim.batch.simulation import Cluster, cases, simulate
from mcld_anim.core.errors import UsageError

README = Path(__file__).parent.parent.parent / "README.md"

ONE = Cluster(
    jobs=3, gpus=1, sources=1, drivings=1, frames=10, frame_seconds=1.0, pose_seconds=7.0, source_seconds=5.0,
    model_gb=4.0, start_seconds=20.0, input_gb=0.5, cached_gb=0.2, frame_gb=0.05, result_gb=1.0, storage_gb=1.0,
    answer_seconds=0.0,
)  # fmt: skip


def test_one_worker_by_hand() -> None:
    start, row, first_row = 4 + 20, 0.5 + 0.2 + 10 + 2 * 10 * 0.05 + 1.0, 5 + 7
    usage = simulate(ONE)
    assert usage.hours * 3600 == pytest.approx(start + 3 * row + first_row)
    assert usage.gpu == pytest.approx(30 / (usage.hours * 3600))
    assert usage.last_start == 24
    assert usage.terabytes == pytest.approx((4 + 3 * (0.5 + 0.2 + 1 + 1)) / 1000)
    without = simulate(replace(ONE, has_caches=False, keeps_models=False))
    assert without.hours * 3600 == pytest.approx(3 * (start + row + first_row - 0.2))


def test_workers_wait_for_each_other_at_storage() -> None:
    """Ten workers read 4 GB each at 1 GB/s: the last begins after 40 s, and more of them do not help."""
    assert simulate(replace(ONE, jobs=10, gpus=10)).last_start == 40 + 20
    slow = replace(ONE, jobs=100, frames=1, gpus=10)
    usage = simulate(slow)
    assert usage.fullest == "storage"
    assert simulate(replace(slow, gpus=20)).hours > 0.9 * usage.hours
    with pytest.raises(UsageError, match="--gpus 0"):
        Cluster(gpus=0)


def test_the_table_of_the_readme_is_what_comes_out() -> None:
    found = {name: simulate(case) for name, case in cases(Cluster()).items()}
    rows = re.findall(r"^\| (1000? GPUs.*?) \| (.*) \|$", README.read_text(encoding="utf-8"), re.M)
    assert len(rows) == 2
    for shown, numbers in rows:
        usage = found[shown.partition(":")[0]]
        shares = (f"{100 * share:.0f} %" for share in (usage.gpu, usage.storage, usage.driver))
        assert numbers == " | ".join((f"{usage.hours:.1f}", *shares)), shown
        if "loading models takes" in shown:
            assert f"{usage.last_start / 3600:.1f} hours" in shown
            assert usage.fullest == "storage"
