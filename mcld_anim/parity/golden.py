"""Replay every case of a golden folder and compare with the published code's results.

A golden folder holds `config.json`, `weights/*.safetensors` in the published layout and `cases/*`. A
replayer is a generator in any module of this package named `*_cases.py`:

    @replays("a_resampler*.safetensors")                     # one replay per matching file
    def resampler(golden: Golden, case: str) -> Iterator[Comparison]:
        data = golden.tensors(case)                          # case = the matching file's name without suffix
        with torch.no_grad():
            yield compare("tokens", golden.mcld.face_tokens(data["face_emb"]), data["tokens"], 1e-5)

    @replays("f_pipeline_*.safetensors", also=["f_pipeline_*.json", "f_pipeline_*_inputs.*.png"])  # also reads

A replayer takes all sizes from the folder. These are failures, as a difference is: a file that no replayer claims, a
replayer without a file, a missing or changed file listed in `SHA256SUMS`, and a replayer that raises.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcld_anim.core.arrays import Picture
from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.errors import InputError, ParityError
from mcld_anim.core.tables import read_json, read_text
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.keys import PUBLISHED_PARTS, load_published
from mcld_anim.options.model import ModelOptions
from mcld_anim.parity.published_config import model_options
from mcld_anim.weights.pickles import read_tensors

NOTES = ("float32_noise_floor.json", "sensitivity.json")
"""Case files that describe the published code's own numbers; they are not replayed."""


@dataclass(frozen=True)
class Comparison:
    """One compared quantity of a case; NaN or infinity in `max_difference` fails."""

    quantity: str
    max_difference: float
    tolerance: float


@dataclass(frozen=True)
class CaseResult:
    """One line of the report."""

    case: str
    max_difference: float | None
    tolerance: float | None
    passed: bool
    reason: str = ""


Replay = Callable[["Golden", str], Iterable[Comparison]]


@dataclass(frozen=True)
class Replayer:
    """A replay function, the pattern of the files it runs for, and the patterns of other files it reads."""

    replay: Replay
    anchor: str
    also: tuple[str, ...]

    def claims(self, file: str) -> bool:
        """Whether this replayer covers the case file of that name."""
        return any(fnmatchcase(file, pattern) for pattern in (self.anchor, *self.also))


_REPLAYERS: list[Replayer] = []


def replays(anchor: str, also: Sequence[str] = ()) -> Callable[[Replay], Replay]:
    """Register a replayer for every case file that matches `anchor`; `also` are patterns of other files it reads."""

    def register(replay: Replay) -> Replay:
        _REPLAYERS.append(Replayer(replay, anchor, tuple(also)))
        return replay

    return register


def compare(quantity: str, ours: Tensor | np.ndarray, theirs: Tensor | np.ndarray, tolerance: float) -> Comparison:
    """Compare by the largest absolute difference, which is infinite if the shapes differ."""
    ours, theirs = (
        (torch.tensor(side) if isinstance(side, np.ndarray) else side.detach()).to(torch.float64)
        for side in (ours, theirs)
    )
    if ours.shape != theirs.shape:
        return Comparison(f"{quantity} {tuple(ours.shape)} for {tuple(theirs.shape)}", float("inf"), tolerance)
    difference = float((ours - theirs).abs().max()) if ours.numel() else 0.0
    return Comparison(quantity, difference, tolerance)


