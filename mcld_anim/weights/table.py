"""The table of embedded weights: each file's part, size, checksum, licence and origin.

`setup.install` writes the rows to `embedded/table.yaml` from a training export; this module reads and verifies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.errors import WeightsError

EMBEDDED_FOLDER = Path(str(files("mcld_anim.weights"))) / "embedded"
TABLE_NAME = "table.yaml"

PARTS = (
    "vae",
    "image_encoder",
    "reference_net",
    "denoiser",
    "pose_guider",
    "face_tokens",
    "detail",
    "densepose",
    "face",
)
"""The parts of the embedded model; each is one safetensors file of that name."""


@dataclass(frozen=True)
class WeightFile:
    """One row of the table."""

    part: str
    file: str
    bytes: int
    sha256: str
    parameters: int
    licence: str
    origin: str  # the command that trained it


@cache
def embedded_table() -> tuple[WeightFile, ...]:
    """The embedded model's rows, in the order of `PARTS`."""
    path = EMBEDDED_FOLDER / TABLE_NAME
    if not path.is_file():
        raise WeightsError(f"the embedded model is not in this installation ({path} is missing): install it again")
    rows = {row["part"]: WeightFile(**row) for row in yaml.safe_load(path.read_text(encoding="utf-8"))}
    if set(rows) != set(PARTS):
        raise WeightsError(f"{path} lists {sorted(rows)}, expected {sorted(PARTS)}: install mcld-anim again")
    return tuple(rows[part] for part in PARTS)


@dataclass(frozen=True)
class Verification:
    """The result of checking one weight file against its row of the table."""

    row: WeightFile
    problem: str | None  # None: present with the recorded bytes


def verify_embedded() -> tuple[Verification, ...]:
    """Compare every embedded file's size and SHA-256 with the table."""
    results = []
    for row in embedded_table():
        path = EMBEDDED_FOLDER / row.file
        problem = None
        if not path.is_file():
            problem = "missing"
        elif path.stat().st_size != row.bytes:
            problem = f"{path.stat().st_size} bytes, expected {row.bytes}"
        elif file_sha256(path) != row.sha256:
            problem = "checksum differs"
        results.append(Verification(row, problem))
    return tuple(results)
