"""Read third-party weights files as data; code in them is never executed, and they do not grow when they are read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mcld_anim.core.archives import open_archive, read_member
from mcld_anim.core.errors import WeightsError, reason_of
from mcld_anim.weights.array_pickle import read_array_pickle
from mcld_anim.weights.pickle_depth import check_depth

MOST_GROWTH = 4
"""Most bytes of all tensors per byte of their file. Tensors that share memory are stored once and written apart; one
number that is repeated a billion times is an attack."""
MOST_PICKLE_BYTES = 64_000_000
"""Largest description of the tensors in a torch file, in bytes; that of SD1.5 has 0.1 MB."""
LEGACY_PICKLES = 5
"""Pickles at the beginning of a torch file from before version 1.6."""
KINDS = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
"""Types of numbers that weights have."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from a `.safetensors`, `.pth`/`.bin`/`.pt` (torch's format) or `.pkl` (numpy arrays) file."""
    reader = READERS.get(path.suffix)
    if reader is None:
        raise WeightsError(f"{path} is no weights file: expected .safetensors, .pth, .bin, .pt or .pkl")
    if not path.is_file():
        raise WeightsError(f"{path} is no file: give a weights file")
    try:
        tensors = reader(path)
        _check_size(tensors, path)
    except WeightsError:
        raise
    except Exception as error:  # a damaged or hostile file raises almost anything
        reason = reason_of(error)
        raise WeightsError(f"{path} is not read ({reason}): download it again from where it was published") from error
    return tensors


def load_torch(path: Path) -> Any:
    """The content of a file in torch's own format, without running code; zip-format files are memory-mapped.

    Raises an exception of any type.
    """
    zipped = zipfile.is_zipfile(path)
    _check_zipped(path) if zipped else _check_legacy(path)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _read_torch(path: Path) -> dict[str, Tensor]:
    state = load_torch(path)
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(_is_plain(value) for value in state.values()):
        raise WeightsError(f"{path} holds something else than named tensors: give the checkpoint of one network")
    return {str(name): value for name, value in state.items()}


def _check_zipped(path: Path) -> None:
    with open_archive(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise WeightsError(f"{path} is compressed, as no checkpoint is: give the file as it was published")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise WeightsError(f"{path} claims more bytes than it has: download it again")
        for member in members:
            if member.filename.endswith(".pkl"):
                check_depth(io.BytesIO(read_member(archive, member.filename, MOST_PICKLE_BYTES)))


def _check_legacy(path: Path) -> None:
    with path.open("rb") as stream:
        for _ in range(LEGACY_PICKLES):
            check_depth(stream)


def _is_plain(value: object) -> bool:
    """Whether a value is a tensor of numbers that are all in memory."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_nested or value.is_quantized)
        and value.dtype in KINDS
    )


def _check_size(tensors: dict[str, Tensor], path: Path) -> None:
    total, size = sum(value.numel() * value.element_size() for value in tensors.values()), path.stat().st_size
    if total > MOST_GROWTH * size:
        raise WeightsError(
            f"{path} has {size} bytes but claims {total} of weights: download it again from where it was published"
        )


def _read_arrays(path: Path) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(array)
        for name, array in read_array_pickle(path, MOST_GROWTH * path.stat().st_size).items()
    }


READERS: Mapping[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": load_file,
    ".pkl": _read_arrays,
    **dict.fromkeys((".pth", ".bin", ".pt"), _read_torch),
}
