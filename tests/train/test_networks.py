"""Autoencoder, DensePose and face trainings on a few rendered people: data, measures, resume, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from mcld_anim.cli.train import app
from mcld_anim.errors import InputError
from mcld_anim.model.vae import build_vae
from mcld_anim.options.load import load_yaml
from mcld_anim.options.model import VaeOptions, load_model_options
from mcld_anim.pose.tiny import load_tiny_pose_backend
from mcld_anim.pose.tiny_network import DensePoseMaps, TinyDensePose, TinyDensePoseOptions, Window
from mcld_anim.source.tiny_face import FaceEmbedder, load_tiny_face_backend
from mcld_anim.synthetic.person import Person
from mcld_anim.synthetic.views import person_background
from mcld_anim.train.autoencoder import AutoencoderTask, AutoencoderTraining, principal_components, psnr_inside
from mcld_anim.train.body_augment import BodyAugmentOptions, View, augment
from mcld_anim.train.densepose import DensePoseTask, DensePoseTraining, cell_labels, draw_window, measure
from mcld_anim.train.face import FaceTask, FaceTraining, verification
from mcld_anim.train.loop import CHECKPOINT_NAME, LoopOptions, train
from mcld_anim.train.record import Checkpoint
from mcld_anim.train.scenes import make_backgrounds, photo_backgrounds
from mcld_anim.train.views import PeopleViews, ViewsOptions

LAST_DEVELOPS = ViewsOptions(development=((2, 3),))
LOOP = LoopOptions(steps=4, batch_size=2, warmup_steps=1, checkpoint_steps=2, evaluate_minutes=1e9, log_steps=1)


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    """A model configuration whose autoencoder is as small as can be."""
    vae = {"patch_size": 4, "latent_channels": 4, "block_out_channels": [8, 8], "layers_per_block": 1}
    vae |= {"norm_num_groups": 4, "mid_attention": False, "scaling_factor": 1.0, "linear_shortcut": True}
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "vae": vae}))
    return path


def autoencoder_training(model: Path) -> AutoencoderTraining:
    return AutoencoderTraining(
        model=str(model), loop=LOOP, data=LAST_DEVELOPS, crop=64, measured_views=2, linear_views=8
    )


def test_people_are_split_and_never_mixed(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    assert (views.training, views.development, views.views) == ([0, 1], [2], 8)
    rng = np.random.default_rng(0)
    assert {views.draw_index(rng)[0] for _ in range(40)} == {0, 1}
    pictures, iuv = views.development_views(3)
    assert pictures.shape == iuv.shape == (3, 256, 256, 3)
    assert np.array_equal(pictures[1], views.view(2, 1)[0])


def test_views_from_behind_show_more_back_than_chest(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    shares = {}
    for person in views.training:
        for view in range(8):
            part = views.view(person, view)[1][..., 0]
            shares[person, view] = (part == 1).sum() - (part == 2).sum()
    found = views.from_behind()
    assert found
    assert all(shares[index] > 0 for index in found)
    assert all(shares[index] < 300 for index in shares if index not in found)  # seen on every fourth pixel only


def test_densepose_batches_can_be_all_from_behind(people: Path) -> None:
    options = dataclasses.replace(densepose_task(people).options, back_views=1.0)
    task = DensePoseTask(options, people)
    labels = torch.cat([task.batch(np.random.default_rng(seed), 0.0)[1][..., 0] for seed in range(4)])
    assert (labels == 1).sum() > (labels == 2).sum() > 0


def test_a_folder_without_shards_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="synth"):
        PeopleViews(tmp_path)


def test_silhouettes_are_what_differs_from_the_background(people: Path) -> None:
    """The renderer's own background, which the silhouette's code does not know, tells the truth."""
    views = PeopleViews(people, LAST_DEVELOPS)
    for person in range(3):
        background = (person_background(Person.from_seed(40 + person), 256) * 255).astype(np.int16)
        for view in range(8):
            picture, iuv = views.view(person, view)
            truth = (np.abs(picture - background).max(-1) > 8) | (iuv[..., 0] > 0)
            found = views.silhouette(person, view)
            assert found[iuv[..., 0] > 0].all()
            assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_labels_lie_on_their_picture(people: Path) -> None:
    """On a plain background the varied picture differs from it just where the varied labels show the person."""
    views, rng = PeopleViews(people, LAST_DEVELOPS), np.random.default_rng(3)
    options = BodyAugmentOptions(1.0, small=0.0, empty=0.0, hidden=0.0, backlight=0.0, stained=0.0, dressed=0.0)
    green = [np.full((384, 384, 3), (0, 255, 0), np.uint8)]
    agreements = []
    for _ in range(12):
        person, view = views.draw_index(rng)
        picture, iuv = views.view(person, view)
        seen = iuv[..., 0] > 0
        white = np.where(seen[..., None], np.uint8(255), picture)
        varied, labels = augment(View(white, iuv, seen), rng, options, green)
        assert varied.shape == (256, 256, 3)
        assert labels.shape == (256, 256, 3)
        assert set(np.unique(labels[..., 0])) <= set(np.unique(iuv[..., 0]))
        smooth = cv2.blur(varied, (3, 3)).astype(int)
        shown = np.ptp(smooth, axis=-1) < 60  # white, whatever light and noise made of it; the rest has one hue
        inside = labels[..., 0] > 0
        agreements.append((shown & inside).sum() / max(1, (shown | inside).sum()))
    assert np.median(agreements) > 0.9


def test_an_empty_sample_has_no_person_left(people: Path) -> None:
    views, rng = PeopleViews(people, LAST_DEVELOPS), np.random.default_rng(0)
    picture, iuv = views.view(0, 0)
    options = BodyAugmentOptions(empty=1.0, hidden=0.0)
    black = [np.zeros((384, 384, 3), np.uint8)]
    varied, labels = augment(View(picture, iuv, views.silhouette(0, 0)), rng, options, black)
    assert not labels.any()
    assert varied.std((0, 1)).max() < 25


def test_a_companion_is_labelled_and_what_hides_people_is_not(people: Path) -> None:
    """Means over many draws from the same seeds: somebody behind adds person cells, things in front take some."""
    views = PeopleViews(people, LAST_DEVELOPS)
    shown = View(*views.view(0, 0), views.silhouette(0, 0))
    other = View(*views.view(1, 1), views.silhouette(1, 1))
    black = [np.zeros((384, 384, 3), np.uint8)]

    def cells(companion: View | None, hidden: float) -> float:
        options = BodyAugmentOptions(empty=0.0, hidden=hidden, small=1.0)
        drawn = [augment(shown, np.random.default_rng(k), options, black, companion)[1] for k in range(96)]
        return float(np.mean([(labels[..., 0] > 0).mean() for labels in drawn]))

    alone = cells(None, 0.0)
    assert cells(other, 0.0) > 1.3 * alone
    assert 0.3 * alone < cells(None, 1.0) < 0.98 * alone


def test_stains_and_backlight_change_the_person_only(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    view = View(*views.view(0, 0), views.silhouette(0, 0))
    plain = [np.full((384, 384, 3), 200, np.uint8)]
    base = BodyAugmentOptions(replaced_background=1.0, empty=0.0, hidden=0.0, backlight=0.0, stained=0.0, dressed=0.0)

    def person_brightness(options: BodyAugmentOptions) -> float:
        """Against the background's in the same picture, whatever the camera did to both."""
        values = []
        for seed in range(24):
            picture, labels = augment(view, np.random.default_rng(seed), options, plain)
            inside = labels[..., 0] > 0
            away = ~cv2.dilate(inside.astype(np.uint8), np.ones((25, 25))).astype(bool)
            values.append(picture[inside].mean() - picture[away].mean())
        return float(np.median(values))

    assert person_brightness(dataclasses.replace(base, backlight=1.0)) < person_brightness(base) - 15
    picture, _ = augment(view, np.random.default_rng(2), base, plain)
    stained, _ = augment(view, np.random.default_rng(2), dataclasses.replace(base, stained=1.0), plain)
    assert np.abs(picture.astype(int) - stained).max() > 20


