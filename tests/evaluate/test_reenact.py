"""`eval reenact`: the metric functions on known answers, and the command on a rendered dance with the real networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcld_anim.body.fit import FOCAL, STATURE, BodyMotion, BodyShape, ClipLandmarks
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.cli.main import app
from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.landmarks import jitter_ratio, joint_error, side_jumps, visible_limbs
from mcld_anim.evaluate.reenact import (
    ReenactOptions,
    is_same_face,
    mask_iou,
    mean_over_clips,
    person_metrics,
    reenact,
)
from mcld_anim.evaluate.truth import Warped, cropped_mask, cropped_region
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.blazepose import Region
from mcld_anim.pose.body_backend import load_body_backend
from mcld_anim.pose.matte_alignment import PERSON
from mcld_anim.source.dlib_backend import SAME_PERSON_DISTANCE
from mcld_anim.source.face import Face
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background
from mcld_anim.video.framing import SteadyCrop

FRAMES, SIZE = 8, 256
KEYS = {
    "clip",
    "frames",
    "frames_with_person",
    "person_psnr",
    "person_ssim",
    "silhouette_iou",
    "body_iou",
    "joint_error",
    "jitter_ratio",
    "side_jumps",
    "face_same_rate",
    "mean_colour_person_psnr",
    "still_person_psnr",
    "warp_person_psnr",
    "completed_person_psnr",
    "poses_per_second",
    "seconds_per_frame",
}


@pytest.fixture(scope="module")
def moving() -> list[Rendering]:
    """A dancer at a size that BlazePose knows, 15 frames a second."""
    person, background = Person.from_seed(12), draw_background(np.random.default_rng(12), SIZE, "plain")
    poses = [dance_pose(0.2 + index / 15) for index in range(FRAMES)]
    return [render(person, pose, View(zoom=0.8), Light(), background, SIZE, supersample=1) for pose in poses]


@pytest.fixture
def real_networks(blazepose_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))


@pytest.fixture(scope="module")
def measured(
    blazepose_home: Path,
    moving: list[Rendering],
    clip_writer: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What the command writes for the dance into the JSON file."""
    folder = tmp_path_factory.mktemp("reenact")
    clip_writer(folder / "moving.mp4", [one.picture for one in moving])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
        with pytest.raises(SystemExit) as caught:
            app(["eval", "reenact", str(folder / "moving.mp4"), "--model", "tiny", "--json", str(folder / "r.json")])
    assert not caught.value.code
    return json.loads((folder / "r.json").read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))


@pytest.fixture
def motion() -> BodyMotion:
    """A body that trembles: 8 frames, 3 m away, in pictures of 400 x 300."""
    generator = np.random.default_rng(0)
    controls = np.tile(np.eye(3, dtype=np.float32), (8, len(CONTROLS), 1, 1))
    camera = np.array([0, 3, 0], np.float32) + generator.normal(0, 0.01, (8, 3)).astype(np.float32) * [1, 0, 1]
    return BodyMotion(BodyShape(np.zeros(SHAPES), 1.0), controls, camera.astype(np.float32), FOCAL * 400, (400, 300))


def landmarks_of(motion: BodyMotion) -> ClipLandmarks:
    """Landmarks on the body, all of them visible."""
    xy, frames = motion.landmarks()[0].astype(np.float64), len(motion.camera)
    size = (4000, 3000)  # large enough for all of the body to be inside
    return ClipLandmarks(xy, np.ones((frames, 33)), np.zeros((frames, 33, 3)), np.ones(frames, bool), size)


def test_a_body_on_its_landmarks_has_no_error_and_their_jitter(motion: BodyMotion) -> None:
    seen = landmarks_of(motion)
    assert visible_limbs(seen).any()
    assert joint_error(seen, motion) == pytest.approx(0, abs=1e-6)
    assert jitter_ratio(seen, motion, [False] * 8) == pytest.approx(1)


def test_joint_error_is_a_fraction_of_the_height(motion: BodyMotion) -> None:
    seen = landmarks_of(motion)
    pixels = motion.focal * STATURE / 3
    assert joint_error(replace(seen, xy=seen.xy + np.array([0.02 * pixels, 0])), motion) == pytest.approx(
        0.02, rel=1e-4
    )


