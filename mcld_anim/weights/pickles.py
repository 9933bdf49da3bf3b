"""Read third-party weights files as data; code in them is never executed."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from mcld_anim.core.errors import WeightsError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from a `.safetensors`, `.pth`/`.bin`/`.pt` (torch's format) or `.pkl` (numpy arrays) file."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".pkl":
            return _read_arrays(path)
        if path.suffix in (".pth", ".bin", ".pt"):
            return _read_torch(path)
    except WeightsError:
        raise
    except Exception as error:  # a damaged or hostile file raises almost anything
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path} is not read ({reason}): download it again from where it was published") from error
    raise WeightsError(f"{path} is no weights file: expected .safetensors, .pth, .bin, .pt or .pkl")


def _read_torch(path: Path) -> dict[str, Tensor]:
    """Read torch's own format without unpickling code; zip-format files are memory-mapped."""
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds something else than named tensors: give the checkpoint of one network")
    return {str(name): value for name, value in state.items()}


def _read_arrays(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as stream:
        content = ArrayUnpickler(stream, encoding="latin1").load()
    arrays = content.get("model", content)
    return {str(name): torch.from_numpy(np.array(value)) for name, value in arrays.items()}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays and plain containers only; a pickle that names anything else is refused."""

    _ALLOWED = frozenset(
        (module, name)
        for root in ("numpy.core.multiarray", "numpy._core.multiarray")
        for module, name in ((root, "_reconstruct"), (root, "scalar"))
    ) | {
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise WeightsError(f"the weights file names {module}.{name}; only arrays are read from a pickle")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
