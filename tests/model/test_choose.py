"""What "auto" chooses: the embedded model on a plain installation, otherwise the best available."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import torch
from PIL import Image

from mcld_anim import Animator
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import MissingDependencyError, UsageError, WeightsError
from mcld_anim.core.events import Event
from mcld_anim.model import choose, load
from mcld_anim.model.choose import ChosenModel, check_model, choose_densepose, choose_face, choose_model, find_model
from mcld_anim.model.load import load_models
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.options.run import MODEL_NAMES, PoseOptions
from mcld_anim.pose.iuv_file import write_iuv_sequence
from mcld_anim.run.checks import check_pose
from mcld_anim.setup.convert import convert, network_file
from mcld_anim.synthetic.person import Rendering
from mcld_anim.weights.published import MODELS
from mcld_anim.weights.store import PulledFile, add_to_record

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TINY = find_model("tiny")
LARGE = ChosenModel("mcld-sd15", load_model_options("mcld_sd15"), Path("nowhere"), "insightface")


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The uses of the pulled models, and the installed packages; tests add to it."""
    things: set[str] = set()
    monkeypatch.setattr(choose, "is_pulled", lambda model: model.use in things)
    monkeypatch.setattr(choose, "first_pulled", lambda use: use in things or None)
    monkeypatch.setattr(choose, "has_packages", lambda *names: set(names) <= things)
    return things


def test_a_plain_installation_uses_the_embedded_models() -> None:
    assert choose_model("auto", CPU) == choose_model("auto", CUDA) == "tiny"
    assert choose_densepose("auto", CPU, TINY) == choose_face("auto", TINY) == "tiny"
    assert choose_densepose("auto", CUDA, TINY) == choose_densepose("auto", CUDA) == "tiny"


def test_the_published_model_is_chosen_if_pulled_and_an_accelerator_is_present(present: set[str]) -> None:
    present.add("model")
    assert choose_model("auto", CUDA) == "mcld-sd15"
    assert choose_model("auto", CPU) == "tiny"
    assert choose_model("tiny", CUDA) == "tiny"


def test_another_model_than_the_embedded_one_never_gets_the_embedded_estimator_unasked(present: set[str]) -> None:
    with pytest.raises(WeightsError, match=r"models pull blazepose.*densepose-torchscript-r101.*--densepose tiny"):
        choose_densepose("auto", CPU, LARGE)
    present.add("torchscript")
    assert choose_densepose("auto", CPU, LARGE) == "torchscript"  # slow, but right
    present.add("body")
    assert choose_densepose("auto", CPU, LARGE) == "body"
    assert choose_densepose("tiny", CPU, LARGE) == "tiny"
    assert choose_face("auto", LARGE) == "insightface"
    assert choose_face("none", LARGE) == "none"


@pytest.mark.parametrize("model", [TINY, None])
def test_auto_is_densepose_on_an_accelerator_then_the_body_then_the_embedded_estimator(
    present: set[str], model: ChosenModel | None
) -> None:
    present |= {"torchscript", "densepose"}  # detectron2's weights without the package
    assert choose_densepose("auto", CPU, model) == "tiny"
    assert choose_densepose("auto", CUDA, model) == "torchscript"
    present.add("body")
    assert choose_densepose("auto", CPU, model) == "body"
    assert choose_densepose("auto", CUDA, model) == "torchscript"
    present |= {"detectron2", "densepose"}
    assert choose_densepose("auto", CPU, model) == "body"
    assert choose_densepose("auto", CUDA, model) == "detectron2"
    present -= {"torchscript", "densepose"}
    assert choose_densepose("auto", CUDA, model) == "body"
    assert choose_densepose("detectron2", CPU, model) == "detectron2"


def test_the_body_is_wanted_where_nothing_better_is_here(present: set[str]) -> None:
    assert choose.wants_body("auto", CPU)
    assert choose.wants_body("auto", CUDA)
    present.add("torchscript")
    assert choose.wants_body("auto", CPU)
    assert not choose.wants_body("auto", CUDA)
    assert choose.wants_body("body", CUDA)
    assert not choose.wants_body("tiny", CPU)
    assert not choose.wants_body("torchscript", CPU)