def test_jitter_is_that_of_the_fit_over_that_of_the_landmarks(motion: BodyMotion) -> None:
    seen = landmarks_of(motion)
    middle = seen.xy.mean(0)
    assert jitter_ratio(replace(seen, xy=middle + 4 * (seen.xy - middle)), motion, [False] * 8) == pytest.approx(0.25)


def test_exchanged_sides_are_counted(motion: BodyMotion) -> None:
    frames = len(motion.controls)
    found, cuts = np.ones(frames, bool), [False] * frames
    assert side_jumps(motion, found, cuts) == 0
    turned = np.diag([-1, -1, 1]).astype(np.float32)  # half a turn about the vertical axis
    controls = motion.controls.copy()
    controls[1, CONTROLS.index("root")] = turned @ controls[1, CONTROLS.index("root")]
    jumping = replace(motion, controls=controls)
    assert side_jumps(jumping, found, cuts) == min(2, frames - 1)
    assert side_jumps(jumping, found, [False, True, True, *cuts[3:]]) == 0


def test_only_what_is_seen_counts(motion: BodyMotion) -> None:
    seen = landmarks_of(motion)
    nobody = replace(seen, found=np.zeros(8, bool))
    assert joint_error(nobody, motion) is None
    assert joint_error(replace(seen, visibility=np.full((8, 33), 0.1)), motion) is None
    assert jitter_ratio(seen, motion, [True] * 8) is None  # every frame is another scene
    jumped = seen.xy.copy()
    jumped[4:] += 200
    cut = [index == 4 for index in range(8)]
    assert jitter_ratio(replace(seen, xy=jumped), motion, cut) == pytest.approx(1)
    two = replace(motion, controls=motion.controls[:2], camera=motion.camera[:2])
    assert jitter_ratio(seen.part(slice(0, 2)), two, cut[:2]) is None


def test_a_perfect_copy_is_perfect(moving: list[Rendering]) -> None:
    truth = moving[0]
    mask = truth.iuv[..., 0] > 0
    colour = truth.picture[mask].mean(0).round().astype(np.uint8)
    warped = Warped(np.zeros_like(truth.picture), truth.picture)
    metrics = person_metrics(truth.picture, warped, truth.picture, mask, colour)
    assert metrics["person_psnr"] == float("inf")
    assert metrics["person_ssim"] == pytest.approx(1)
    assert metrics["mean_colour_person_psnr"] > metrics["warp_person_psnr"]  # of a black person
    assert metrics["completed_person_psnr"] == float("inf")
    assert mask_iou(mask, mask) == 1


def test_mask_iou() -> None:
    left, upper = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    left[:, :2], upper[:2] = True, True
    assert mask_iou(left, upper) == pytest.approx(4 / 12)
    assert mask_iou(left, ~left) == 0
    assert mask_iou(left & ~left, left & ~left) == 1


def test_a_mask_and_its_region_are_cropped_alike() -> None:
    mask = np.zeros((100, 80), bool)
    mask[40:60, 30:50] = True
    crop, size = SteadyCrop(-10, 20, 80, 80), (40, 40)  # reaches outside on the left
    rows, columns = np.nonzero(cropped_mask(mask, crop, size))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (10, 20, 20, 30)
    region = cropped_region(Region(np.array([40.0, 50.0]), 30.0, 0.3), crop, size)
    assert (*region.centre, region.side, region.angle) == (25, 15, 15, 0.3)


def test_the_mean_is_over_the_clips_that_have_a_value() -> None:
    clips = [
        {"clip": "a", "person_psnr": 20.0, "joint_error": None, "seconds_per_frame": {"source": 1.0}},
        {"clip": "b", "person_psnr": 30.0, "joint_error": 0.1, "seconds_per_frame": {"source": 3.0}},
    ]
    assert mean_over_clips(clips) == {"person_psnr": 25, "joint_error": 0.1, "seconds_per_frame": {"source": 2}}
    assert mean_over_clips([{"still_person_psnr": float("inf")}]) == {"still_person_psnr": None}  # JSON has no infinity


class FirstPixel:
    """A face embedder by distance: the picture's first pixel; none where it is black."""

    name, scale, threshold = "dlib", "distance", 1 - SAME_PERSON_DISTANCE

    def largest(self, picture: np.ndarray, iuv: np.ndarray | None = None) -> Face | None:
        return Face(picture[0, 0] / 255, (0, 0, 1, 1), "dlib") if picture[0, 0].any() else None


