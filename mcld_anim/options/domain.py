"""What an option may be, beside its type: annotations of the option classes' fields, for checks and for forms."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mcld_anim.options.checks import check_range


@dataclass(frozen=True)
class Range:
    """The least and the largest allowed number; None: no bound."""

    least: float
    most: float | None = None


@dataclass(frozen=True)
class Names:
    """The words that a text may be; other texts, such as a colour or a number, may be allowed too."""

    names: tuple[str, ...]
    or_file: bool = False  # or the path of a file


@dataclass(frozen=True)
class Domain:
    """What the value of a field may be."""

    kinds: tuple[type, ...]  # without None: bool, int, float, str, Path
    choices: tuple[str, ...] = ()  # of a Literal
    names: tuple[str, ...] = ()
    or_file: bool = False  # see `Names`
    range: Range | None = None


@cache
def domains(cls: Any) -> dict[str, Domain]:
    """The domain of each field of an option class, in the order of its fields."""
    return {name: _domain(hint) for name, hint in get_type_hints(cls, include_extras=True).items()}


def check_ranges(options: object) -> None:
    """Refuse a number outside its field's `Range`."""
    cls: Any = type(options)
    for name, domain in domains(cls).items():
        if domain.range is not None:
            flag = f"--{name.replace('_', '-')}"
            check_range(flag, getattr(options, name), domain.range.least, domain.range.most)


def _domain(hint: Any) -> Domain:
    extras = getattr(hint, "__metadata__", ())
    plain = get_args(hint)[0] if extras else hint
    kinds, choices = list[type](), list[str]()
    for part in get_args(plain) if get_origin(plain) in (Union, types.UnionType) else (plain,):
        if get_origin(part) is Literal:
            choices += map(str, get_args(part))
        elif part is not type(None):
            kinds.append(get_origin(part) or part)
    named = next((extra for extra in extras if isinstance(extra, Names)), Names(()))
    within = next((extra for extra in extras if isinstance(extra, Range)), None)
    return Domain(tuple(kinds), tuple(choices), named.names, named.or_file, within)