@dataclass(frozen=True, eq=False)
class Golden:
    """A golden folder; configuration and networks are cached."""

    folder: Path

    @property
    def cases(self) -> Path:
        """The folder of the case files."""
        return self.folder / "cases"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return read_json(self.folder / "config.json")

    @cached_property
    def options(self) -> ModelOptions:
        """The architecture as our options."""
        return model_options(self.config)

    def weights(self, part: str) -> dict[str, Tensor]:
        """The tensors of one published part (a name of `PUBLISHED_PARTS`)."""
        path = self.folder / "weights" / f"{part}.safetensors"
        if not path.is_file():
            raise ParityError(f"weights/{path.name} is missing: the folder is not complete")
        return read_tensors(path)

    def networks(self, *parts: str) -> Mcld:
        """All networks in evaluation mode; at least the given published parts have their weights loaded."""
        for part in parts:
            if part not in self._loaded:
                load_published(self._mcld, part, self.weights(part))
                self._loaded.add(part)
        return self._mcld

    @property
    def mcld(self) -> Mcld:
        """All networks with all of the folder's weights, in evaluation mode."""
        return self.networks(*PUBLISHED_PARTS)

    @cached_property
    def _mcld(self) -> Mcld:
        return build_mcld(self.options).eval()

    @cached_property
    def _loaded(self) -> set[str]:
        return set()

    def tensors(self, case: str) -> dict[str, Tensor]:
        """All tensors of `cases/<case>.safetensors`."""
        return read_tensors(self.cases / f"{case}.safetensors")

    def json(self, case: str) -> Any:
        """The content of `cases/<case>.json`."""
        return read_json(self.cases / f"{case}.json")

    def picture(self, name: str) -> Picture:
        """One PNG of the cases, with its planes in the file's order."""
        with Image.open(self.cases / f"{name}.png", formats=["PNG"]) as picture:
            return np.array(picture.convert("RGB"))  # a copy: torch needs writable memory

    def pictures(self, prefix: str) -> list[Picture]:
        """The pictures `<prefix>0.png`, `<prefix>1.png`, ... in that order; raises ParityError if there is none."""
        found: list[Picture] = []
        while (self.cases / f"{prefix}{len(found)}.png").is_file():
            found.append(self.picture(f"{prefix}{len(found)}"))
        if not found:
            raise ParityError(f"no picture {prefix}0.png in {self.cases}: the folder is not complete")
        return found

    def files(self) -> list[str]:
        """The names of all case files, sorted."""
        return sorted(path.name for path in self.cases.iterdir() if path.is_file())


def verify_golden(folder: Path, only: str = "*") -> list[CaseResult]:
    """Replay all cases of a folder, or those whose name matches `only`; one result per compared quantity.

    Raises InputError if the folder is no golden folder; any other failure is a result.
    """
    golden = Golden(Path(folder))
    if not golden.cases.is_dir() or not (golden.folder / "config.json").is_file():
        raise InputError(f"{folder} is not a golden folder: expected config.json, weights/ and cases/ in it")
    files = golden.files()
    replayers = registered_replayers()
    results: list[CaseResult] = list(_check_files(golden, files, only))
    for replayer in replayers:
        anchors = [Path(file).stem for file in files if fnmatchcase(file, replayer.anchor)]
        for case in anchors:
            if fnmatchcase(case, only):
                results += _run(golden, replayer, case)
        if not anchors and only == "*":
            results.append(_failure(replayer.anchor, "no such case in the folder"))
    for file in files:
        if fnmatchcase(file, only) and file not in NOTES and not any(r.claims(file) for r in replayers):
            results.append(_failure(file, "no replayer knows this file"))
    if not results:
        results.append(_failure(only, "no case of this name in the folder"))
    return results


def registered_replayers() -> list[Replayer]:
    """All replayers of this package, in the order of their anchors."""
    package = import_module("mcld_anim.parity")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.endswith("_cases"):
            import_module(f"mcld_anim.parity.{module.name}")
    return sorted(_REPLAYERS, key=lambda replayer: replayer.anchor)


def _run(golden: Golden, replayer: Replayer, case: str) -> Iterator[CaseResult]:
    compared = 0
    try:
        for found in replayer.replay(golden, case):
            compared += 1
            passed = found.max_difference <= found.tolerance  # false for NaN
            yield CaseResult(f"{case}: {found.quantity}", found.max_difference, found.tolerance, passed)
    except Exception as error:  # an error fails its own case only; the other cases still run
        yield _failure(case, f"{type(error).__name__}: {' '.join(str(error).split())}")
        return
    if not compared:
        yield _failure(case, "its replayer compared nothing")


def _check_files(golden: Golden, files: list[str], only: str) -> Iterator[CaseResult]:
    """Failures for missing or changed files in the folder's own list of checksums."""
    sums = golden.folder / "SHA256SUMS"
    if not sums.is_file():
        return
    for line in read_text(sums).splitlines():
        checksum, _, name = line.partition(" ")
        path = golden.folder / name.strip().lstrip("*")
        if only != "*" and not fnmatchcase(path.stem, only):
            continue
        if not path.is_file():
            yield _failure(path.name, "listed in SHA256SUMS but missing")
        elif file_sha256(path) != checksum:
            yield _failure(path.name, "its content is not what SHA256SUMS says")


def _failure(case: str, reason: str) -> CaseResult:
    return CaseResult(case, None, None, passed=False, reason=reason)
