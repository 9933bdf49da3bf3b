"""A DeepFashion-style list of pairs: reading, preparation in two processes, resuming, training."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from mcld_anim.cli.train import app
from mcld_anim.core.errors import InputError, UsageError
from mcld_anim.model.appearance import resized
from mcld_anim.model.build import build_mcld
from mcld_anim.model.warped_source import WarpedSources
from mcld_anim.options.model import load_model_options
from mcld_anim.pose.condition import warped_source
from mcld_anim.pose.iuv_picture import encode_iuv
from mcld_anim.run.prepared_pictures import PairPreparationOptions, PreparedPicture, prepare_pairs, read_pairs
from mcld_anim.source.background import without_person
from mcld_anim.source.fill import complete_atlas
from mcld_anim.source.texture import source_texture
from mcld_anim.train.diffusion import DiffusionTask, DiffusionTrainingOptions, StageOptions, load_examples
from mcld_anim.train.diffusion_batch import Batch
from mcld_anim.train.latents import encode_pictures
from mcld_anim.train.loop import LoopOptions, train
from mcld_anim.train.loss import face_cells
from mcld_anim.train.prepared_pairs import PreparedPairs
from mcld_anim.train.prepared_people import load_vae, with_latents
from mcld_anim.train.views import PeopleViews

from .test_diffusion import MODEL
from .test_loop import assert_same_run

SIDE = 256
PLAIN = MODEL | {"frame_size": [SIDE, SIDE], "texture_size": [64, 64], "pose_guider": {"block_out_channels": [8] * 4}}
WARPED = PLAIN | {"pose_guider": MODEL["pose_guider"]}
PAIRS = [("a/0.png", "a/1.png"), ("a/2.png", "a/0.png"), ("b/3.png", "b/4.png"), ("a/0.png", "nobody.png")]
PAIRS += [("torn.png", "a/0.png")]


@pytest.fixture(scope="module")
def folder(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with their IUVs and a list of pairs; one picture is empty, one file is truncated."""
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
    (root / "warped.yaml").write_text(yaml.safe_dump(WARPED))
    torch.manual_seed(0)
    save_file(build_mcld(load_model_options(root / "model.yaml")).vae.state_dict(), root / "vae.safetensors")
    return root


def request(folder: Path, output: Path, workers: int = 1) -> PairPreparationOptions:
    options = load_model_options(folder / "model.yaml")
    images, iuv = folder / "images", str(folder / "iuv")
    return PairPreparationOptions(folder / "pairs.csv", images, output, options, iuv, "none", workers=workers)


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
    pairs = PreparedPairs(prepared, folder / "images", options, development=1)
    assert (pairs.training, pairs.development) == ([0, 1], [2])
    views = PeopleViews(people)
    assert np.array_equal(pairs.source(1, 0)[0], views.view(0, 2)[0])
    assert np.array_equal(pairs.target(1, 0)[1], views.view(0, 0)[1])
    person = pairs.person(1)
    assert person.targets(0) == [0]
    assert np.array_equal(pairs.pose(1, 0), views.view(0, 0)[1])
    assert np.array_equal(person.views, views.view(0, 0)[0][None])
    assert person.warped_sources is None
    assert person.photo_pixels.shape == (1, 3, 16, 16)
    vae = load_vae(options, folder / "vae.safetensors")
    encoded = with_latents(person, vae)
    assert np.array_equal(encoded.views, encode_pictures(vae, [views.view(0, 0)[0]]).numpy())
    assert encoded.textures.shape == (1, 4, 8, 8)
    with pytest.raises(InputError, match="3 usable pairs"):
        PreparedPairs(prepared, folder / "images", options, development=3)


@pytest.fixture
def make_task(folder: Path, prepared: Path) -> Callable[..., DiffusionTask]:
    """Makes a training task of the model in `model`.yaml with changed options."""

    def make(model: str = "warped", **changes: object) -> DiffusionTask:
        loop = LoopOptions(steps=3, learning_rate=1e-3, warmup_steps=1, ema_decay=0.5, log_steps=1, seed=3)
        options = DiffusionTrainingOptions(
            model=str(folder / f"{model}.yaml"), loop=loop, measured_pairs=1, measured_people=1, measured_steps=1
        )
        options = dataclasses.replace(options, **changes)  # type: ignore[arg-type]
        return DiffusionTask(
            options, *load_examples(options, folder / "vae.safetensors", None, None, prepared, folder / "images")
        )

    return make


def shown(people: Path, batch: Batch) -> list[tuple[int, int]]:
    """(source, target) views of person 0 in every row of a batch of whole frames, recognised by the targets."""
    views = PeopleViews(people)
    known = [(0, 1), (2, 0)]
    return [
        next(p for p in known if np.array_equal(views.view(0, p[1])[0], target.numpy())) for target in batch.targets
    ]


@pytest.mark.parametrize("model", ["model", "warped"])
def test_a_batch_is_made_without_the_autoencoder(make_task: Callable[..., DiffusionTask], model: str) -> None:
    task = make_task(model)

    def refuse(module: torch.nn.Module, inputs: object) -> None:
        raise AssertionError("the autoencoder was used")

    for part in (task.vae.encoder, task.vae.decoder):
        part.register_forward_pre_hook(refuse)
    batch = task.batch(np.random.default_rng(0), 0.0)
    pictures = [batch.targets, batch.textures] + ([] if batch.warped_sources is None else [batch.warped_sources])
    assert [tuple(planes.shape) for planes in pictures][:2] == [(8, SIDE, SIDE, 3), (2, 64, 64, 3)]
    assert {planes.dtype for planes in pictures} == {torch.uint8}
    assert (batch.warped_sources is None) == (model == "model")
    with pytest.raises(AssertionError, match="was used"):
        task.loss(batch, np.random.default_rng(0), 0.0)


