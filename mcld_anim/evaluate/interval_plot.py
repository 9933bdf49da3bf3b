"""The table of `eval compare` as an SVG picture: a panel per metric, a dot with its interval per result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mcld_anim.evaluate.columns import COLUMNS, Column
from mcld_anim.evaluate.compare import Result, measured

PANEL, LABELS, ROW, HEAD, GAP = 260, 250, 24, 54, 26
"""Width of a panel's scale, room for the names at its left, height of a row, of the title, and between panels."""
ACROSS = 2
"""Panels beside each other."""
COLOURS = ("#0b5394", "#b45f06", "#38761d", "#741b47", "#134f5c", "#7f6000")
"""By method, in turn."""
MARGIN = 0.08
"""Room beside the outermost values, as a fraction of the scale."""
LONGEST = 34
"""Characters of a name that fit."""


def draw_intervals(results: Sequence[Result]) -> str:
    """The picture; metrics without a finite value have no panel."""
    methods = list(dict.fromkeys(one.method for one in results))
    colours = {method: COLOURS[place % len(COLOURS)] for place, method in enumerate(methods)}
    panels = [(key, [one for one in results if _mean(one, key) is not None]) for key in measured(results)]
    panels = [(key, shown) for key, shown in panels if shown]
    lines = [panels[start : start + ACROSS] for start in range(0, len(panels), ACROSS)]
    down, drawn = GAP, []
    for line in lines:
        for place, (key, shown) in enumerate(line):
            across = GAP + place * (LABELS + PANEL + 2 * GAP)
            drawn.append(_panel(COLUMNS[key], [(one, one.metrics[key]) for one in shown], colours, across, down))
        down += HEAD + ROW * max(len(shown) for _, shown in line) + GAP
    width = GAP + min(ACROSS, max(len(panels), 1)) * (LABELS + PANEL + 2 * GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {down}" width="{width}" height="{down}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(drawn)}</svg>\n"
    )


def _mean(result: Result, key: str) -> float | None:
    mean: float | None = result.metrics.get(key, {}).get("mean")
    return mean


def _panel(
    column: Column,
    rows: Sequence[tuple[Result, Mapping[str, Any]]],
    colours: Mapping[str, str],
    across: int,
    down: int,
) -> str:
    ends = [value for _, one in rows for value in (one["mean"], one["low"], one["high"]) if value is not None]
    low, high = min(ends), max(ends)
    spread = (high - low) or abs(high) or 1.0
    low, high = low - MARGIN * spread, high + MARGIN * spread
    left, top, base = across + LABELS, down + HEAD - 20, down + HEAD + ROW * len(rows)

    def place(value: float) -> float:
        return left + PANEL * (value - low) / (high - low)

    better = "more is better" if column.higher else "less is better"
    parts = [
        _text(left, down + 12, f"{column.title}: {better}", weight="bold"),
        _text(left, top - 3, f"{low:{column.form}}", fill="#666"),
        _text(left + PANEL, top - 3, f"{high:{column.form}}", anchor="end", fill="#666"),
        f'<path d="M{left},{base}V{top}H{left + PANEL}V{base}" fill="none" stroke="#ccc"/>',
    ]
    for number, (result, one) in enumerate(rows):
        y, colour = down + HEAD + ROW * number, colours[result.method]
        name = f"{result.method}, {result.set}"
        parts.append(_text(left - 8, y + 4, name if len(name) <= LONGEST else f"{name[:LONGEST]}…", anchor="end"))
        if one["low"] is not None:
            parts.append(
                f'<path d="M{place(one["low"]):.1f},{y}H{place(one["high"]):.1f}" stroke="{colour}" stroke-width="3" '
                'stroke-opacity="0.45"/>'
            )
        parts.append(f'<circle cx="{place(one["mean"]):.1f}" cy="{y}" r="4.5" fill="{colour}"/>')
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "#111", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" fill="{fill}" font-weight="{weight}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(text)}</text>'
