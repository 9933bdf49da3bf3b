"""What the doctor says: one finding per thing looked at, and the whole as text for people or for machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "note", "bad"]
"""As it should be; something optional that is not here; something wrong, with the command that mends it."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    section: str
    name: str
    level: Level
    text: str
    remedy: str = ""
    """A command; every "bad" finding has one."""
    blocks: bool = False
    """Whether `mcld-anim run` cannot work like this."""

    def __post_init__(self) -> None:
        if self.level == "bad" and not self.remedy:
            raise ValueError(f"{self.name}: a finding that is bad says what mends it")


Check = Callable[[], Iterator[Finding]]


def examine(checks: dict[str, tuple[Check, str]]) -> list[Finding]:
    """Every check's findings in order; one that fails itself is a finding with the remedy that stands beside it."""
    findings = []
    for section, (check, remedy) in checks.items():
        try:
            findings += list(check())
        except Exception as error:  # a broken installation raises anything, and to say so is what this is for
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            findings.append(Finding(section, section, "bad", reason, remedy, blocks=True))
    return findings


def can_run(findings: list[Finding]) -> bool:
    """Whether the main job could run."""
    return not any(finding.blocks for finding in findings)


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """For machines."""
    return {"can_run": can_run(findings), "findings": [asdict(finding) for finding in findings]}
