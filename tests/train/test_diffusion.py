"""The diffusion training on two painted people and a tiny model: prepare, train, resume, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from safetensors.torch import load_file, save_file

from mcld_anim.core.errors import InputError, UsageError, WeightsError
from mcld_anim.model.build import build_mcld
from mcld_anim.model.pose_guider import PoseGuider
from mcld_anim.options.load import load_yaml
from mcld_anim.options.model import PoseGuiderOptions, load_model_options
from mcld_anim.train.diffusion import TRAINED_PARTS, DiffusionTask, DiffusionTrainingOptions, StageOptions
from mcld_anim.train.loop import LoopOptions, train
from mcld_anim.train.loss import face_cells
from mcld_anim.train.parts import export_parts, load_into, start_from_controlnet
from mcld_anim.train.prepared_people import PreparedPeople, load_vae, prepare_missing
from mcld_anim.train.views import PeopleViews, ViewsOptions

SIDE = 64
MODEL = {
    "name": "test",
    "frame_size": [SIDE, SIDE],
    "texture_size": [SIDE, SIDE],
    "texture_fill": "nearest",
    "vae": {
        "patch_size": 4,
        "latent_channels": 4,
        "block_out_channels": [8, 8],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "mid_attention": False,
        "scaling_factor": 1.0,
    },
    "unet": {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [16, 16],
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
        "heads": 2,
        "cross_attention_dim": 16,
        "norm_num_groups": 4,
    },
    "pose_guider": {"condition": "parts", "block_out_channels": [8, 8, 8, 8], "warped_source": "uv_warp"},
    "image_encoder": {
        "image_size": 16,
        "patch_size": 8,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
    },
    "face": {
        "embedding_dim": 8,
        "num_tokens": 2,
        "dim": 16,
        "depth": 1,
        "dim_head": 8,
        "heads": 2,
        "ff_mult": 1,
    },
}
DATA = ViewsOptions(development=((1, 2),))


@dataclasses.dataclass(frozen=True)
class Folders:
    """The inputs of every test."""

    model: Path
    people: Path
    prepared: Path
    vae: Path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("diffusion")
    made = Folders(root / "model.yaml", root / "people", root / "prepared", root / "vae.safetensors")
    made.model.write_text(yaml.safe_dump(MODEL))
    made.people.mkdir()
    pictures, iuvs = _painted_people()
    np.save(made.people / "shard_00000_pictures.npy", pictures)
    np.save(made.people / "shard_00000_iuv.npy", iuvs)
    options = load_model_options(made.model)
    torch.manual_seed(0)
    save_file(build_mcld(options).vae.state_dict(), made.vae)
    views = PeopleViews(made.people, DATA)
    vae = load_vae(options, made.vae)
    made_people = prepare_missing(
        views, [0, 1], made.prepared, 2, vae, options, lambda picture, iuv: np.ones(8, np.float32)
    )
    assert made_people == 2
    return made


def _painted_people() -> tuple[np.ndarray, np.ndarray]:
    """Two people in six views: a torso of one colour and a face of another, at changing positions."""
    pictures = np.full((2, 6, SIDE, SIDE, 3), 200, np.uint8)
    iuvs = np.zeros_like(pictures)
    ramp = np.linspace(0, 255, 24).astype(np.uint8)
    for person in range(2):
        for view in range(6):
            x = 8 + 4 * view
            pictures[person, view, 24:48, x : x + 24] = (60, 90 + 80 * person, 160)
            pictures[person, view, 12:24, x + 6 : x + 18] = (220, 170, 140)
            iuvs[person, view, 24:48, x : x + 24] = 2
            iuvs[person, view, 24:48, x : x + 24, 1] = ramp
            iuvs[person, view, 24:48, x : x + 24, 2] = ramp[:, None]
            iuvs[person, view, 12:24, x + 6 : x + 18] = (24, 120, 130)
    return pictures, iuvs


def _options(folders: Folders, steps: int = 2, **changes: object) -> DiffusionTrainingOptions:
    loop = LoopOptions(steps=steps, warmup_steps=1, log_steps=1, checkpoint_steps=1, ema_decay=0.5)
    stages = (StageOptions(until=0.5, people=1, views=3, crop=32), StageOptions(people=1, views=2))
    options = DiffusionTrainingOptions(
        model=str(folders.model), loop=loop, data=DATA, stages=stages, measured_people=1, measured_steps=1
    )
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]


def _task(folders: Folders, options: DiffusionTrainingOptions, sheets: Path | None = None) -> DiffusionTask:
    people = PreparedPeople(folders.prepared, PeopleViews(folders.people, options.data))
    return DiffusionTask(options, people, load_vae(load_model_options(folders.model), folders.vae), sheets)


def test_prepared_shapes_and_resuming(folders: Folders) -> None:
    views = PeopleViews(folders.people, DATA)
    person = PreparedPeople(folders.prepared, views).person(0)
    assert person.views.shape == (6, 4, 8, 8)
    assert person.warped_sources.shape == (6, 5, 8, 8)
    assert person.textures.shape == (2, 4, 8, 8)
    assert person.photo_pixels.shape == person.texture_pixels.shape == (2, 3, 16, 16)
    assert person.targets(1) == [1, 3, 5]
    assert set(np.unique(person.warped_sources[0, -1])) <= set(np.linspace(0, 1, 65).astype(np.float16))
    options = load_model_options(folders.model)
    again = prepare_missing(
        views, [0, 1], folders.prepared, 2, load_vae(options, folders.vae), options, lambda p, i: None
    )
    assert again == 0


def test_every_network_learns(folders: Folders) -> None:
    task = _task(folders, _options(folders, condition_dropout=0.0))
    rng = np.random.default_rng(0)
    loss, _ = task.loss(task.batch(rng, 0.0), rng, 0.0)
    loss.backward()
    for part in TRAINED_PARTS:
        gradients = [p.grad for p in getattr(task.mcld, part).parameters() if p.grad is not None]
        assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0 or part == "face_tokens"
    assert all(p.grad is None for p in task.mcld.vae.parameters())


def test_a_model_without_warped_source_has_its_own_people(folders: Folders, tmp_path: Path) -> None:
    options = load_model_options(folders.model)
    bare = dataclasses.replace(options, pose_guider=dataclasses.replace(options.pose_guider, warped_source="none"))
    views, vae = PeopleViews(folders.people, DATA), load_vae(options, folders.vae)
    prepare_missing(views, [0, 1], tmp_path, 2, vae, bare, lambda picture, iuv: None)
    people = PreparedPeople(tmp_path, views)
    with_warp = PreparedPeople(folders.prepared, views).person(0)
    assert people.person(0).warped_sources is None
    assert np.array_equal(people.person(0).textures, with_warp.textures)
    people.check_model(bare)
    with pytest.raises(InputError, match="without warped sources"):
        people.check_model(options)
    with pytest.raises(InputError, match=r"texture latents of 8x8, .* has 16x16"):
        people.check_model(dataclasses.replace(bare, texture_size=(128, 128)))


def test_the_warped_source_goes_through_at_the_start(folders: Folders) -> None:
    guider = _task(folders, _options(folders)).mcld.pose_guider
    warped = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    features = guider(torch.zeros(1, 27, SIDE, SIDE), warped)
    torch.testing.assert_close(features[:, :5], warped)
    torch.testing.assert_close(features[:, 5:10], -warped)


def test_the_pose_guider_starts_from_a_controlnet(tmp_path: Path) -> None:
    """diffusers' own embedding gives the same features once the last convolution is copied too."""
    torch.manual_seed(3)
    embedding = ControlNetConditioningEmbedding(16, block_out_channels=(8, 8, 12, 16))
    torch.nn.init.normal_(embedding.conv_out.weight)
    tensors = {f"controlnet_cond_embedding.{key}": value for key, value in embedding.state_dict().items()}
    save_file(tensors | {"conv_in.weight": torch.zeros(1)}, tmp_path / "controlnet.safetensors")
    guider = PoseGuider(PoseGuiderOptions(block_out_channels=(8, 8, 12, 16)), width=16, latent_channels=4)
    start_from_controlnet(guider, tmp_path / "controlnet.safetensors")
    pose = torch.rand(2, 3, 64, 48)
    assert not guider(pose).any()
    guider.conv_out.load_state_dict(embedding.conv_out.state_dict())
    torch.testing.assert_close(guider(pose), embedding(pose))
    narrow = PoseGuider(PoseGuiderOptions(block_out_channels=(8, 8, 8, 16)), width=16, latent_channels=4)
    with pytest.raises(WeightsError, match=r"blocks\.3\.weight"):
        start_from_controlnet(narrow, tmp_path / "controlnet.safetensors")


