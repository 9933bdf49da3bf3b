"""A DeepFashion-style list of pairs: read, prepared in two processes, resumed, trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from mcld_anim.cli.train import app
from mcld_anim.errors import InputError, UsageError
from mcld_anim.model.build import build_mcld
from mcld_anim.options.model import load_model_options
from mcld_anim.pose.iuv_picture import encode_iuv
from mcld_anim.source.texture import source_texture
from mcld_anim.train.diffusion import DiffusionTraining, load_examples
from mcld_anim.train.pair_list import PairPreparation, PreparedPairs, PreparedPicture, prepare_pairs, read_pairs
from mcld_anim.train.pairs import encode_pictures, load_vae
from mcld_anim.train.views import PeopleViews

from .test_diffusion import MODEL

SIDE = 256
PLAIN = MODEL | {"frame_size": [SIDE, SIDE], "texture_size": [64, 64], "pose_guider": {"block_out_channels": [8] * 4}}
PAIRS = [("a/0.png", "a/1.png"), ("a/2.png", "a/0.png"), ("b/3.png", "b/4.png"), ("a/0.png", "nobody.png")]
PAIRS += [("torn.png", "a/0.png")]


@pytest.fixture(scope="module")
def folder(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with their IUV beside a list of pairs; one shows nobody, one is torn."""
    root = tmp_path_factory.mktemp("pairs")
    views = PeopleViews(people)
    for kind in ("images", "iuv"):
        for name in ("a", "b"):
            (root / kind / name).mkdir(parents=True)
    for number, name in enumerate(["a/0.png", "a/1.png", "a/2.png", "b/3.png", "b/4.png"]):
        picture, iuv = views.view(0 if name.startswith("a") else 1, number)
        Image.fromarray(picture).save(root / "images" / name)
        (root / "iuv" / name).write_bytes(encode_iuv(iuv))
    Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(root / "images" / "nobody.png")
    (root / "iuv" / "nobody.png").write_bytes(encode_iuv(np.zeros((SIDE, SIDE, 3), np.uint8)))
    (root / "images" / "torn.png").write_bytes((root / "images" / "a" / "0.png").read_bytes()[:300])
    with (root / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("from", "to"), *PAIRS])
    (root / "model.yaml").write_text(yaml.safe_dump(PLAIN))
    torch.manual_seed(0)
    save_file(build_mcld(load_model_options(root / "model.yaml")).vae.state_dict(), root / "vae.safetensors")
    return root


def request(folder: Path, output: Path, workers: int = 1) -> PairPreparation:
    options = load_model_options(folder / "model.yaml")
    images, iuv = folder / "images", str(folder / "iuv")
    return PairPreparation(folder / "pairs.csv", images, output, options, iuv, "none", workers=workers)


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Path:
    output = folder / "prepared"
    result = prepare_pairs(request(folder, output, workers=2))
    assert (result.pairs, result.made, result.without_person) == (5, 6, 1)
    assert len(result.refused) == 1
    assert result.refused[0].startswith("torn.png: ")
    return output


def test_preparing_again_makes_what_is_missing_only(folder: Path, prepared: Path) -> None:
    again = prepare_pairs(request(folder, prepared))
    assert (again.made, again.without_person) == (0, 1)
    lost = prepared / "pictures" / "a" / "1.png.npz"
    before = lost.read_bytes()
    lost.unlink()
    assert prepare_pairs(request(folder, prepared)).made == 1
    assert lost.read_bytes() == before


def test_a_prepared_picture_holds_iuv_and_texture(people: Path, prepared: Path) -> None:
    picture, iuv = PeopleViews(people).view(0, 1)
    stored = PreparedPicture.read(prepared / "pictures" / "a" / "1.png.npz")
    assert np.array_equal(stored.iuv, iuv)
    assert np.array_equal(stored.texture, source_texture(picture, iuv, "nearest"))
    assert not stored.face.any()


def test_examples_are_the_usable_pairs(people: Path, folder: Path, prepared: Path) -> None:
    options = load_model_options(folder / "model.yaml")
    vae = load_vae(options, folder / "vae.safetensors")
    pairs = PreparedPairs(prepared, folder / "images", options, vae, development=1)
    assert (pairs.training, pairs.development) == ([0, 1], [2])
    views = PeopleViews(people)
    assert np.array_equal(pairs.source(1, 0)[0], views.view(0, 2)[0])
    assert np.array_equal(pairs.target(1, 0)[1], views.view(0, 0)[1])
    person = pairs.person(1)
    assert person.targets(0) == [0]
    target = encode_pictures(vae, [views.view(0, 0)[0]]).numpy()
    np.testing.assert_allclose(person.latents, target, atol=1e-6)
    assert person.hints.shape == (1, 0, 32, 32)
    assert person.photo_pixels.shape == (1, 3, 16, 16)
    with pytest.raises(InputError, match="3 usable pairs"):
        PreparedPairs(prepared, folder / "images", options, vae, development=3)


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd", ""])
def test_a_list_may_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"source,target\na.png,b.png\na.png,{name}\n")
    with pytest.raises(InputError, match="line 3"):
        read_pairs(tmp_path / "pairs.csv")


def test_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("one,two\na.png,b.png\n")
    with pytest.raises(InputError, match="source,target"):
        read_pairs(tmp_path / "pairs.csv")


def test_the_commands_prepare_and_train(folder: Path, tmp_path: Path) -> None:
    """With the embedded estimator and face embedder, for a model of the published kind: no hint, VUI condition."""
    model = dict(PLAIN) | {"face": MODEL["face"] | {"embedding_dim": 128}}  # type: ignore[operator]
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(model))
    loop = {"steps": 2, "learning_rate": 1e-3, "warmup_steps": 1, "log_steps": 1, "batch_size": 2}
    training = {"model": str(tmp_path / "model.yaml"), "loop": loop, "measured_pairs": 1, "measured_steps": 1}
    training |= {"stages": [{"people": 2, "views": 1}], "measured_people": 1, "gradient_checkpointing": True}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training))
    common = ["--pairs", str(folder / "pairs.csv"), "--images", str(folder / "images")]
    prepare = [*common, "--output", str(tmp_path / "prepared"), "--model", str(tmp_path / "model.yaml")]
    done = CliRunner().invoke(app, ["prepare-pairs", *prepare, "--densepose", "tiny", "--face", "tiny"])
    assert done.exit_code == 0, done.output
    assert "left out: torn.png" in done.output
    files = ["--pairs", str(tmp_path / "prepared"), "--images", str(folder / "images")]
    train = [*files, "--vae", str(folder / "vae.safetensors"), "--config", str(tmp_path / "train.yaml")]
    done = CliRunner().invoke(app, ["diffusion", *train, "--output", str(tmp_path / "run")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "2 steps" in done.output
    assert (tmp_path / "run" / "weights.safetensors").exists()
    assert list((tmp_path / "run" / "sheets").glob("*.png"))


def test_one_kind_of_examples_at_a_time(tmp_path: Path, folder: Path) -> None:
    options = DiffusionTraining(model=str(folder / "model.yaml"))
    with pytest.raises(UsageError, match="--pairs and --images"):
        load_examples(options, folder / "vae.safetensors", tmp_path, None, tmp_path, None)
