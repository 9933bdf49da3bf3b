"""`mcld-anim eval compare`: measurements of several methods in one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.core.errors import InputError, reason_of
from mcld_anim.core.plain_data import shown
from mcld_anim.core.tables import read_json
from mcld_anim.evaluate.columns import COLUMNS
from mcld_anim.evaluate.published_results import PAPER

EXPECTED = "give JSON that `mcld-anim eval pairs`, `deepfashion`, `video` or `reenact` wrote"
NUMBERS = ("mean", "low", "high", "count", "infinite")


@dataclass(frozen=True)
class Result:
    """One method measured on one set."""

    method: str
    set: str
    metrics: Mapping[str, Mapping[str, Any]]  # by the keys of `COLUMNS`, as `metrics.bootstrap.Estimate`
    origin: str  # the file, or the paper


def read_results(paths: Sequence[Path], paper: bool = False) -> list[Result]:
    """Every set of every file, in order; `paper` adds the published numbers. InputError names a file without any."""
    results = [result for path in paths for result in _of_file(path)]
    names = {one.method for one in results}
    if len(names) < len(paths):  # files of the same name from several folders
        results = [Result(f"{one.method} ({one.origin})", one.set, one.metrics, one.origin) for one in results]
    return [*results, *(_of_paper() if paper else ())]


def table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of the table; a metric that nobody has gets no column."""
    keys = measured(results)
    header = ["method", "set", *(COLUMNS[key].arrow for key in keys)]
    return header, [
        [one.method, one.set, *(COLUMNS[key].shown(one.metrics.get(key)) for key in keys)] for one in results
    ]


def measured(results: Sequence[Result]) -> list[str]:
    """The metrics that some result has, in the order of `COLUMNS`."""
    return [key for key in COLUMNS if any(key in one.metrics for one in results)]


def as_markdown(results: Sequence[Result]) -> str:
    """The table as GitHub's Markdown."""
    header, rows = table(results)
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def as_csv(results: Sequence[Result]) -> str:
    """A line per method, set and metric: mean, ends of the interval, number of values, number of infinite ones."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "set", "metric", *NUMBERS, "origin"])
    for one in results:
        for key in measured([one]):
            numbers = (one.metrics[key][name] for name in NUMBERS)
            writer.writerow([one.method, one.set, key, *("" if n is None else n for n in numbers), one.origin])
    return text.getvalue()


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results as plain data."""
    return [
        {"method": one.method, "set": one.set, "origin": one.origin, "metrics": dict(one.metrics)} for one in results
    ]


def _of_file(path: Path) -> list[Result]:
    try:
        content = read_json(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read ({reason_of(error)}): {EXPECTED}") from error
    sets = content.get("sets") if isinstance(content, dict) else None
    if isinstance(content, dict) and isinstance(content.get("mean"), dict) and isinstance(content.get("clips"), list):
        sets = {"reenact": {"metrics": _of_clips(content["mean"], len(content["clips"]))}}
    if not isinstance(sets, dict) or not sets:
        raise InputError(f"{path} holds no figures: {EXPECTED}")
    name = content.get("name")
    return [
        Result(name if isinstance(name, str) and name else path.stem, key, _checked(one, path), path.as_posix())
        for key, one in sets.items()
    ]


def _of_clips(means: Mapping[str, Any], clips: int) -> dict[str, dict[str, Any]]:
    """The means of `eval reenact`, which have no interval."""
    return {key: _without_interval(means[key], clips) for key in COLUMNS if isinstance(means.get(key), int | float)}


def _checked(one: Any, path: Path) -> dict[str, dict[str, Any]]:
    """The known metrics of a set; InputError for anything that is no number where one is expected."""
    metrics = one.get("metrics") if isinstance(one, dict) else None
    if not isinstance(metrics, dict):
        raise InputError(f"{path} has a set without metrics: {EXPECTED}")
    found = {}
    for key in COLUMNS:
        if key not in metrics:
            continue
        numbers = metrics[key]
        fits = isinstance(numbers, dict) and all(isinstance(numbers.get(n), int | float | None) for n in NUMBERS)
        whole = fits and (numbers.get("low") is None) == (numbers.get("high") is None)
        if not whole:
            raise InputError(f"{path}: {key} is {shown(numbers)}, not a mean with its interval: {EXPECTED}")
        found[key] = {name: numbers.get(name) for name in NUMBERS}
    return found


def _of_paper() -> list[Result]:
    return [
        Result(f"{method} (paper)", size, {key: _without_interval(value, None) for key, value in row.items()}, "paper")
        for (method, size), row in PAPER.items()
    ]


def _without_interval(value: float, count: int | None) -> dict[str, Any]:
    return {"mean": value, "low": None, "high": None, "count": count, "infinite": 0}
