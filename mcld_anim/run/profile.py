"""`run --profile`: where the time of the frames goes, by operator and by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from mcld_anim.core.durable import durable_file
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages

WARM_BATCHES = 1
"""Batches before those that are recorded: kernels are chosen and memory is reserved in the first."""
RECORDED_BATCHES = 2
"""A batch at the published size makes a trace of some 20 MB."""
MOST_ROWS = 60


@contextmanager
def profiled(output: Path, batches: int, stages: Stages) -> Iterator[Callable[[], None]]:
    """Profile the work in the block; the callable yielded says that a batch of the `batches` is made.

    Writes OUTPUT.profile.txt, a table of operators, and OUTPUT.trace.json, for chrome://tracing or ui.perfetto.dev. The
    stages of the run are ranges in both.
    """
    warm = WARM_BATCHES if batches > WARM_BATCHES else 0
    recorded = max(1, min(RECORDED_BATCHES, batches - warm))
    on_cuda = torch.cuda.is_available()
    table, trace = output.with_suffix(".profile.txt"), output.with_suffix(".trace.json")

    def write(found: profile) -> None:
        by = "self_cuda_time_total" if on_cuda else "self_cpu_time_total"
        rows = found.key_averages().table(sort_by=by, row_limit=MOST_ROWS, max_name_column_width=70)
        with durable_file(table, overwrite=True) as path:
            path.write_text(f"{recorded} of {batches} batches, after {warm} for warm-up\n{rows}\n")
        with durable_file(trace, overwrite=True) as path:
            found.export_chrome_trace(str(path))
        stages.emit(Event("profiled", f"the profile of {recorded} of {batches} batches is in {table} and {trace}"))

    stages.around = record_function
    try:
        with profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])],
            schedule=schedule(wait=0, warmup=warm, active=recorded, repeat=1),
            on_trace_ready=write,
        ) as profiler:
            yield profiler.step
    finally:
        stages.around = nullcontext
