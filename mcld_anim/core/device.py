"""The device and dtype of a run, and its peak memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

from mcld_anim.core.errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch's CPU operators on one thread: more of them slow small tensors down, tenfold where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first of cuda, mps, cpu that this machine has."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present.get(name):
        others = ", ".join(device for device, there in present.items() if there)
        raise UsageError(f"--device {name} is not available here (PyTorch {torch.__version__} sees {others})")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype called `name`; "auto" is the fastest on `device` that keeps picture quality.

    Accelerators use half precision: bfloat16 where CUDA supports it, since it cannot overflow, otherwise float16. A CPU
    uses bfloat16 only with AMX tiles or AVX-512 BF16 instructions. Without them it is emulated, about 100 times slower
    than float32 (measured on an AVX2 machine).
    """
    if name != "auto":
        if name == "float16" and device.type == "cpu":
            raise UsageError("--dtype float16 is for accelerators: on a CPU choose float32 or auto")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has matrix instructions for bfloat16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def peak_memory_bytes(device: torch.device) -> dict[str, int]:
    """Peak memory of this process in bytes: main memory, and the accelerator's if there is one."""
    peaks = {"main": _peak_resident_bytes()}
    if device.type == "cuda":
        peaks["accelerator"] = torch.cuda.max_memory_allocated(device)
    elif device.type == "mps":
        peaks["accelerator"] = torch.mps.driver_allocated_memory()
    return peaks


def _peak_resident_bytes() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    with suppress(OSError):  # getrusage would give the peak of the process that started this one, if that is higher
        status = Path("/proc/self/status").read_text()
        if peak := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(peak[1]) * 1024
    import resource

    peak_size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak_size if sys.platform == "darwin" else peak_size * 1024)  # Linux counts KiB, macOS bytes
