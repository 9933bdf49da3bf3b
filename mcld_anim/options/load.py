"""Building option dataclasses from YAML and back; errors name the key or type that does not fit.

Supported field types: bool, int, float, str, Path, Literal, Optional, tuples and nested dataclasses.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mcld_anim.core.errors import UsageError
from mcld_anim.core.plain_data import PlainDataError, listed, parse_yaml, shown
from mcld_anim.core.tables import read_text
from mcld_anim.options.checks import check_file_name

Options = TypeVar("Options")


def from_mapping(cls: type[Options], mapping: object, where: str) -> Options:
    """Build the dataclass `cls` from plain data; `where` names the file or flag the data came from.

    Raises UsageError for an unknown or missing key, a wrong type, or a value that the dataclass refuses.
    """
    if not isinstance(mapping, Mapping):
        raise UsageError(f"{where}: expected a mapping with the keys of {cls.__name__}, got {shown(mapping)}")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    unknown = sorted(str(key) for key in mapping if key not in fields)
    if unknown:
        raise UsageError(f"{where}: unknown key {listed(unknown)}; allowed keys: {', '.join(fields)}")
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in mapping]
    if missing:
        raise UsageError(f"{where}: missing key {', '.join(missing)}; add it (keys: {', '.join(fields)})")
    hints = _hints(cls)  # type: ignore[arg-type]
    values = {name: _convert(hints[name], value, f"{where}: {name}") for name, value in mapping.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The types of a class's fields: to evaluate them takes a millisecond, and a manifest has thousands of rows."""
    return get_type_hints(cls)


def to_mapping(options: Any) -> dict[str, Any]:
    """The plain data (for YAML or JSON) from which `from_mapping` builds an equal object."""
    return {field.name: _plain(getattr(options, field.name)) for field in dataclasses.fields(options)}


def load_yaml(cls: type[Options], path_or_name: str | Path, folder: str | None = None) -> Options:
    """Read one YAML file into `cls`.

    A bare name ("tiny") selects the file of that name in the bundled `folder` of configurations ("model", "run",
    "train"); anything with a suffix or a folder is a path.
    """
    path = Path(path_or_name)
    if folder is not None and path.suffix == "" and path.name == str(path_or_name):
        bundled = resources.files("mcld_anim.configs") / folder
        file = bundled / f"{path.name}.yaml"
        if not file.is_file():
            names = ", ".join(bundled_names(folder))
            raise UsageError(f"no {folder} configuration named {path.name!r}; there are: {names}, or a path")
        return from_mapping(cls, _parse(file.read_text("utf-8"), file.name), f"{folder}/{file.name}")
    if not path.is_file():
        raise UsageError(f"{path}: no such configuration file; give the path of a YAML file")
    return from_mapping(cls, _parse(_text(path), str(path)), str(path))


def bundled_names(folder: str) -> list[str]:
    """The names of the configurations bundled in `folder`, sorted."""
    bundled = resources.files("mcld_anim.configs") / folder
    return sorted(file.name[: -len(".yaml")] for file in bundled.iterdir() if file.name.endswith(".yaml"))


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as text ({' '.join(str(error).split())})") from error


def _parse(text: str, where: str) -> Any:
    try:
        return parse_yaml(text) or {}
    except PlainDataError as error:
        raise UsageError(f"{where}: not readable as YAML ({error})") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(kind, value, where)
    if origin is Literal:
        if value not in get_args(kind):
            allowed = ", ".join(str(choice) for choice in get_args(kind))
            raise UsageError(f"{where}: got {shown(value)}, expected one of {allowed}")
        return value
    if origin is tuple:
        return _convert_tuple(get_args(kind), value, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return from_mapping(kind, value, where)
    if kind is Any:
        return value
    return _convert_scalar(kind, value, where)


def _convert_union(kind: Any, value: Any, where: str) -> Any:
    choices = get_args(kind)
    if value is None:
        if type(None) in choices:
            return None
        raise UsageError(f"{where}: may not be empty, expected {_name(kind)}")
    failures = []
    for choice in (choice for choice in choices if choice is not type(None)):
        try:
            return _convert(choice, value, where)
        except UsageError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise UsageError(f"{where}: got {shown(value)}, expected {_name(kind)}")


def _convert_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: got {shown(value)}, expected a list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise UsageError(f"{where}: got {len(value)} values, expected {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_convert(kind, item, f"{where}[{index}]") for index, (kind, item) in pairs)


def _convert_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and not isinstance(value, bool):
        if isinstance(value, str):  # YAML 1.1 reads 1e-5 (without a dot) as text
            try:
                return float(value)
            except ValueError:
                pass
        if isinstance(value, int | float):
            return _as_float(value, where)
    elif kind is Path and isinstance(value, str | Path):
        check_file_name(where, str(value))
        return Path(value)
    elif kind is str and isinstance(value, str):  # which may be the name of a file
        check_file_name(where, value)
        return value
    elif isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
        return value
    raise UsageError(f"{where}: got {shown(value)}, expected {_name(kind)}")


def _as_float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{where}: got {shown(value)}, which is too large") from None


def _name(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join("nothing" if choice is type(None) else _name(choice) for choice in get_args(kind))
    return getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
