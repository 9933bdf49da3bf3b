"""Every weight file, embedded or published, with its state on this machine: `inventory`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcld_anim.weights import published, table
from mcld_anim.weights.published import PublishedModel
from mcld_anim.weights.store import NOT_PULLED, find_problem, has_models_folder, model_folder, read_record

EMBEDDED_MODEL = "tiny"


@dataclass(frozen=True)
class WeightState:
    """One weight file and its state on this machine."""

    model: str
    part: str
    label: str
    """The file as messages name it: an embedded file's name, or a published file's model and part."""
    bytes: int
    estimated: bool
    """Whether `bytes` is an estimate of the download; a file that is here has its recorded size."""
    licence: str
    origin: str
    installed: bool
    """Whether the file belongs to this installation: embedded, or recorded by a pull."""
    problem: str | None
    """What is wrong with the file; None if it is intact."""
    remedy: str
    """What to do about a problem, as a message ends."""


def inventory(checksums: bool) -> list[WeightState]:
    """All weight files, the embedded ones first.

    Embedded files are verified by SHA-256. Pulled files are verified by size and, with `checksums`, by SHA-256,
    which reads gigabytes.
    """
    pulled = [state for model in published.MODELS for state in _published_states(model, checksums)]
    return [*_embedded_states(), *pulled]


def _embedded_states() -> Iterator[WeightState]:
    for found in table.verify_embedded():
        row = found.row
        yield WeightState(
            model=EMBEDDED_MODEL,
            part=row.part,
            label=row.file,
            bytes=row.bytes,
            estimated=False,
            licence=row.licence,
            origin="this package",
            installed=True,
            problem=found.problem,
            remedy="install mcld-anim again",
        )


def _published_states(model: PublishedModel, checksums: bool) -> Iterator[WeightState]:
    record = read_record(model_folder(model.name)) if has_models_folder() else {}
    for file in model.files:
        pulled = record.get(file.part)
        yield WeightState(
            model=model.name,
            part=file.part,
            label=f"{model.name} {file.part}",
            bytes=file.estimated_bytes if pulled is None else pulled.bytes,
            estimated=pulled is None,
            licence=file.licence,
            origin=file.origin.host,
            installed=pulled is not None,
            problem=NOT_PULLED if pulled is None else find_problem(model_folder(model.name), pulled, checksums),
            remedy=f"run `mcld-anim models pull {model.name}`",
        )
