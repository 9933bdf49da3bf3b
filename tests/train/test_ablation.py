"""The ablation on three rendered people and a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import Result
from safetensors.torch import save_file
from typer.testing import CliRunner

from mcld_anim.cli.train import app
from mcld_anim.core.errors import UsageError
from mcld_anim.model.build import build_mcld
from mcld_anim.options.model import load_model_options
from mcld_anim.train.ablation import as_json, as_markdown, summary
from mcld_anim.train.ablation_training import VARIANTS, AblationOptions, Trained, parse_seeds, variant_options
from mcld_anim.train.prepared_people import load_vae, prepare_missing
from mcld_anim.train.views import PeopleViews, ViewsOptions

from .test_diffusion import MODEL


def test_variants_differ_in_conditions_and_aggregation_alone() -> None:
    model = load_model_options("tiny")
    full = variant_options(model, "full", warped_source=True)
    assert (full.conditions, full.aggregation, full.detail) == (("image", "texture", "face"), "mfca", None)
    assert variant_options(model, "B3", warped_source=True).aggregation == "concat"
    assert variant_options(model, "B1", warped_source=False).pose_guider.warped_source == "none"
    assert {variant_options(model, name, warped_source=True).unet for name in VARIANTS} == {model.unet}


def test_seeds_are_a_number_or_a_range() -> None:
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("2:4") == (2, 3)
    for wrong in ("0", "two", "3:3", "-1:2", "1:2:3", ""):
        with pytest.raises(UsageError, match="--seeds"):
            parse_seeds(wrong)


def options_of(output: Path) -> AblationOptions:
    return AblationOptions(output, output, output, output, people=2, poses=1)


def trained(variant: str, seed: int, *psnr: float, **more: float) -> Trained:
    return Trained(variant, seed, 7, 0.5, tuple({"psnr": value, **more} for value in psnr))


def test_the_tables_pair_seeds_and_people(tmp_path: Path) -> None:
    # Seeds and people differ by decibels, the variants by 1 dB everywhere: only paired differences show it exactly.
    runs = [
        trained("full", 1, 30.0, 21.0, face_similarity=0.5),
        trained("full", 0, 20.0, 15.0, face_similarity=0.5),
        trained("B1", 0, 19.0, 14.0),
        trained("B1", 1, 29.0, 20.0),
    ]
    tables = as_markdown(runs, options_of(tmp_path)).splitlines()
    assert tables[0] == "| variant | conditions | PSNR↑ | face similarity↑ | paper: PSNR / SSIM |"
    assert tables[2].startswith("| B1 | image | 20.50 [")
    assert tables[2].endswith("| - | 18.18 / 0.7371 |")
    assert tables[3].startswith("| full | image, texture, face; mfca | 21.50 [")
    assert tables[5].startswith("| difference |")
    assert tables[7] == "| B1 - full | -1.00 [-1.00, -1.00] | - | -0.66 / -0.0140 |"
    assert "seeds 0, 1; 7 steps each, 2 minutes" in tables[-1]
    content = as_json(runs, options_of(tmp_path))
    assert content["difference_from_full"]["B1"]["psnr"]["high"] == -1.0
    assert [person["psnr"] for person in content["trainings"][1]["people"]] == [20.0, 15.0]


def test_without_the_full_variant_there_are_no_differences(tmp_path: Path) -> None:
    tables = as_markdown([trained("B1", 0, 19.0, 14.0)], options_of(tmp_path))
    assert "difference" not in tables
    assert "| 16.50 [" in tables
    assert tables.endswith("95 % intervals over people; those over trainings need --seeds.")


def test_intervals_of_rates_end_at_0_and_1() -> None:
    runs = [trained("full", seed, 20.0, 21.0, right_person_rate=0.5 * seed) for seed in (0, 1)]
    found = summary(runs)["full"]["right_person_rate"]
    assert (found["mean"], found["low"], found["high"]) == (0.25, 0.0, 1.0)


def small_ablation(people: Path, tmp_path: Path) -> tuple[list[str], dict[str, object]]:
    """Arguments of an ablation of one step, and its training configuration."""
    sizes = {"frame_size": [256, 256], "texture_size": [64, 64], "sampling": {"steps": 1, "guidance": 1.0}}
    model = MODEL | sizes | {"face": MODEL["face"] | {"embedding_dim": 128}}  # type: ignore[operator]
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(model))
    options = load_model_options(tmp_path / "model.yaml")
    torch.manual_seed(0)
    save_file(build_mcld(options).vae.state_dict(), tmp_path / "vae.safetensors")
    vae = load_vae(options, tmp_path / "vae.safetensors")
    views = PeopleViews(people, ViewsOptions(development=((2, 3),)))
    prepare_missing(views, [0, 1, 2], tmp_path / "prepared", 2, vae, options, lambda picture, iuv: None)
    loop = {"steps": 1, "warmup_steps": 1, "log_steps": 1}
    training = {"model": str(tmp_path / "model.yaml"), "loop": loop, "measured_people": 1, "measured_steps": 1}
    training |= {"stages": [{"people": 1, "views": 2}], "data": {"development": [[2, 3]]}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training))
    arguments = ["ablation", "--data", str(people), "--prepared", str(tmp_path / "prepared"), "--output"]
    arguments += [str(tmp_path / "out"), "--vae", str(tmp_path / "vae.safetensors"), "--people", "2", "--poses", "1"]
    return [*arguments, "--config", str(tmp_path / "train.yaml")], training


@pytest.mark.slow
def test_every_variant_is_trained_and_measured_with_every_seed(people: Path, tmp_path: Path) -> None:
    arguments, training = small_ablation(people, tmp_path)
    first = invoke(arguments)
    kept = (tmp_path / "out" / "B3" / "seed_0" / "weights.safetensors").stat().st_mtime_ns
    found = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))["trainings"]
    assert [one["variant"] for one in found] == list(VARIANTS)
    assert len({json.dumps(one["people"]) for one in found}) == 4, "four variants, four results"
    tables = (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8").splitlines()
    assert first.output.splitlines()[-len(tables) :] == tables
    assert [row.split(" | ")[0] for row in tables[2:6]] == [f"| {name}" for name in VARIANTS]
    # A second seed trains only what is new.
    done = invoke([*arguments, "--seeds", "2", "--variant", "B3", "--variant", "full"])
    assert (tmp_path / "out" / "B3" / "seed_0" / "weights.safetensors").stat().st_mtime_ns == kept
    lines = done.output.splitlines()
    assert "[1/4] B3, seed 0: finished before" in lines
    assert "[3/4] B3, seed 1: finished before" not in lines
    again = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))["trainings"]
    order = [(one["variant"], one["seed"]) for one in again]
    assert order == [("B3", 0), ("full", 0), ("B3", 1), ("full", 1)], "a stop leaves whole seeds"
    assert again[0] == found[1]
    assert len({json.dumps(one["people"]) for one in again}) == 4, "other seeds, other results"
    assert all(len(one["people"]) == 2 for one in again)
    # Measured otherwise, nothing is trained again.
    fewer = invoke([*arguments, "--seeds", "1:2", "--variant", "B3", "--poses", "2"])
    assert "[1/1] B3, seed 1: trained, 1 steps; measuring" in fewer.output.splitlines()
    with pytest.raises(UsageError, match="begun with another model or another --warped-source"):
        invoke([*arguments, "--no-warped-source"])
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training | {"condition_dropout": 0.5}))
    with pytest.raises(UsageError, match="begun with other options"):
        invoke(arguments)
    with pytest.raises(UsageError, match="unknown variant 'B2'"):
        invoke([*arguments, "--variant", "B2"])


def invoke(arguments: list[str]) -> Result:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done