def test_latents_in_the_loss_are_those_of_the_pictures(people: Path, make_task: Callable[..., DiffusionTask]) -> None:
    """They are also the same under half-precision autocast."""
    task, views = make_task(), PeopleViews(people)
    batch = task.draw(np.random.default_rng(1), StageOptions(people=2, views=1))
    with torch.autocast("cpu", torch.bfloat16):
        encoded = batch.encoded(task.vae)
    sources = [views.view(0, source) for source, _ in shown(people, batch)]
    targets = [views.view(0, target) for _, target in shown(people, batch)]
    assert torch.equal(encoded.targets, encode_pictures(task.vae, [picture for picture, _ in targets]))
    textures = [resized(source_texture(*source, "nearest"), (64, 64)) for source in sources]
    assert torch.equal(encoded.textures, encode_pictures(task.vae, textures))
    made = [
        warped_source(*complete_atlas(*source), target[1], without_person(*source))
        for source, target in zip(sources, targets, strict=True)
    ]
    warped = WarpedSources.stack(*zip(*made, strict=True), [iuv for _, iuv in targets], torch.zeros(1))
    assert encoded.warped_sources is not None
    torch.testing.assert_close(encoded.warped_sources, warped.encode(task.vae).detach(), rtol=0, atol=1e-6)
    assert not any(planes.requires_grad for planes in (encoded.targets, encoded.textures, encoded.warped_sources))


def test_crops_are_cut_before_they_are_encoded(make_task: Callable[..., DiffusionTask]) -> None:
    task = make_task(head_warp_dropout=1.0, head_crops=1.0)
    cropped = task.draw(np.random.default_rng(2), StageOptions(people=1, views=1, crop=64))
    pictures = [task.people.person(number).views[0] for number in task.people.training]
    windows = np.lib.stride_tricks.sliding_window_view(np.stack(pictures), (64, 64), (1, 2))
    found = (windows == cropped.targets[0].permute(2, 0, 1).numpy()).all((-3, -2, -1))
    pair, top, left = np.argwhere(found)[0]
    parts = task.people.pose(task.people.training[pair], 0)[top : top + 64, left : left + 64, 0]
    assert np.array_equal(cropped.iuv[0, ..., 0].numpy(), parts)
    encoded = cropped.encoded(task.vae)
    assert torch.equal(encoded.targets, encode_pictures(task.vae, [cropped.targets[0].numpy()]))
    assert encoded.warped_sources is not None
    assert encoded.warped_sources.shape == (1, 5, 8, 8)
    head = face_cells(cropped.iuv[..., 0], (8, 8)).expand_as(encoded.warped_sources)
    assert head.any()
    assert not encoded.warped_sources[head].any()
    background = torch.nn.functional.max_pool2d((cropped.iuv[..., 0] > 0).float()[:, None], 8)[:, 0] == 0
    assert (encoded.warped_sources[:, -1][background] == 1).all()


@pytest.mark.parametrize("model", ["model", "warped"])
def test_workers_change_nothing(make_task: Callable[..., DiffusionTask], tmp_path: Path, model: str) -> None:
    stages = (StageOptions(until=0.5, people=2, views=1, crop=64), StageOptions(people=2, views=1))
    changes = {"stages": stages, "head_warp_dropout": 0.5, "image_dropout": 0.3, "embedding_noise": 0.1}
    for workers in (0, 2):
        task = make_task(model, **changes)
        train(task, dataclasses.replace(task.options.loop, workers=workers), tmp_path / str(workers))
    assert_same_run(tmp_path / "0", tmp_path / "2")


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd", ""])
def test_a_list_may_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"source,target\na.png,b.png\na.png,{name}\n")
    with pytest.raises(InputError, match="line 3"):
        read_pairs(tmp_path / "pairs.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lists_as_spreadsheets_save_them(tmp_path: Path, separator: str) -> None:
    text = f"\r\nfrom{separator}to{separator}\r\na.png{separator}b.png{separator}\r\n"
    (tmp_path / "pairs.csv").write_bytes(text.encode("utf-16"))
    assert read_pairs(tmp_path / "pairs.csv") == [("a.png", "b.png")]
    (tmp_path / "pairs.csv").write_bytes((text + f"a.png{separator}/b.png\r\n").encode("utf-8-sig"))
    with pytest.raises(InputError, match="line 4"):
        read_pairs(tmp_path / "pairs.csv")


def test_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("one,two\na.png,b.png\n")
    with pytest.raises(InputError, match="source,target"):
        read_pairs(tmp_path / "pairs.csv")


def test_the_commands_prepare_and_train(folder: Path, tmp_path: Path) -> None:
    """With the embedded estimator and face embedder, for a model like the published one: no warped source, VUI."""
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
    options = DiffusionTrainingOptions(model=str(folder / "model.yaml"))
    with pytest.raises(UsageError, match="--pairs and --images"):
        load_examples(options, folder / "vae.safetensors", tmp_path, None, tmp_path, None)
