"""The controls under "More": types and ranges from the option class, names, panels and help from the flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from mcld_anim.options.domain import Domain, domains
from mcld_anim.options.run import RunOptions

Kind = Literal["switch", "choice", "suggestion", "number", "file", "text"]
"""suggestion: one of the choices, or another text."""

ON_THE_PAGE = ("source", "driving", "start", "end", "preset")
"""Options with a place of their own."""
OF_THE_SERVER = ("output", "overwrite", "resume")
"""Options that the page decides: each result has a folder of its own, and a job that was cut off goes on."""


@dataclasses.dataclass(frozen=True)
class OptionHelp:
    """An option as `--help` shows it."""

    name: str  # of the field
    flag: str
    panel: str
    text: str


@dataclasses.dataclass(frozen=True)
class Control:
    """One option in the form."""

    option: OptionHelp
    kind: Kind
    default: bool | int | float | str | None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    whole: bool = False  # a number without decimals
    or_file: bool = False  # a file may be given instead

    @property
    def name(self) -> str:
        """The field of the option class."""
        return self.option.name


def controls_of(helps: Iterable[OptionHelp]) -> list[Control]:
    """A control for each option of `run` that has no place of its own, in the order of `--help`."""
    known = domains(RunOptions)
    defaults = {field.name: field.default for field in dataclasses.fields(RunOptions)}
    apart = {*ON_THE_PAGE, *OF_THE_SERVER}
    return [_control(one, known[one.name], defaults[one.name]) for one in helps if one.name in known.keys() - apart]


def choices_of(name: str) -> tuple[str, ...]:
    """The choices of an option of `run`."""
    return domains(RunOptions)[name].choices


def changed(controls: Iterable[Control], values: Iterable[Any]) -> dict[str, Any]:
    """The options whose value in the form is not the default, as `resolve_options` takes them."""
    given: dict[str, Any] = {}
    for control, value in zip(controls, values, strict=True):
        if value is None or value == "" or value == control.default:
            continue
        given[control.name] = number(value, control.whole) if control.kind == "number" else value
    return given


def number(value: Any, whole: bool = False) -> Any:
    """A number, which a field may give as text; another text as it is, to be refused by name."""
    try:
        found = float(value)
    except ValueError:
        return value
    return int(found) if whole and found.is_integer() else found


def shown_values(controls: Iterable[Control], options: Mapping[str, Any]) -> list[Any]:
    """What the form shows for options as `changed` gives them."""
    return [options.get(control.name, control.default) for control in controls]


def _control(option: OptionHelp, domain: Domain, default: Any) -> Control:
    shown = None if default is dataclasses.MISSING else default
    kinds, bounds = set(domain.kinds), domain.range
    if bool in kinds:
        return Control(option, "switch", bool(shown))
    if domain.names or (domain.choices and kinds):
        names = (*domain.names, *domain.choices)
        return Control(option, "suggestion", _plain(shown), names, or_file=domain.or_file)
    if domain.choices:
        return Control(option, "choice", shown, domain.choices)
    if Path in kinds:
        return Control(option, "file", None)
    if kinds and kinds <= {int, float}:
        least, most = (bounds.least, bounds.most) if bounds else (None, None)
        return Control(option, "number", shown, least=least, most=most, whole=float not in kinds)
    return Control(option, "text", _plain(shown))


def _plain(value: Any) -> str | None:
    return value if value is None else str(value)
