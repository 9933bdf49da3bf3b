"""The pulled networks that metrics compare pictures with: their files, and what to do without them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.published import published_model
from mcld_anim.weights.store import is_pulled, model_folder


def judge_file(name: str, file: str) -> Path:
    """A file of a pulled network; WeightsError if it is not here."""
    if not is_pulled(published_model(name)):
        raise WeightsError(f"its weights are not here: run `mcld-anim models pull {name}`")
    return model_folder(name) / file


def judge_tensors(name: str, *parts: str) -> dict[str, Tensor]:
    """The tensors of a pulled network's parts together."""
    tensors: dict[str, Tensor] = {}
    for part in parts:
        tensors |= read_tensors(judge_file(name, f"{part}.safetensors"))
    return tensors
