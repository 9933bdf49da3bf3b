"""Options of `batch`: which rows there are, and who runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.options.checks import check_choice, check_range

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Shard:
    """One of `count` equal parts of the rows."""

    index: int  # 1 .. count
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard written as "2/4"."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.index <= shard.count:
            raise UsageError(f"--shard {text} is not I/N with I from 1 to N; give 2/4 for the second of four parts")
        return shard

    def has(self, place: int) -> bool:
        """Whether the row at this place of all rows, from 0, belongs to the shard."""
        return place % self.count == self.index - 1


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options of `mcld-anim batch`; either a manifest, or patterns of sources and driving videos."""

    output_dir: Path  # every output lies in it
    manifest: Path | None = None  # JSONL, CSV or YAML; "-": standard input
    sources: str | None = None  # pattern of source photos, each of which is combined
    drivings: str | None = None  # with each driving video of this pattern
    config: Path | None = None  # YAML file of options for rows that name none
    overwrite: bool = False  # replace outputs that exist and are not finished rows
    offline: bool = False  # fetch nothing, in rows that do not say
    executor: Literal["local", "ray"] = "local"
    address: str | None = None  # of a Ray cluster; None: $RAY_ADDRESS, else a cluster on this machine for this batch
    workers: int | None = None  # processes; None: one per GPU, or one on a CPU (one per machine of a Ray cluster)
    shard: str | None = None  # "I/N": only every N-th row, from the I-th
    ranges: int = 1  # at most so many parts of each clip, made side by side; see `mcld_anim.run.ranges`
    retries: int = 0  # new attempts at a row that failed otherwise than by a refused input
    fail_fast: bool = False  # begin no row after one has failed
    check: bool = False  # check all rows, run none
    cache: bool = True  # keep driving poses and encoded sources on disk, see `Animator`

    def __post_init__(self) -> None:
        if (self.manifest is None) == (self.sources is None) or (self.sources is None) != (self.drivings is None):
            raise UsageError(
                "give either a manifest, or both --glob and --driving, whose files are combined each with each"
            )
        check_choice("--executor", self.executor, EXECUTORS)
        check_range("--workers", self.workers, 1, None)
        check_range("--ranges", self.ranges, 1, 10_000)
        check_range("--retries", self.retries, 0, 100)
        if self.address is not None and self.executor != "ray":
            raise UsageError(f"--address {self.address} is of a Ray cluster: give --executor ray as well")
        if self.shard is not None:
            Shard.parse(self.shard)

    @property
    def part(self) -> Shard | None:
        """The shard to run; None for all rows."""
        return None if self.shard is None else Shard.parse(self.shard)
