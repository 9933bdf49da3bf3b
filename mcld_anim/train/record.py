"""Files of a training: checkpoints, loss curves, and weights ready to ship.

Checkpoints and weights are written under a temporary name and renamed, so a killed run never leaves half a file.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mcld_anim.core.durable import sync
from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.core.plain_data import parse_json
from mcld_anim.weights.pickles import load_torch
from mcld_anim.weights.trained import HEADER_KEY

METRICS_KEY = "figures"
"""Key of a checkpoint's metrics in the file."""


@dataclass(frozen=True)
class Checkpoint:
    """The state that a run needs to continue exactly; its random numbers follow from (seed, step)."""

    step: int
    seconds: float
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the gradient scaler, in float16 training."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the last evaluation; stored as `METRICS_KEY`."""
    description: dict[str, object] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Load a checkpoint without unpickling code."""
        try:
            state = load_torch(path)
            state["description"] = parse_json(state["description"])
            state["metrics"] = state.pop(METRICS_KEY, {})
            return cls(**{entry.name: state[entry.name] for entry in fields(cls) if entry.name in state})
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError, OSError) as error:
            reason = " ".join(str(error).split())[:100]
            raise WeightsError(
                f"{path} is not a checkpoint of this program; start anew elsewhere ({reason})"
            ) from error

    def check_description(self, wanted: dict[str, object], path: Path) -> None:
        """Refuse to continue a run with other options than it began with."""
        asked = json.loads(json.dumps(wanted))
        changed = sorted(name for name in {*asked, *self.description} if asked.get(name) != self.description.get(name))
        if changed:
            raise UsageError(
                f"{path} was begun with other options ({', '.join(changed)}): use the same ones or another "
                "output folder"
            )


def write_checkpoint(path: Path, state: Checkpoint) -> None:
    """Write to a temporary name, flush to disk, then rename."""
    plain = {entry.name: getattr(state, entry.name) for entry in fields(state)}
    plain["description"] = json.dumps(state.description)
    plain[METRICS_KEY] = plain.pop("metrics")
    temporary = path.with_name(path.name + ".partial")
    with open(temporary, "wb") as file:
        torch.save(plain, file)
    sync(temporary)
    os.replace(temporary, path)


def write_weights(path: Path, tensors: dict[str, Tensor], header: dict[str, object]) -> None:
    """Save `tensors` as safetensors, with `header` as JSON metadata.

    Floating-point tensors become float16, which halves the file; integers are unchanged. All become contiguous.
    """
    packed = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    for name, tensor in packed.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{name} has values that half precision cannot hold; the run has diverged")
    temporary = path.with_name(path.name + ".partial")
    save_file(packed, temporary, metadata={HEADER_KEY: json.dumps(header)})
    os.replace(temporary, path)


class Curve:
    """A CSV of metrics by step. Opening drops the rows after step `keep_until`, which a resumed run repeats."""

    def __init__(self, path: Path, keep_until: int) -> None:
        self.path = path
        self.columns: list[str] = []
        if not path.exists():
            return
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if int(row["step"]) <= keep_until]
            self.columns = list(reader.fieldnames or [])
        self._write(rows, "w", header=True)

    def add(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        """Append one row; the first row fixes the columns."""
        row = {"step": str(step), "seconds": f"{seconds:.1f}", **{k: f"{v:.6g}" for k, v in metrics.items()}}
        new = not self.columns
        if new:
            self.columns = list(row)
        self._write([row], "a", header=new)

    def _write(self, rows: list[dict[str, str]], mode: str, header: bool) -> None:
        with open(self.path, mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, restval="", extrasaction="ignore")
            if header:
                writer.writeheader()
            writer.writerows(rows)
