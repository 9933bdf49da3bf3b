"""The loss curve of a training's `curve.csv` as an SVG picture."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 900, 420, 56
SMOOTHING = 0.9
"""Decay of the running mean that is drawn as the line; the values themselves are drawn pale behind it."""


def draw_curve(table: Path, column: str = "loss") -> Path | None:
    """Draw one column of `table` over the steps, next to it as .svg; returns None with fewer than two points."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row.get(column)]
    points = [(step, value) for step, value in rows if value > 0 and math.isfinite(value)]
    if len(points) < 2:
        return None
    path = table.with_suffix(".svg")
    partial = path.with_name(path.name + ".partial")
    partial.write_text(_svg(points, column), encoding="utf-8")
    os.replace(partial, path)
    return path


def _svg(points: list[tuple[int, float]], name: str) -> str:
    """A plot with the steps on the horizontal axis and the values on a logarithmic vertical one."""
    logs = [math.log10(value) for _, value in points]
    low, high = min(logs), max(max(logs), min(logs) + 1e-6)
    first, last = points[0][0], points[-1][0]

    def place(step: float, log: float) -> str:
        across = MARGIN + (WIDTH - 2 * MARGIN) * (step - first) / max(1, last - first)
        down = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (log - low) / (high - low)
        return f"{across:.1f},{down:.1f}"

    raw = " ".join(place(step, log) for (step, _), log in zip(points, logs, strict=True))
    smooth = " ".join(place(step, log) for (step, _), log in zip(points, _running_mean(logs), strict=True))
    base, top = HEIGHT - MARGIN, MARGIN
    labels = [
        (MARGIN, base + 22, "start", f"step {first}"),
        (WIDTH - MARGIN, base + 22, "end", f"step {last}"),
        (MARGIN - 8, base, "end", f"{10**low:.3g}"),
        (MARGIN - 8, top + 4, "end", f"{10**high:.3g}"),
        (WIDTH // 2, top - 20, "middle", name),
    ]
    texts = "".join(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>' for x, y, anchor, text in labels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="14"><rect width="100%" height="100%" fill="white"/>'
        f'<path d="M{MARGIN},{top}V{base}H{WIDTH - MARGIN}" fill="none" stroke="#888"/>'
        f'<polyline points="{raw}" fill="none" stroke="#bcd"/>'
        f'<polyline points="{smooth}" fill="none" stroke="#05a" stroke-width="2"/>{texts}</svg>\n'
    )


def _running_mean(values: list[float]) -> list[float]:
    mean, means = values[0], []
    for count, value in enumerate(values):
        keep = min(SMOOTHING, count / (count + 1))
        mean = keep * mean + (1 - keep) * value
        means.append(mean)
    return means
