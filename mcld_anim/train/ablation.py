"""The paper's ablation at small scale: trainings, and their table with intervals beside the paper's figures.

An interval says where the mean would lie for other trainings and other people, see `metrics.crossed`. The differences
from the full model are paired: both trainings of a seed see the same batches, and both are measured on the same people
in the same shots with the same noise. Their intervals are therefore the ones to judge a variant by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from mcld_anim.core.durable import durable_file
from mcld_anim.core.names import write_json
from mcld_anim.evaluate.columns import Column
from mcld_anim.evaluate.published_results import PAPER_ABLATION
from mcld_anim.metrics.crossed import crossed_estimate
from mcld_anim.train.ablation_figures import COLUMNS
from mcld_anim.train.ablation_training import VARIANTS, AblationOptions, Trained, train_variants

SHOWN = {
    "psnr": Column("PSNR", ".2f", True),
    "ssim": Column("SSIM", ".3f", True),
    "person_psnr": Column("person PSNR", ".2f", True),
    "person_ssim": Column("person SSIM", ".3f", True),
    "face_similarity": Column("face similarity", ".3f", True),
    "right_person_rate": Column("right person", ".2f", True),
}
"""How the table shows each of `COLUMNS`."""
WHOLE = "full"
"""The variant that the others are compared with."""


def run_ablation(options: AblationOptions, on_log: Callable[[str], None] = lambda line: None) -> str:
    """Train and measure the variants as far as that is not done; returns the tables as Markdown.

    Also writes them to `ablation.md` in `options.output`, and all figures to `ablation.json`.
    """
    trained = train_variants(options, on_log)
    tables = as_markdown(trained, options)
    with durable_file(options.output / "ablation.md", overwrite=True) as path:
        path.write_text(tables + "\n", encoding="utf-8")
    with durable_file(options.output / "ablation.json", overwrite=True) as path:
        write_json(path, as_json(trained, options))
    return tables


def as_markdown(trained: Sequence[Trained], options: AblationOptions) -> str:
    """Two tables: the figures of each variant, and their differences from the full one if that was trained."""
    keys = [key for key in COLUMNS if any(key in person for one in trained for person in one.people)]
    found = summary(trained)
    titles = [SHOWN[key].arrow for key in keys]
    rows = [["variant", "conditions", *titles, "paper: PSNR / SSIM"]]
    for name, metrics in found.items():
        conditions, aggregation = VARIANTS[name]
        joined = f"{', '.join(conditions)}; {aggregation}" if len(conditions) > 1 else conditions[0]
        rows.append([name, joined, *(SHOWN[key].shown(metrics[key]) for key in keys), _paper(PAPER_ABLATION[name])])
    parts = [_table(rows)]
    compared = differences(trained)
    if compared:
        rows = [["difference", *titles, "paper: PSNR / SSIM"]]
        for name, metrics in compared.items():
            paper = {key: PAPER_ABLATION[name][key] - PAPER_ABLATION[WHOLE][key] for key in PAPER_ABLATION[name]}
            shown = (replace(SHOWN[key], form=f"+{SHOWN[key].form}").shown(metrics[key]) for key in keys)
            rows.append([f"{name} - {WHOLE}", *shown, _paper(paper, sign="+")])
        parts.append(_table(rows))
    return "\n".join([*parts, _note(trained, options)])


def as_json(trained: Sequence[Trained], options: AblationOptions) -> dict[str, Any]:
    """Everything as plain data: tables, the paper's figures, and the figures of every training and person."""
    return {
        "note": _note(trained, options),
        "variants": summary(trained),
        f"difference_from_{WHOLE}": differences(trained),
        "paper": {name: dict(PAPER_ABLATION[name]) for name in summary(trained)},
        "trainings": [asdict(one) for one in trained],
    }


def summary(trained: Sequence[Trained]) -> dict[str, dict[str, Any]]:
    """Mean and interval of every metric, by variant, as `metrics.bootstrap.Estimate`; those of rates end at 0 and 1."""
    found = {name: _estimates(figures) for name, figures in _by_variant(trained).items()}
    for metrics in found.values():
        rate = metrics["right_person_rate"]
        if rate["low"] is not None:
            rate["low"], rate["high"] = max(0.0, rate["low"]), min(1.0, rate["high"])
    return found


def differences(trained: Sequence[Trained]) -> dict[str, dict[str, Any]]:
    """The same of each other variant minus the full one, paired by seed and person; empty without the full one."""
    figures = _by_variant(trained)
    whole = figures.pop(WHOLE, None)
    if whole is None:
        return {}
    return {
        name: _estimates({key: values - whole[key] for key, values in of_one.items()})
        for name, of_one in figures.items()
    }


def _by_variant(trained: Sequence[Trained]) -> dict[str, dict[str, Float[np.ndarray, "seeds people"]]]:
    """The figures by variant and metric, a row per seed in order; NaN where a person has none."""
    by_variant: dict[str, list[Trained]] = {}
    for one in sorted(trained, key=lambda one: one.seed):
        by_variant.setdefault(one.variant, []).append(one)
    return {
        name: {
            key: np.array([[person.get(key, np.nan) for person in one.people] for one in by_variant[name]])
            for key in COLUMNS
        }
        for name in VARIANTS
        if name in by_variant
    }


def _estimates(figures: Mapping[str, Float[np.ndarray, "seeds people"]]) -> dict[str, Any]:
    return {key: asdict(crossed_estimate(values)) for key, values in figures.items()}


def _paper(figures: Mapping[str, float], sign: str = "") -> str:
    return f"{figures['psnr']:{sign}.2f} / {figures['ssim']:{sign}.4f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _note(trained: Sequence[Trained], options: AblationOptions) -> str:
    """What was trained and measured, in a sentence."""
    seeds, steps = sorted({one.seed for one in trained}), sorted({one.steps for one in trained})
    minutes = sum(one.minutes for one in trained)
    over = "trainings and people" if len(seeds) > 1 else "people; those over trainings need --seeds"
    return (
        f"Training seeds {', '.join(map(str, seeds))}; {' or '.join(map(str, steps))} steps each, {minutes:.0f} "
        f"minutes in all. {options.people} held-out people in {options.poses} poses each. In brackets: 95 % intervals "
        f"over {over}."
    )