def test_backgrounds_depend_on_their_seed_alone() -> None:
    first, again, other = make_backgrounds(6, 1), make_backgrounds(6, 1), make_backgrounds(6, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_photo_backgrounds_are_cuts_of_every_picture(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name, colour in (("deep/red.png", (255, 0, 0)), ("blue.jpg", (0, 0, 255))):
        Image.new("RGB", (90, 60), colour).save(tmp_path / name, quality=100)
    cuts = photo_backgrounds(tmp_path, 5, 1)
    assert [cut.shape for cut in cuts] == [(384, 384, 3)] * 5
    colours = {tuple((cut.mean((0, 1)) > 128).tolist()) for cut in cuts}
    assert colours == {(True, False, False), (False, False, True)}
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"torn\.png"):
        photo_backgrounds(tmp_path, 5, 1)
    with pytest.raises(InputError, match="holds no picture"):
        photo_backgrounds(tmp_path / "deep" / "none", 5, 1)


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
    assert whole.figures == parts.figures


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


def densepose_task(people: Path) -> DensePoseTask:
    """A small network on views as they were rendered."""
    options = DensePoseTraining(
        network=TinyDensePoseOptions((8, 16, 16, 32), (1, 1, 1, 1)),
        loop=dataclasses.replace(
            LOOP, steps=16, batch_size=3, learning_rate=1e-2, ema_decay=0.9, checkpoint_steps=None
        ),
        data=LAST_DEVELOPS,
        augment=BodyAugmentOptions(replaced_background=0.0, small=0.0, close=0.0, empty=0.0),
        backgrounds=2,
        measured_views=2,
    )
    return DensePoseTask(options, people)


def loss(task: DensePoseTask, seed: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    rng = np.random.default_rng(seed)
    return task.loss(task.batch(rng, 0.0), rng, 0.0)


def test_densepose_training_lowers_its_loss(people: Path, tmp_path: Path) -> None:
    task = densepose_task(people)
    with torch.no_grad():
        before = float(loss(task, 11)[0])
    train(task, task.options.loop, tmp_path / "run")
    with torch.no_grad():
        assert float(loss(task, 11)[0]) < 0.9 * before


def test_densepose_loss_is_least_for_the_true_answer(people: Path) -> None:
    """The loss compares with the labels of the very batch: right answers cost nothing, wrong U or parts do."""
    task = densepose_task(people)
    labels = task.batch(np.random.default_rng(4), 0.0)[1].numpy()

    def figures(answer: np.ndarray) -> dict[str, float]:
        task.network = Oracle(answer, certainty=50.0)
        return {name: float(figure) for name, figure in loss(task, 4)[1].items()}

    right = figures(labels)
    assert max(right[name] for name in ("parts", "cells", "uv")) < 1e-6
    moved = labels.copy()
    moved[..., 1] = np.where(labels[..., 1] > 127, labels[..., 1] - 51, labels[..., 1] + 51)
    assert figures(moved)["uv"] == pytest.approx(0.2, abs=0.01)
    wrong = figures(np.roll(labels, 40, axis=2))
    assert min(wrong["parts"], wrong["cells"]) > 1


class Oracle(torch.nn.Module):
    """Answers with given labels (B, 256, 256, 3)."""

    def __init__(self, iuv: np.ndarray, certainty: float = 1.0) -> None:
        super().__init__()
        self.iuv, self.certainty = torch.from_numpy(iuv), certainty

    def forward(self, pictures: torch.Tensor, window: Window = (slice(0, 128), slice(0, 128))) -> DensePoseMaps:
        cells = cell_labels(self.iuv)
        rows, columns = (slice(2 * part.start, 2 * part.stop) for part in window)
        u, v = ((cells[..., k])[:, None].expand(-1, 24, -1, -1) for k in (1, 2))
        return DensePoseMaps(self.logits(self.iuv[:, rows, columns, 0]), u, v, self.logits(cells[..., 0]))

    def logits(self, parts: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(parts.long(), 25).permute(0, 3, 1, 2).float() * self.certainty


def test_cells_take_part_and_coordinates_of_the_same_pixels() -> None:
    labels = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    labels[0, 2:4, 4:6] = torch.tensor([[[7, 10, 20], [7, 30, 40]], [[9, 255, 255], [7, 50, 60]]], dtype=torch.uint8)
    cells = cell_labels(labels)
    assert cells.shape == (1, 128, 128, 3)
    torch.testing.assert_close(cells[0, 1, 2], torch.tensor([7.0, 30 / 255, 40 / 255]))
    assert cells.count_nonzero() == 3


def test_windows_lie_inside_and_reach_every_edge() -> None:
    rng = np.random.default_rng(0)
    windows = [draw_window(rng, 127) for _ in range(40)]
    assert {part.start for window in windows for part in window} == {0, 1}
    assert all(part.stop - part.start == 127 for window in windows for part in window)


def test_densepose_measures_are_right_for_known_answers(people: Path) -> None:
    pictures, labels = PeopleViews(people, LAST_DEVELOPS).development_views(3)
    right = measure(Oracle(labels), pictures, labels)
    assert right == {"part_accuracy": 1, "foreground_iou": 1, "uv_error": 0}
    shifted = labels.copy()
    shifted[..., 1:] = np.where(labels[..., 1:] > 127, labels[..., 1:] - 51, labels[..., 1:] + 51)
    assert measure(Oracle(shifted), pictures, labels)["uv_error"] == pytest.approx(0.2, abs=0.01)
    nobody = measure(Oracle(np.zeros_like(labels)), pictures, labels)
    assert (nobody["part_accuracy"], nobody["foreground_iou"]) == (0, 0)


def test_face_training_exports_what_the_backend_loads(heads: Path, tmp_path: Path) -> None:
    options = FaceTraining(loop=dataclasses.replace(LOOP, batch_size=4), held_out=3)
    result = train(FaceTask(options, heads), options.loop, tmp_path / "run")
    backend = load_tiny_face_backend(weights=result.weights)
    assert backend.threshold == pytest.approx(result.figures["coarse_threshold"], abs=1e-3)
    with pytest.raises(InputError, match="held out"):
        FaceTask(dataclasses.replace(options, held_out=6), heads)


class ByBrightness(FaceEmbedder):
    """Embeds a crop as a direction that its brightness alone decides."""

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
    [("tiny_autoencoder", AutoencoderTraining), ("tiny_densepose", DensePoseTraining), ("tiny_face", FaceTraining)],
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


def test_exported_densepose_loads_into_the_backend(people: Path, tmp_path: Path) -> None:
    options = DensePoseTraining(loop=dataclasses.replace(LOOP, steps=1), data=LAST_DEVELOPS, backgrounds=2)
    options = dataclasses.replace(options, measured_views=1)
    task = DensePoseTask(options, people)
    result = train(task, options.loop, tmp_path / "run")
    network = load_tiny_pose_backend(weights=result.weights).network
    assert isinstance(network, TinyDensePose)
    average = Checkpoint.read(tmp_path / "run" / CHECKPOINT_NAME).average
    for name, tensor in network.state_dict().items():
        wanted = average[name]
        assert torch.equal(tensor, wanted.half().float() if wanted.is_floating_point() else wanted)
