"""The doctor's findings: one per item checked, and all of them as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mcld_anim.core.errors import reason_of

Level = Literal["ok", "note", "bad"]
"""ok: as it should be; note: something optional is missing; bad: something is wrong and has a remedy."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    section: str
    name: str
    level: Level
    text: str
    remedy: str = ""
    """The command that fixes it; every "bad" finding has one."""
    blocks: bool = False
    """Whether it keeps `mcld-anim run` from working."""

    def __post_init__(self) -> None:
        if self.level == "bad" and not self.remedy:
            raise ValueError(f"{self.name}: a bad finding needs a remedy")


Check = Callable[[], Iterator[Finding]]


def run_checks(checks: dict[str, tuple[Check, str]]) -> list[Finding]:
    """The findings of all checks in order; a check that raises becomes a finding with its paired remedy."""
    findings = []
    for section, (check, remedy) in checks.items():
        try:
            findings += list(check())
        except Exception as error:  # a broken installation raises anything, and reporting it is this function's job
            reason = reason_of(error)
            findings.append(Finding(section, section, "bad", reason, remedy, blocks=True))
    return findings


def can_run(findings: list[Finding]) -> bool:
    """Whether `mcld-anim run` works: no finding blocks it."""
    return not any(finding.blocks for finding in findings)


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """The findings as JSON-compatible data."""
    return {"can_run": can_run(findings), "findings": [asdict(finding) for finding in findings]}
