"""Weights files of this project's trainings: half-precision tensors and their provenance."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from mcld_anim.core.errors import WeightsError
from mcld_anim.core.plain_data import parse_json

HEADER_KEY = "mcld_anim"
"""Key in the file's header of its description, as JSON."""


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The tensors of a weights file, half precision widened to float32, and its header's description."""
    if not path.is_file():
        raise WeightsError(f"the weights {path} do not exist: check the path, or install mcld-anim again")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
            header = parse_json((file.metadata() or {}).get(HEADER_KEY, "{}"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file of this program ({error}): export it again") from error
    wide = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    return wide, header