def test_pulling_without_a_name_fetches_everything_for_a_first_frame(present: set[str]) -> None:
    assert choose.default_pulls() == ("mcld-sd15", "densepose-torchscript-r101", "antelopev2")
    present |= {"detectron2", "densepose"}
    assert choose.default_pulls() == ("mcld-sd15", "densepose-r101", "antelopev2")


def test_a_model_that_is_not_here_names_the_command() -> None:
    with pytest.raises(WeightsError, match="run `mcld-anim models pull mcld-sd15`"):
        find_model("mcld-sd15")
    with pytest.raises(WeightsError, match="--model huge is neither auto, tiny nor mcld-sd15 nor a folder"):
        find_model("huge")
    with pytest.raises(UsageError, match="--model huge is not known; choose auto, tiny, mcld-sd15 or give a folder"):
        check_pose(PoseOptions(source=Path("a.png"), pose=Path("b.png"), model="huge"))


def test_known_names_and_complete_folders_pass_the_check(
    published_files: Path, small: ModelOptions, tmp_path: Path
) -> None:
    for name in MODEL_NAMES:
        check_model(name)
    convert(published_files, tmp_path / "mine", small)
    check_model(str(tmp_path / "mine"))


def test_a_folder_without_a_model_names_the_missing_files(
    published_files: Path, small: ModelOptions, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--model huge is not known; choose auto, tiny, mcld-sd15 or give a folder"):
        check_model("huge")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not known"):
        check_model(str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"holds no model: vae\.safetensors, .*are missing; .*models convert") as error:
        check_model(str(tmp_path))
    assert error.value.exit_code == 2
    assert "detail" not in str(error.value)  # the published architecture has none
    convert(published_files, tmp_path / "mine", small)
    (tmp_path / "mine" / "denoiser.safetensors").unlink()
    with pytest.raises(UsageError, match=r"mine holds no model: denoiser\.safetensors is missing;"):
        check_model(str(tmp_path / "mine"))


def test_the_detail_decoder_is_needed_only_where_the_architecture_has_one(tmp_path: Path) -> None:
    for part in choose.MCLD_PARTS:
        (tmp_path / f"{part}.safetensors").touch()
    configuration = resources.files("mcld_anim.configs") / "model" / "tiny.yaml"
    (tmp_path / choose.CONFIGURATION_NAME).write_text(configuration.read_text())
    check_model(str(tmp_path))
    (tmp_path / "detail.safetensors").unlink()
    with pytest.raises(UsageError, match=r"holds no model: detail\.safetensors is missing"):
        check_model(str(tmp_path))
    (tmp_path / choose.CONFIGURATION_NAME).unlink()
    check_model(str(tmp_path))


def test_the_check_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from mcld_anim.model.choose import check_model; check_model('tiny'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_folder_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detectron2_of_mine").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not choose.has_packages("detectron2_of_mine")
    (tmp_path / "detectron2_of_mine" / "__init__.py").touch()
    assert choose.has_packages("detectron2_of_mine", "torch")


def test_the_estimators_checksums_come_from_the_record(
    present: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose.estimator_checksums("detectron2", "insightface") == {}
    present |= {"torchscript", "faces"}
    monkeypatch.setattr(choose, "first_pulled", lambda use: next(m for m in MODELS if m.use == use))
    for name, file in (("densepose-torchscript-r101", "densepose.torchscript"), ("antelopev2", "glintr100.onnx")):
        (tmp_path / "home" / name).mkdir(parents=True)
        more = {"scrfd.onnx": "c"} if name == "antelopev2" else {}
        add_to_record(tmp_path / "home" / name, "part", PulledFile(file, 5, "a", 5, "b", "x", more))
    assert choose.estimator_checksums("torchscript", "insightface") == {
        "densepose.torchscript": "a",
        "glintr100.onnx": "a",
        "scrfd.onnx": "c",
    }
    assert choose.estimator_checksums("tiny", "dlib") == {}


def test_a_folder_that_convert_wrote_is_a_model(published_files: Path, small: ModelOptions, tmp_path: Path) -> None:
    written = convert(published_files, tmp_path / "mine", small)
    assert {path.name for path in written} == {
        network_file(part)
        for part in ("denoising_unet", "reference_unet", "pose_guider", "image_proj_model", "vae", "image_encoder")
    }
    chosen = find_model(str(tmp_path / "mine"))
    assert chosen.options == small
    events: list[Event] = []
    models = load_models(str(tmp_path / "mine"), CPU, torch.float32, "tiny", "tiny", events.append)
    assert (models.name, models.pose_backend.name) == (str(tmp_path / "mine"), "tiny")
    assert set(models.weights) == {path.name for path in written}
    assert set(models.estimator_weights) == {"densepose.safetensors", "face.safetensors"}
    assert models.weights_read(networks=True) == {**models.estimator_weights, **models.weights}
    # No known embedder has 8 numbers: the tiny one only measures, which is reported.
    assert models.measures_only
    assert models.native_embedder is None
    assert [event.kind for event in events] == ["face_condition_missing"]
    (tmp_path / "mine" / "denoiser.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"denoiser\.safetensors are missing.*models convert"):
        load_models(str(tmp_path / "mine"), CPU, torch.float32, "tiny", "none")


def test_the_embedded_model_is_conditioned_by_its_own_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        name, scale, threshold = "dlib", "its own", 0.4

        def largest(self, picture: Picture, iuv: Iuv | None = None) -> None: ...

    real = load.load_face_backend
    monkeypatch.setattr(
        load, "load_face_backend", lambda name, *more, **m: Other() if name == "dlib" else real(name, *more, **m)
    )
    models = load_models("tiny", CPU, torch.float32, "auto", "dlib")
    assert models.face_backend is not None
    assert models.native_embedder is not None
    assert (models.face_backend.name, models.native_embedder.name) == ("dlib", "tiny")
    plain = load_models("tiny", CPU, torch.float32, "auto", "auto")
    assert (plain.measures_only, plain.native_embedder) == (False, None)
    assert plain.weights_read(networks=False) == plain.estimator_weights


def test_single_files_are_converted_too(tmp_path: Path, published_files: Path, small: ModelOptions) -> None:
    target = tmp_path / "guider.safetensors"
    assert convert(published_files / "pose_guider.pth", target, small, "bfloat16") == [target]
    with pytest.raises(UsageError, match=r"does not end in \.safetensors"):
        convert(published_files / "pose_guider.pth", tmp_path / "guider.pth", small)
    with pytest.raises(UsageError, match="does not exist"):
        convert(tmp_path / "nothing", target, small)
    shutil.copytree(published_files, tmp_path / "part")
    (tmp_path / "part" / "reference_unet.pth").unlink()
    with pytest.raises(WeightsError, match=r"has no reference_unet\.pth"):
        convert(tmp_path / "part", tmp_path / "new", small)
    assert not (tmp_path / "new").exists()


def test_a_missing_embedder_does_not_stop_a_run_where_another_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingDependencyError("needs a package")

    monkeypatch.setattr(load, "load_face_backend", missing)
    events: list[Event] = []
    assert load.load_embedder(LARGE, CPU, events.append) is None
    assert "needs a package" in events[0].message


def test_a_converted_model_makes_a_picture_and_the_record_names_it(
    published_files: Path, small: ModelOptions, tmp_path: Path, photo: Rendering
) -> None:
    convert(published_files, tmp_path / "mine", small)
    Image.fromarray(photo.picture).save(tmp_path / "person.png")
    write_iuv_sequence(tmp_path / "pose.zip", [photo.iuv])
    options = PoseOptions(
        source=tmp_path / "person.png",
        pose=tmp_path / "pose.zip",
        output=tmp_path / "out.png",
        model=str(tmp_path / "mine"),
        device="cpu",
        dtype="float32",
        densepose="tiny",
        face="none",
        steps=1,
    )
    summary = Animator().run(options, on_event=lambda _: None).summary
    assert (summary["model"], summary["densepose_backend"]) == (str(tmp_path / "mine"), "tiny")
    record = json.loads((tmp_path / "out.run.json").read_text())
    assert record["options"]["model"] == str(tmp_path / "mine")
    assert record["options"]["face"] == "none"
    assert set(record["weights"]) >= {"denoiser.safetensors", "densepose.safetensors"}
    assert Image.open(tmp_path / "out.png").size == (64, 64)