def test_crops_line_up(folders: Folders) -> None:
    task = _task(folders, _options(folders))
    stage = StageOptions(people=1, views=3, crop=32)
    batch = task.draw(np.random.default_rng(3), stage)
    assert batch.targets.shape == (3, 4, 4, 4)
    assert batch.warped_sources.shape == (3, 5, 4, 4)
    assert batch.iuv.shape == (3, 32, 32, 3)
    # The warped source is valid in the background, so its validity and the parts agree if both are cropped alike.
    plain = torch.nn.functional.max_pool2d((batch.iuv[..., 0] > 0).float()[:, None], 8, 8)[:, 0] == 0
    assert batch.warped_sources[:, -1][plain].min() == 1
    whole = task.draw(np.random.default_rng(3), StageOptions(people=2, views=1))
    assert whole.targets.shape == (2, 4, 8, 8)
    assert whole.source_rows.tolist() == [0, 1]


def test_warped_sources_belong_to_the_source_of_their_row(folders: Folders) -> None:
    task = _task(folders, _options(folders))
    person = task.people.person(0)
    for seed in range(8):
        batch = task.draw(np.random.default_rng(seed), StageOptions(people=1, views=2))
        source = next(
            s for s in range(2) if torch.equal(batch.photo_pixels[0], torch.tensor(person.photo_pixels[s]).float())
        )
        allowed = [torch.tensor(person.warped_sources[view]).float() for view in person.targets(source)]
        assert all(any(torch.equal(warped, other) for other in allowed) for warped in batch.warped_sources)


