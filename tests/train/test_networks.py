"""Autoencoder and face trainings on a few rendered people, the bundled configurations and the commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from mcld_anim.cli.train import app
from mcld_anim.core.errors import InputError, UsageError
from mcld_anim.model.vae import build_vae
from mcld_anim.options.load import load_yaml
from mcld_anim.options.model import VaeOptions, load_model_options
from mcld_anim.source.tiny_face import FaceEmbedder, load_tiny_face_backend
from mcld_anim.train.autoencoder import AutoencoderTask, AutoencoderTrainingOptions, principal_components, psnr_inside
from mcld_anim.train.densepose import DensePoseTrainingOptions
from mcld_anim.train.diffusion import DiffusionTrainingOptions
from mcld_anim.train.face import FaceTask, FaceTrainingOptions, verification
from mcld_anim.train.loop import CHECKPOINT_NAME, train
from mcld_anim.train.prepared_people import PreparedPerson
from mcld_anim.train.record import Checkpoint
from mcld_anim.train.views import PeopleViews
from mcld_anim.weights.table import EMBEDDED_FOLDER

from .conftest import LAST_DEVELOPS, LOOP


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    """A model configuration with a minimal autoencoder."""
    vae = {"patch_size": 4, "latent_channels": 4, "block_out_channels": [8, 8], "layers_per_block": 1}
    vae |= {"norm_num_groups": 4, "mid_attention": False, "scaling_factor": 1.0, "linear_shortcut": True}
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "vae": vae}))
    return path


def autoencoder_training(model: Path) -> AutoencoderTrainingOptions:
    return AutoencoderTrainingOptions(
        model=str(model), loop=LOOP, data=LAST_DEVELOPS, crop=64, measured_views=2, linear_views=8
    )


def test_principal_components_beat_any_other_linear_code(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    basis, mean = principal_components(views, 4, 8)
    flat = basis.reshape(4, -1)
    products = flat @ flat.T
    assert torch.allclose(products, torch.diag(products.diagonal()), atol=1e-3 * float(products.max()))
    vae = build_vae(VaeOptions(4, 4, (8, 8), 1, 4, mid_attention=False, linear_shortcut=True)).eval()
    pictures = torch.from_numpy(views.view(0, 0)[0].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    inside = torch.from_numpy(views.view(0, 0)[1][..., 0] > 0).float()[None, None]

    def quality(directions: torch.Tensor) -> float:
        vae.set_linear_code(directions, mean)
        with torch.no_grad():
            return float(psnr_inside(vae.decode(vae.encode(pictures)), pictures, inside))

    random = torch.linalg.qr(torch.randn(192, 4, generator=torch.Generator().manual_seed(0)))[0].T.reshape_as(basis)
    assert quality(basis) > quality(random) + 5


def test_autoencoder_resume_equals_uninterrupted(people: Path, small_model: Path, tmp_path: Path) -> None:
    options = autoencoder_training(small_model)
    train(AutoencoderTask(options, people), LOOP, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("step 3"):
            raise Killed

    with pytest.raises(Killed):
        train(AutoencoderTask(options, people), LOOP, tmp_path / "parts", on_log=kill)
    train(AutoencoderTask(options, people), LOOP, tmp_path / "parts", resume=True)
    whole, parts = (Checkpoint.read(tmp_path / name / CHECKPOINT_NAME) for name in ("whole", "parts"))
    assert all(torch.equal(whole.network[name], parts.network[name]) for name in whole.network)
    assert all(torch.equal(whole.average[name], parts.average[name]) for name in whole.average)
    assert whole.metrics == parts.metrics


def test_exported_autoencoder_loads_with_unit_latents(people: Path, small_model: Path, tmp_path: Path) -> None:
    task = AutoencoderTask(autoencoder_training(small_model), people)
    result = train(task, LOOP, tmp_path / "run")
    vae = build_vae(load_model_options(small_model).vae).eval()
    vae.load_state_dict({name: tensor.float() for name, tensor in load_file(result.weights).items()})
    pictures, _ = task.views.development_views(2)
    with torch.no_grad():
        latents = vae.encode(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1)
    assert float(latents.std()) == pytest.approx(1, abs=0.03)
    assert latents.mean((0, 2, 3)).abs().max() < 0.03


def test_face_training_exports_what_the_backend_loads(heads: Path, tmp_path: Path) -> None:
    options = FaceTrainingOptions(loop=dataclasses.replace(LOOP, batch_size=4), held_out=3)
    result = train(FaceTask(options, heads), options.loop, tmp_path / "run")
    backend = load_tiny_face_backend(weights=result.weights)
    assert backend.threshold == pytest.approx(result.metrics["coarse_threshold"], abs=1e-3)
    with pytest.raises(InputError, match="held out"):
        FaceTask(dataclasses.replace(options, held_out=6), heads)


class ByBrightness(FaceEmbedder):
    """Embeds a crop as a direction that depends on its brightness only."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        angle = crops.mean((1, 2, 3)) * 3
        return torch.stack([angle.cos(), angle.sin()], 1)


