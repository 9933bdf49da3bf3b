"""The choice of device and dtype."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mcld_anim.core.device import choose_device, choose_dtype, cpu_multiplies_bfloat16, peak_memory_bytes
from mcld_anim.core.errors import UsageError

CPU = torch.device("cpu")


def test_auto_is_the_best_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_named() -> None:
    with pytest.raises(UsageError, match="--device cuda is not available"):
        choose_device("cuda")


def test_on_a_cpu_half_precision_only_where_it_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda native=native: {"amx_bf16": native})
        assert cpu_multiplies_bfloat16() is native
        assert choose_dtype("auto", CPU) is dtype
    assert choose_dtype("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(UsageError, match="--dtype float16 is for accelerators"):
        choose_dtype("float16", CPU)


def test_accelerators_get_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    assert choose_dtype("auto", torch.device("cuda")) is torch.float16
    assert choose_dtype("auto", torch.device("mps")) is torch.float16


def test_memory_is_counted_in_bytes() -> None:
    assert 30e6 < peak_memory_bytes(CPU)["main"] < 1e12


def test_a_large_parent_is_not_counted() -> None:
    held = np.ones(10**9, np.uint8)
    code = "import torch; from mcld_anim.core.device import *; print(peak_memory_bytes(torch.device('cpu'))['main'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < held.nbytes
