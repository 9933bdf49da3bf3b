"""The ablation on three rendered people and a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from typer.testing import CliRunner

from mcld_anim.cli.train import app
from mcld_anim.core.errors import UsageError
from mcld_anim.model.build import build_mcld
from mcld_anim.options.model import load_model_options
from mcld_anim.train.ablation import VARIANTS, as_table, variant_options
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


def test_the_table_leaves_unknown_metrics_empty() -> None:
    table = as_table({"B1": {"psnr": 20.0}, "full": {"psnr": 21.0, "face_similarity": 0.5}})
    assert table.splitlines() == [
        "| variant | psnr | face_similarity |",
        "|---|---|---|",
        "| B1 | 20.000 |  |",
        "| full | 21.000 | 0.500 |",
    ]


@pytest.mark.slow
def test_every_variant_is_trained_and_measured(people: Path, tmp_path: Path) -> None:
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
    done = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "train.yaml")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = [line for line in done.output.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == [f"| {name}" for name in VARIANTS]
    assert len({row.split(" | ", 1)[1] for row in rows[1:]}) == 4, "four variants, four results"
    trained = {name: (tmp_path / "out" / name / "weights.safetensors").stat().st_mtime_ns for name in VARIANTS}
    arguments += ["--variant", "B3", "--variant", "full"]
    again = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "train.yaml")], catch_exceptions=False)
    assert again.output.splitlines()[-2:] == [rows[2], rows[4]], "the same two rows; trained once"
    assert trained["B5"] == (tmp_path / "out" / "B5" / "weights.safetensors").stat().st_mtime_ns
    config = ["--config", str(tmp_path / "train.yaml")]
    with pytest.raises(UsageError, match="begun with another model or another --warped-source"):
        CliRunner().invoke(app, [*arguments, *config, "--no-warped-source"], catch_exceptions=False)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training | {"condition_dropout": 0.5}))
    with pytest.raises(UsageError, match="begun with other options"):
        CliRunner().invoke(app, [*arguments, *config], catch_exceptions=False)
    with pytest.raises(UsageError, match="unknown variant 'B2'"):
        CliRunner().invoke(app, [*arguments, "--variant", "B2"], catch_exceptions=False)
