"""Training of the detail decoder on rendered people, with frames of an untrained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from mcld_anim.core.errors import UsageError
from mcld_anim.metrics.pictures import ssim
from mcld_anim.model.build import build_mcld
from mcld_anim.model.detail import DetailDecoder
from mcld_anim.options.load import load_yaml
from mcld_anim.options.model import load_model_options
from mcld_anim.train.detail import DetailTask, DetailTrainingOptions, similarity_map
from mcld_anim.train.diffusion import TRAINED_PARTS
from mcld_anim.train.loop import LoopOptions, train
from mcld_anim.train.parts import load_into
from mcld_anim.train.prepared_people import load_vae, prepare_missing
from mcld_anim.train.views import PeopleViews, ViewsOptions

from .test_diffusion import MODEL

DATA = ViewsOptions(development=((2, 3),))
LOOP = LoopOptions(steps=12, learning_rate=3e-3, warmup_steps=1, ema_decay=0.5, log_steps=1, evaluate_minutes=1e9)


@pytest.fixture(scope="module")
def folder(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model configuration, weights of an untrained diffusion model, and prepared people."""
    root = tmp_path_factory.mktemp("detail")
    sizes = {"frame_size": [256, 256], "texture_size": [64, 64], "detail": {"widths": [8, 16]}}
    (root / "model.yaml").write_text(yaml.safe_dump(MODEL | sizes))
    options = load_model_options(root / "model.yaml")
    torch.manual_seed(0)
    mcld = build_mcld(options)
    save_file(mcld.vae.state_dict(), root / "vae.safetensors")
    networks = torch.nn.ModuleDict({part: getattr(mcld, part) for part in TRAINED_PARTS})
    save_file(networks.state_dict(), root / "weights.safetensors")
    vae = load_vae(options, root / "vae.safetensors")
    views = PeopleViews(people, DATA)
    prepare_missing(views, [0, 1, 2], root / "prepared", 2, vae, options, lambda p, i: np.ones(8, np.float32))
    return root


def make_task(folder: Path, people: Path, model: str = "model.yaml") -> DetailTask:
    options = DetailTrainingOptions(
        model=str(folder / model), loop=LOOP, data=DATA, views=2, steps=(1,), measured_people=1
    )
    files = (folder / "vae.safetensors", folder / "weights.safetensors")
    return DetailTask(options, people, folder / "prepared", *files, start_from=None)


def test_it_learns_to_use_the_warped_source_and_exports_what_a_model_loads(
    folder: Path, people: Path, tmp_path: Path
) -> None:
    task = make_task(folder, people)
    before = task.evaluate(task.network)
    result = train(task, LOOP, tmp_path / "run")
    assert result.metrics["finished_psnr"] > before["finished_psnr"] + 1.0  # decoded frames are noise here
    fresh = build_mcld(load_model_options(folder / "model.yaml"))
    assert isinstance(fresh.detail, DetailDecoder)
    load_into(fresh.detail, result.weights)


def test_warped_sources_and_truths_show_the_same_views(folder: Path, people: Path) -> None:
    task = make_task(folder, people)
    frames = task.frames(task.request(1, task.people.person(1), 0, [2, 4], steps=1, seed=0))
    for row, view in enumerate((2, 4)):
        picture, iuv = task.people.views.view(1, view)
        assert np.array_equal(frames.warped_sources.person[row, 0].numpy() > 0, iuv[..., 0] > 0)
        shown = ((frames.truths[row] + 1) * 127.5).round().permute(1, 2, 0).numpy()
        assert np.array_equal(shown, picture)
    # Where the photo showed the colour, the warped source is much closer to the truth than a mean colour.
    known = (frames.warped_sources.validity * frames.warped_sources.person) > 0
    error = (frames.warped_sources.pictures - frames.truths).abs().mean(1, keepdim=True)[known].mean()
    assert error < 0.6 * (frames.truths - frames.truths[known.expand_as(frames.truths)].mean()).abs().mean()


def test_the_similarity_agrees_with_the_metric() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 40, 56, 3))
    second = 0.5 * first + 0.5 * second
    planes = [torch.from_numpy(p).permute(2, 0, 1)[None] * 2 - 1 for p in (first, second)]
    inner = similarity_map(*planes)[..., 5:-5, 5:-5].mean()
    assert float(inner) == pytest.approx(ssim(first, second), abs=1e-4)


def test_a_model_without_one_is_refused(folder: Path, people: Path) -> None:
    (folder / "plain.yaml").write_text(yaml.safe_dump(MODEL))
    with pytest.raises(UsageError, match="detail"):
        make_task(folder, people, "plain.yaml")


def test_the_bundled_configuration_loads() -> None:
    assert load_yaml(DetailTrainingOptions, "tiny_detail", folder="train").model == "tiny"