def test_verification_is_perfect_for_distinct_people_and_chance_for_equal_ones() -> None:
    distinct = [[np.full((64, 64, 3), grey + step, np.uint8) for step in range(3)] for grey in range(0, 250, 50)]
    accuracy, threshold = verification(ByBrightness(), distinct)
    assert accuracy == 1
    # Neighbours differ by 48 to 52 grey levels, 3 * 48 / 127.5 radians; one person's crops by 2 at most.
    assert np.cos(3 * 48 / 127.5) <= threshold <= np.cos(3 * 2 / 127.5) + 1e-6
    alike = [[np.full((64, 64, 3), 90, np.uint8)] * 3 for _ in range(5)]
    assert verification(ByBrightness(), alike)[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tiny_autoencoder", AutoencoderTrainingOptions),
        ("tiny_densepose", DensePoseTrainingOptions),
        ("tiny_densepose_gpu", DensePoseTrainingOptions),
        ("tiny_finetune_gpu", DiffusionTrainingOptions),
        ("tiny_ablation", DiffusionTrainingOptions),
        ("tiny_ablation_gpu", DiffusionTrainingOptions),
        ("tiny_face", FaceTrainingOptions),
    ],
)
def test_bundled_configurations_load(name: str, kind: type) -> None:
    assert load_yaml(kind, name, folder="train").loop.minutes > 0


def test_the_command_trains_and_resumes(people: Path, tmp_path: Path) -> None:
    config = tmp_path / "densepose.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "network": {"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1]},
                "loop": {"batch_size": 2, "steps": 9, "checkpoint_steps": 2},
                "data": {"development": [[2, 3]]},
                "backgrounds": 2,
                "measured_views": 2,
            }
        )
    )
    arguments = ["densepose", "--data", str(people), "--output", str(tmp_path / "run"), "--config", str(config)]
    first = CliRunner().invoke(app, [*arguments, "--steps", "2"])
    assert first.exit_code == 0, first.output
    assert "2 steps" in first.output
    again = CliRunner().invoke(app, [*arguments, "--steps", "3", "--resume"])
    assert again.exit_code == 0, again.output
    assert "resumed at step 2" in again.output
    assert "3 steps" in again.output


def test_the_prepare_command_encodes_people_once(people: Path, tmp_path: Path) -> None:
    weights = ["--vae", str(EMBEDDED_FOLDER / "vae.safetensors"), "--face", str(EMBEDDED_FOLDER / "face.safetensors")]
    arguments = ["prepare", "--data", str(people), "--output", str(tmp_path), "--people", "0:1,2", *weights]
    first = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "2 people prepared" in first.output
    person = PreparedPerson.read(tmp_path / "person_00002.npz")
    assert person.views.shape == (8, 12, 32, 32)
    assert person.faces.shape == (2, 128)
    assert "0 people prepared" in CliRunner().invoke(app, arguments, catch_exceptions=False).output
    with pytest.raises(UsageError, match="--device tpu is not available"):
        CliRunner().invoke(app, [*arguments, "--device", "tpu"], catch_exceptions=False)
