"""What a second photo is worth: `synth photos` on rendered people, and several source frames in `eval reenact`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.photos import PhotosEvaluationOptions, photos_metrics
from mcld_anim.evaluate.reenact import ReenactOptions, reenact
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.body_backend import BodyBackend


def test_the_back_is_better_with_a_photo_of_it(body_backend: BodyBackend) -> None:
    metrics = photos_metrics(PhotosEvaluationOptions(people=2, poses=1), body_backend)
    json.dumps(metrics)
    assert metrics["networks_gain"] > 1.5
    assert metrics["networks_gain"] == pytest.approx(metrics["networks_both_psnr"] - metrics["networks_front_psnr"])
    assert metrics["pixels_gain"] > 0
    assert metrics["exact_gain"] > 3
    assert (metrics["taken_for_other_rate"], metrics["other_noticed_rate"]) == (0, 1)


def test_people_of_trainings_are_refused() -> None:
    with pytest.raises(UsageError):
        PhotosEvaluationOptions(first_seed=12)
    with pytest.raises(UsageError, match="--people"):
        PhotosEvaluationOptions(people=1)


def test_two_frames_of_a_clip_are_its_photos(
    media: Path, small_models: LoadedModels, blazepose_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    measured = []
    for more in ((), (3,)):
        events: list[str] = []
        options = ReenactOptions(videos=(media / "dance.mp4",), densepose="tiny", more_source_frames=more, max_frames=5)
        (clip,) = reenact(options, on_event=lambda event, to=events: to.append(event.kind))["clips"]
        assert ("photos_joined" in events) == bool(more)
        measured.append(clip)
    assert measured[0]["warp_person_psnr"] < measured[1]["warp_person_psnr"]
    with pytest.raises(UsageError, match="give 0 to 4"):
        reenact(ReenactOptions(videos=(media / "dance.mp4",), more_source_frames=(7,), max_frames=5))