def test_a_dropped_head_of_the_warped_source_blanks_the_head_and_nothing_else(folders: Folders) -> None:
    stage = StageOptions(people=2, views=3)
    task = _task(folders, _options(folders))
    whole = task.draw(np.random.default_rng(5), stage).encoded(task.vae)
    task = _task(folders, _options(folders, head_warp_dropout=1.0))
    dropped = task.draw(np.random.default_rng(5), stage).encoded(task.vae)
    assert whole.warped_sources is not None
    assert dropped.warped_sources is not None
    head = face_cells(dropped.iuv[..., 0], (8, 8)).expand_as(dropped.warped_sources)
    assert head.any()
    assert not dropped.warped_sources[head].any()
    assert torch.equal(whole.warped_sources[~head], dropped.warped_sources[~head])


def test_latents_from_files_go_around_the_autoencoder(folders: Folders) -> None:
    task = _task(folders, _options(folders))
    batch = task.draw(np.random.default_rng(5), StageOptions(people=1, views=2))
    encoded = batch.encoded(task.vae)
    assert batch.targets.dtype == torch.float32
    assert all(getattr(batch, name) is getattr(encoded, name) for name in ("targets", "textures"))


def test_the_loss_reads_nothing_back_from_its_device(folders: Folders) -> None:
    """Runs on torch's meta device, where reading a value fails, as do operations across devices."""
    task = _task(folders, _options(folders, condition_dropout=0.5, embedding_noise=0.1, head_warp_dropout=0.5))
    batch = task.draw(np.random.default_rng(0), StageOptions(people=2, views=3))
    task.network.to("meta")
    loss, metrics = task.loss(batch, np.random.default_rng(1), 0.0)
    loss.backward()
    assert {value.device.type for value in (loss, *metrics.values())} == {"meta"}
    assert task.vae.quant_conv.weight.device.type == "meta"


def test_frozen_parts_stay(folders: Folders) -> None:
    task = _task(folders, _options(folders, frozen=("image_encoder", "reference_net.unet.up_blocks.1")))
    assert not any(p.requires_grad for p in task.mcld.image_encoder.parameters())
    assert not any(p.requires_grad for p in task.mcld.reference_net.unet.up_blocks[1].parameters())
    assert any(p.requires_grad for p in task.mcld.reference_net.unet.up_blocks[0].parameters())


def test_train_resume_and_export(folders: Folders, tmp_path: Path) -> None:
    whole = train(_task(folders, _options(folders, 3), tmp_path / "sheets"), _options(folders, 3).loop, tmp_path / "a")
    assert set(whole.metrics) >= {"inside", "warped_source", "ceiling", "background"}
    assert list((tmp_path / "sheets").glob("sheet_*.png"))
    with pytest.raises(UsageError, match="--resume"):
        train(_task(folders, _options(folders, 3)), _options(folders, 3).loop, tmp_path / "a")
    folder = tmp_path / "export"
    written = export_parts(tmp_path / "a" / "weights.safetensors", folder)
    assert sorted(path.stem for path in written) == sorted(TRAINED_PARTS)
    fresh = build_mcld(load_model_options(folders.model))
    for part in TRAINED_PARTS:
        assert next(iter(load_file(folder / f"{part}.safetensors").values())).dtype == torch.float16
        load_into(getattr(fresh, part), folder / f"{part}.safetensors")
    with pytest.raises(WeightsError, match="do not fit"):
        load_into(fresh.pose_guider, folder / "face_tokens.safetensors")


@pytest.mark.parametrize(("name", "model"), [("tiny", "tiny"), ("tiny_finetune", "tiny"), ("mcld_sd15", "mcld_sd15")])
def test_bundled_configurations_load(name: str, model: str) -> None:
    options = load_yaml(DiffusionTrainingOptions, name, folder="train")
    assert options.model == model
    assert options.stages[-1].until == 1.0
