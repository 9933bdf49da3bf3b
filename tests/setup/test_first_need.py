"""BlazePose's networks are fetched at their first need, once, and told; offline, another estimator and a reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from mcld_anim import Animator
from mcld_anim.core.errors import WeightsError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.choose import find_model
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.extract import DensePoseOptions, ReportOptions, TextureOptions
from mcld_anim.options.run import PoseOptions
from mcld_anim.run.cache import RunCache
from mcld_anim.run.transfer import transfer
from mcld_anim.setup import first_need
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.setup.patience import HURRIED
from mcld_anim.setup.pull import DOWNLOADS, PullOptions, pull
from mcld_anim.weights import published
from mcld_anim.weights.origins import UrlFile
from mcld_anim.weights.published import PublishedFile, PublishedModel
from mcld_anim.weights.store import is_pulled, model_folder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CONTENT = {"detector": b"d" * 20_000, "landmarks": b"l" * 30_000}


@pytest.fixture
def model(hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublishedModel]:
    """BlazePose in the table as two files on the local server, with stand-ins for the networks."""
    files = tuple(
        PublishedFile(part, UrlFile(f"{hub.address}/plain/{part}.tflite"), 0, "Apache-2.0", True, 18_500_000)
        for part in CONTENT
    )
    hub.files |= {f"plain/{part}.tflite": content for part, content in CONTENT.items()}
    made = PublishedModel("blazepose", "test", "body", files)
    torchscript = PublishedModel("own", "test", "torchscript", files)
    monkeypatch.setattr(published, "MODELS", (made, torchscript))
    monkeypatch.setattr("mcld_anim.weights.store.MODELS", (made, torchscript))
    first_need._tried.cache_clear()
    yield made
    first_need._tried.cache_clear()


def pulled_files() -> list[str]:
    return sorted(path.name for path in model_folder("blazepose").iterdir())


@pytest.mark.parametrize("name", ["auto", "body"])
def test_the_first_need_fetches_and_says_what_how_large_which_licence_and_where(hub, model, name: str) -> None:
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        assert hub.asked == []  # told before the first byte

    assert ready_densepose(name, CPU, False, tell) == "body"
    (event,) = told
    assert event.kind == "networks_fetched"
    assert f"(37 MB, Apache-2.0, out of packages of pip and npm, 77 MB) into {model_folder('blazepose')}:" in str(event)
    assert "--offline" in str(event)
    assert is_pulled(model)
    assert pulled_files() == ["detector.tflite", "landmarks.tflite", "record.json"]
    asked = len(hub.asked)
    assert ready_densepose(name, CPU, False, tell, find_model("tiny")) == "body"  # nothing is said or asked again
    assert (len(told), len(hub.asked)) == (1, asked)


def test_nothing_is_fetched_where_another_estimator_is_named_or_better(hub, model) -> None:
    assert ready_densepose("tiny", CPU, False, pytest.fail) == "tiny"
    assert ready_densepose("torchscript", CPU, False, pytest.fail) == "torchscript"
    pull(PullOptions("own"), lambda text: False)
    hub.asked.clear()
    assert ready_densepose("auto", CUDA, False, pytest.fail) == "torchscript"
    assert hub.asked == []
    assert ready_densepose("auto", CPU, False, lambda event: None) == "body"  # DensePose is for accelerators


@pytest.mark.parametrize(("offline", "reason"), [(True, "--offline is given"), (False, "HF_HUB_OFFLINE is set")])
def test_offline_auto_is_the_embedded_estimator_and_body_an_error(
    hub, model, monkeypatch: pytest.MonkeyPatch, offline: bool, reason: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", not offline)
    told: list[Event] = []
    assert ready_densepose("auto", CPU, offline, told.append, find_model("tiny")) == "tiny"
    (event,) = told
    assert event.kind == "networks_missing"
    assert reason in event.message
    assert "--densepose tiny is used instead; `mcld-anim models pull blazepose` fetches them" in event.message
    with pytest.raises(WeightsError, match=rf"--densepose body: .*{reason}; run `mcld-anim models pull blazepose`"):
        ready_densepose("body", CPU, offline, pytest.fail)
    assert hub.asked == []
    assert not model_folder("blazepose").exists()


def test_a_failed_fetch_is_told_and_not_tried_again_in_this_process(hub, model) -> None:
    hub.faults.refuse = 404
    told: list[Event] = []
    assert ready_densepose("auto", CPU, False, told.append) == "tiny"
    assert [event.kind for event in told] == ["networks_fetched", "networks_missing"]
    assert "could not be fetched" in told[1].message
    assert "HTTP 404" in told[1].message
    hub.faults.refuse = 0
    hub.asked.clear()
    assert ready_densepose("auto", CPU, False, told.append) == "tiny"
    with pytest.raises(WeightsError, match="HTTP 404"):
        ready_densepose("body", CPU, False, told.append)
    assert hub.asked == []
    assert [event.kind for event in told[2:]] == ["networks_missing"]  # what is missing is told each time
    pull(PullOptions("blazepose"), lambda text: False)  # what the message advises
    assert ready_densepose("auto", CPU, False, pytest.fail) == "body"


def test_a_server_that_is_away_is_given_up_soon(hub, model) -> None:
    hub.faults.busy = 99
    told: list[Event] = []
    assert ready_densepose("auto", CPU, False, told.append) == "tiny"
    assert f"broke off {HURRIED.failures} times" in told[1].message
    assert len(hub.asked) == HURRIED.failures


def test_a_folder_that_cannot_be_written_is_a_reason_too(
    hub, model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "file" / "home"))
    told: list[Event] = []
    assert ready_densepose("auto", CPU, False, told.append) == "tiny"
    assert "set MCLD_ANIM_HOME to a folder of yours" in told[1].message
    assert hub.asked == []


def test_of_two_that_need_them_at_once_one_fetches(hub, model) -> None:
    ended: list[Path] = []

    def need() -> None:
        ended.append(pull(PullOptions("blazepose"), lambda text: False))

    threads = [threading.Thread(target=need) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [model_folder("blazepose")] * 4
    assert len(hub.gets()) == len(CONTENT)
    assert pulled_files() == ["detector.tflite", "landmarks.tflite", "record.json"]


def test_what_a_killed_fetch_left_does_no_harm(hub, model) -> None:
    folder = model_folder("blazepose")
    (folder / DOWNLOADS / "archives" / "tmp1234").mkdir(parents=True)
    (folder / DOWNLOADS / "archives" / "tmp1234" / "half.whl").write_bytes(b"PK")
    (folder / DOWNLOADS / "landmarks").mkdir()
    (folder / DOWNLOADS / "landmarks" / "landmarks.tflite.incomplete").write_bytes(b"l" * 10)
    folder.with_name("blazepose.lock").touch()
    assert ready_densepose("auto", CPU, False, lambda event: None) == "body"
    assert pulled_files() == ["detector.tflite", "landmarks.tflite", "record.json"]
    assert (folder / "landmarks.tflite").read_bytes() == CONTENT["landmarks"]


@pytest.mark.parametrize("offline", [False, True])
def test_what_was_taken_stands_in_the_record_and_the_report(
    hub, model, media: Path, tmp_path: Path, small_models: LoadedModels, offline: bool
) -> None:
    taken: list[object] = []

    def load(*given: object) -> LoadedModels:
        taken.append(given[3])
        return small_models

    options = PoseOptions(
        source=media / "person.png", pose=media / "other.png", output=tmp_path / "o.png", steps=1, offline=offline
    )
    summary = transfer(options, RunCache(tmp_path, load=load), on_event=lambda event: None).summary
    record = json.loads((tmp_path / "o.run.json").read_text())
    kind = "networks_missing" if offline else "networks_fetched"
    assert taken == ["tiny" if offline else "body"]
    assert [event["kind"] for event in record["events"]] == [event["kind"] for event in summary["events"]] == [kind]
    assert record["options"]["densepose"] == summary["densepose_backend"] == small_models.pose_backend.name
    assert record["options"]["offline"] is offline
    assert "fetched networks" in record["seconds"]


def test_models_of_the_embedded_estimator_do_not_serve_a_later_run_with_the_body(
    hub, model, tmp_path: Path, small_models: LoadedModels
) -> None:
    taken: list[object] = []

    def load(*given: object) -> LoadedModels:
        taken.append(given[3])
        return small_models

    with closing(RunCache(tmp_path, load=load)) as cache:
        for offline in (True, True, False, False):
            cache.load("tiny", "cpu", "float32", "auto", "auto", Stages(on_event=lambda event: None), offline)
    assert taken == ["tiny", "body"]


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("verb", ["densepose photo", "densepose video", "texture", "report"])
def test_every_command_that_estimates_poses_asks_here(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, offline: bool
) -> None:
    asked: list[tuple[str, bool]] = []

    def ask(name: str, device: torch.device, offline: bool, on_event: object) -> str:
        asked.append((name, offline))
        raise WeightsError("asked")

    for room in ("densepose", "texture", "report"):
        monkeypatch.setattr(f"mcld_anim.run.{room}.ready_densepose", ask)
    monkeypatch.chdir(tmp_path)
    photo, video = media / "person.png", media / "dance.mp4"
    options = {
        "densepose photo": DensePoseOptions(input=photo, offline=offline),
        "densepose video": DensePoseOptions(input=video, offline=offline),
        "texture": TextureOptions(photo=photo, offline=offline),
        "report": ReportOptions(video=video, source=photo, offline=offline),
    }[verb]
    with Animator() as animator, pytest.raises(WeightsError, match="asked"):
        animator.run(options)  # type: ignore[call-overload]
    assert asked == [("auto", offline)]
