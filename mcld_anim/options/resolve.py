"""Resolving complete options: flags or keywords override `--config FILE.yaml`, which overrides defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded
from mcld_anim.core.plain_data import listed, parse_yaml, shown
from mcld_anim.core.tables import read_text
from mcld_anim.options.checks import check_choice, check_file_name
from mcld_anim.options.estimators import EstimatorOptions
from mcld_anim.options.load import from_mapping
from mcld_anim.options.photos import split_photos
from mcld_anim.options.preset import PRESETS

Options = TypeVar("Options", bound=EstimatorOptions)


def resolve_options(cls: type[Options], given: Mapping[str, Any], where: str = "command line") -> Options:
    """Complete options of `cls` from the `given` ones, which may name a `config` file.

    `where` names the origin of `given` in error messages. A value of None counts as not given.
    """
    flags = {name: value for name, value in given.items() if value is not None}
    config = flags.pop("config", None)
    if not isinstance(config, str | Path | None):
        raise UsageError(f"{where}: config: got {shown(config)}, expected the path of a YAML file")
    written = _read_yaml(Path(config)) if config is not None else {}
    if written:
        _refuse_unknown(cls, written, str(config))
    merged = split_photos({**written, **flags}, {field.name for field in dataclasses.fields(cls)})
    if "preset" in merged:
        check_choice("--preset", merged["preset"], PRESETS)
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.name not in merged:
            flag = field.name.replace("_", "-")
            raise UsageError(f"{where}: --{flag} is missing; give it as a flag, or as {field.name} in a YAML or a row")
    return from_mapping(cls, merged, f"{where} and {config}" if written else where)


def _refuse_unknown(cls: type[EstimatorOptions], mapping: Mapping[str, Any], where: str) -> None:
    allowed = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(str(key) for key in mapping if key not in allowed)
    if unknown:
        raise UsageError(f"{where}: unknown key {listed(unknown)}; allowed keys: {', '.join(allowed)}")


def _read_yaml(path: Path) -> dict[str, Any]:
    check_file_name("--config", str(path))
    try:
        parsed = _parsed(read_text(expanded(path))) or {}
    except FileNotFoundError:
        raise UsageError(f"--config {path}: no such file; give the path of a YAML file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(parsed, dict):
        raise UsageError(f"--config {path}: expected a mapping of option names to values, such as 'steps: 20'")
    return parsed


_parsed = lru_cache(maxsize=4)(parse_yaml)
"""The value of a text, not to be changed: the rows of a batch share their file."""