def test_faces_are_compared_where_the_truth_shows_one() -> None:
    judge = FirstPixel()
    black, red, reddish, blue = (
        np.full((4, 4, 3), colour, np.uint8) for colour in ((0, 0, 0), (255, 0, 0), (200, 0, 0), (0, 0, 255))
    )
    known = judge.largest(red)
    assert is_same_face(judge, known, reddish, red) is True
    assert is_same_face(judge, known, blue, red) is False
    assert is_same_face(judge, known, black, red) is False  # the made person lost the face
    assert is_same_face(judge, known, red, black) is None
    assert is_same_face(judge, None, red, red) is None
    assert is_same_face(None, known, red, red) is None


@pytest.mark.parametrize("given", [{"source_frame": -1}, {"densepose": "poses.zip"}, {"videos": ()}])
def test_wrong_options_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ReenactOptions(**{"videos": (Path("a.mp4"),), **given})


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["dance.mp4", "--source-frame", "11"], 2, "give 0 to 10"),
        (["dance.mp4", "--source-frame", "3", "--max-frames", "3"], 2, "give 0 to 2"),
        (["none.mp4"], 3, "does not exist"),
        (["dance.mp4", "--json", "."], 3, "is a folder"),
        (["dance.mp4", "--end", "0"], 2, "--end 0"),
    ],
)
def test_bad_input_is_refused_before_a_network_is_loaded(
    arguments: list[str],
    code: int,
    words: str,
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(media)
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: pytest.fail("a network is loaded"))
    with pytest.raises(SystemExit) as caught:
        app(["eval", "reenact", *arguments])
    assert caught.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.slow
def test_a_dance_is_measured(measured: dict[str, Any]) -> None:
    (clip,) = measured["clips"]
    assert set(clip) == KEYS
    assert set(measured["mean"]) == KEYS - {"clip"}
    assert (clip["clip"], clip["frames"], clip["frames_with_person"]) == ("moving.mp4", FRAMES, FRAMES)
    assert clip["body_iou"] > 0.8
    assert clip["silhouette_iou"] > 0.8
    assert 0 < clip["joint_error"] < 0.05
    assert 0 < clip["jitter_ratio"] < 1.5
    assert 0 < clip["person_ssim"] < 1
    assert clip["warp_person_psnr"] > clip["still_person_psnr"] + 1
    assert clip["person_psnr"] > clip["mean_colour_person_psnr"] + 2
    assert clip["completed_person_psnr"] > clip["warp_person_psnr"] + 0.3  # a guess is better than one colour
    assert clip["person_psnr"] > clip["completed_person_psnr"] - 0.2
    assert clip["poses_per_second"] == pytest.approx(1 / clip["seconds_per_frame"]["driving poses"])
    assert {"source", "driving poses", "synthesis"} <= set(clip["seconds_per_frame"])
    assert measured["mean"]["person_psnr"] == clip["person_psnr"]


@pytest.mark.usefixtures("real_networks")
def test_the_true_frame_has_the_true_silhouette(moving: list[Rendering]) -> None:
    backend, truth = load_body_backend(), moving[0]
    mask = truth.iuv[..., 0] > 0
    rows, columns = np.nonzero(mask)
    region = Region(np.array([columns.mean(), rows.mean()]), 1.25 * float(np.ptp(rows)), 0.0)
    empty = np.full_like(truth.picture, 128)
    assert mask_iou(backend.matte(truth.picture, region) > PERSON, mask) > 0.9
    assert mask_iou(backend.matte(empty, region) > PERSON, mask) < 0.5


@pytest.mark.usefixtures("real_networks")
def test_another_estimator_has_no_joints(
    media: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    options = ReenactOptions(videos=(media / "dance.mp4",), densepose="tiny", source_frame=2, max_frames=4)
    events: list[str] = []
    metrics = reenact(options, on_event=lambda event: events.append(event.kind))
    (clip,) = metrics["clips"]
    assert (clip["frames"], clip["joint_error"], clip["jitter_ratio"]) == (4, None, None)
    assert clip["body_iou"] > 0.8  # it knows the rendered people
    assert clip["still_person_psnr"] is not None
