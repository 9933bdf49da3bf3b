"""`--framing photo` with the real landmark networks: the photo stays, its person moves, and nothing is squashed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mcld_anim import Animator
from mcld_anim.body.fit import FOCAL, STATURE, BodyMotion, BodyShape
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.core.errors import UsageError
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import read_picture, write_picture
from mcld_anim.options.run import RunOptions
from mcld_anim.run.frame_range import FrameRange
from mcld_anim.run.photo import CELL, LARGEST_SIDE, LONG_SIDE, PhotoSize
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background

FRAMES = 5


def rendered(seed: int, seconds: float, size: int = 320) -> Rendering:
    background = draw_background(np.random.default_rng(seed), size, "plain")
    return render(Person.from_seed(seed), dance_pose(seconds), View(zoom=0.8), Light(), background, size, supersample=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, clip_writer: Callable[..., None]) -> Path:
    """A folder with a photo, 320x240 as people's are not, and a dance."""
    folder = tmp_path_factory.mktemp("photo")
    photo = rendered(12, 0.0)
    write_picture(folder / "me.png", photo.picture[:, 40:-40])
    write_picture(folder / "pose.png", rendered(14, 0.9).picture)
    clip_writer(folder / "dance.mp4", [rendered(13, 0.2 + index / 10).picture for index in range(FRAMES)])
    return folder


@pytest.fixture(autouse=True)
def real_networks(blazepose_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))


@pytest.fixture(scope="module")
def animator(blazepose_home: Path) -> Iterator[Animator]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MCLD_ANIM_HOME", str(blazepose_home))
        with Animator.load(densepose="body", device="cpu", dtype="float32") as loaded:
            yield loaded


def shown(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_photo_stays_and_its_person_moves(animator: Animator, place: Path, tmp_path: Path) -> None:
    result = animator.animate(place / "me.png", place / "dance.mp4", output=tmp_path / "out.mp4", crf=4)
    frames = shown(result.output)
    assert frames.shape == (FRAMES, 512, 384, 3)
    photo = np.asarray(Image.open(place / "me.png").resize((384, 512), Image.Resampling.LANCZOS)).astype(int)
    corners = np.abs(frames[:, 40:120, 20:100].astype(int) - photo[40:120, 20:100])
    assert corners.mean() < 6  # away from the person the photo is unchanged
    still = np.abs(np.diff(frames[:, 40:120, 20:100].astype(int), axis=0))
    assert still.mean() < 1.5
    assert np.abs(np.diff(frames[:, 150:400, 120:260].astype(int), axis=0)).mean() > 4
    record = json.loads((tmp_path / "out.run.json").read_text())
    assert (record["options"]["densepose"], record["options"]["framing"]) == ("body", "photo")
    assert record["options"]["retarget"] == "body"


def test_no_network_of_the_model_is_read_where_none_makes_a_frame(place: Path, tmp_path: Path) -> None:
    """Nor is diffusers imported, which takes seconds."""
    code = (
        "import sys; from mcld_anim import Animator;"
        f"Animator(densepose='body', device='cpu', cache=False).animate({str(place / 'me.png')!r}, "
        f"{str(place / 'dance.mp4')!r}, output={str(tmp_path / 'out.mp4')!r}, max_frames=1);"
        "print({'diffusers', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    weights = json.loads((tmp_path / "out.run.json").read_text())["weights"]
    assert "face.safetensors" in weights
    assert "denoiser.safetensors" not in weights


def test_frames_do_not_depend_on_batches(animator: Animator, place: Path) -> None:
    made = [
        [frame.picture for frame in animator.frames(place / "me.png", place / "dance.mp4", batch_size=size)]
        for size in (1, 4)
    ]
    for one, other in zip(*made, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_clip_of_the_photos_own_pixels_is_split_anywhere(animator: Animator, place: Path, tmp_path: Path) -> None:
    """It is blended with nothing, whatever `--blend` says."""
    given: dict[str, Any] = {"source": place / "me.png", "driving": place / "dance.mp4", "densepose": "body"}
    one, two = (RunOptions(**given, batch_size=2, output=tmp_path / name) for name in ("one.mp4", "two.mp4"))
    ranges = animator.split(two, 2)
    assert ranges == (FrameRange(0, 4), FrameRange(4, FRAMES))
    for frames in ranges:
        animator.make_range(two, frames)
    whole, joined = animator.run(one), animator.join(two, ranges)
    assert np.array_equal(shown(whole.output), shown(joined.output))
    assert whole.output.with_suffix(".report.csv").read_text() == joined.output.with_suffix(".report.csv").read_text()


def test_other_backgrounds_take_the_drawn_person(animator: Animator, place: Path) -> None:
    green = next(animator.frames(place / "me.png", place / "dance.mp4", background="#00ff00", max_frames=1))
    assert (green.picture[60:100, 30:60] == [0, 255, 0]).all()
    clear = next(animator.frames(place / "me.png", place / "dance.mp4", background="transparent", max_frames=1))
    assert clear.picture.shape == (512, 384, 4)
    opaque = clear.picture[..., 3] > 127
    assert np.array_equal(opaque, green.iuv[..., 0] > 0) or (opaque ^ (green.iuv[..., 0] > 0)).mean() < 0.01


def test_options_of_networks_that_do_not_run_are_named(animator: Animator, place: Path) -> None:
    given: dict[str, Any] = {"steps": 3, "min_face_similarity": 0.99, "max_frames": 1}
    with pytest.warns(UserWarning, match="--steps, --min-face-similarity without effect") as told:
        frame = next(animator.frames(place / "me.png", place / "dance.mp4", **given))
    assert frame.row.tries == 1
    assert sum("without effect" in str(one.message) for one in told) == 1
    with pytest.warns(UserWarning, match="--seed without effect"):
        animator.transfer(place / "me.png", place / "pose.png", seed=4)


def test_one_pose_in_the_photo(animator: Animator, place: Path) -> None:
    picture = animator.transfer(place / "me.png", place / "pose.png")
    assert picture.shape == (512, 384, 3)
    square = animator.transfer(place / "me.png", place / "pose.png", retarget="off")
    assert square.shape == (256, 256, 3)


def test_the_size_of_the_result_can_be_chosen(animator: Animator, place: Path) -> None:
    inputs = place / "me.png", place / "dance.mp4"
    large, small = (
        next(animator.frames(*inputs, long_side=side, max_frames=1)).picture[..., :3] for side in (768, None)
    )
    assert (large.shape, small.shape) == ((768, 576, 3), (512, 384, 3))
    shrunk = cv2.resize(large, (384, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(float) - small).mean() < 4  # the same frame
    posed = animator.transfer(place / "me.png", place / "pose.png", long_side=256)
    assert posed.shape == (256, 192, 3)
    edited = animator.edit(place / "me.png", tint=["upper=#aa2233"], long_side=300)
    assert edited.shape == (296, 224, 3)  # multiples of 8


def test_crops_are_made_if_they_are_asked_for(animator: Animator, place: Path) -> None:
    frame = next(animator.frames(place / "me.png", place / "dance.mp4", framing="fixed", max_frames=1))
    assert frame.picture.shape == (256, 256, 3)
    driving = next(animator.frames(place / "me.png", place / "dance.mp4", background="driving", max_frames=1))
    assert driving.picture.shape == (256, 256, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"framing": "photo", "retarget": "limbs"}, "leave out --retarget limbs"),
        ({"framing": "track", "retarget": "body"}, "--retarget body needs --framing photo"),
        ({"framing": "photo", "background": "driving"}, "choose --framing fixed"),
        ({"framing": "fixed", "long_side": 720}, "--long-side is of results with --framing photo"),
        ({"long_side": 100}, "--long-side 100 is out of range"),
    ],
)
def test_what_excludes_each_other_is_refused(
    animator: Animator, place: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        next(animator.frames(place / "me.png", place / "dance.mp4", **given))


def test_a_picture_of_the_models_size_has_no_other(animator: Animator, place: Path) -> None:
    with pytest.raises(UsageError, match="--long-side 720 needs a result in the photo: leave out --retarget off"):
        animator.transfer(place / "me.png", place / "pose.png", long_side=720, retarget="off")


@pytest.mark.parametrize("given", [{"framing": "photo"}, {"retarget": "body"}, {"long_side": 720}])
def test_without_a_body_it_says_how_to_get_one(place: Path, given: dict[str, Any]) -> None:
    with (
        Animator.load(densepose="tiny", device="cpu") as tiny,
        pytest.raises(UsageError, match="models pull blazepose"),
    ):
        next(tiny.frames(place / "me.png", place / "dance.mp4", **given))


def somebody(height: float, size: tuple[int, int]) -> BodyMotion:
    """A standing person of this height in pixels."""
    focal, shape = FOCAL * max(size), BodyShape(np.zeros(SHAPES), 1.0)
    camera = np.array([[0, focal * STATURE / height, 0]], np.float32)
    return BodyMotion(shape, np.tile(np.eye(3, dtype=np.float32), (1, len(CONTROLS), 1, 1)), camera, focal, size)


@pytest.mark.parametrize(
    ("height", "size", "longer"),
    [
        (1000, (1080, 1920), LONG_SIDE),
        (320, (1080, 1920), LARGEST_SIDE),
        (900, (3000, 4000), LARGEST_SIDE),
        (1200, (3000, 4000), 800),
        (100, (450, 600), 600),  # no larger than the photo
        (100, (225, 300), LONG_SIDE),
    ],
)
def test_somebody_small_gets_a_larger_result(height: float, size: tuple[int, int], longer: int) -> None:
    frame = PhotoSize.of(np.zeros((*size, 3), np.uint8), somebody(height, size))
    assert max(frame.size) == pytest.approx(longer, abs=CELL)


@pytest.mark.parametrize("size", [(1137, 910), (600, 900), (512, 512), (300, 200), (4000, 1500)])
def test_a_frame_has_the_photos_aspect(size: tuple[int, int]) -> None:
    frame = PhotoSize.of(np.zeros((*size, 3), np.uint8), somebody(0.8 * size[0], size))
    height, width = frame.size
    assert max(height, width) == LONG_SIDE
    assert height % CELL == width % CELL == 0
    assert abs(height / frame.scale - size[0]) < CELL / frame.scale
    assert abs(width / frame.scale - size[1]) < CELL / frame.scale
    made = frame.picture(np.zeros((*size, 3), np.uint8))
    assert made.shape == (height, width, 3)
    middle = np.array([[size[1] / 2, size[0] / 2]])
    assert np.allclose(frame.places(middle, np.zeros(size)), [[width / 2, height / 2]], atol=0.6)


def test_somebody_behind_a_board_is_reported(place: Path, animator: Animator, tmp_path: Path) -> None:
    photo = read_picture(place / "me.png").copy()
    covered = photo.copy()
    covered[180:, 20:220] = 90, 120, 60
    for name, picture, expected in (("whole.png", photo, []), ("covered.png", covered, ["source_hidden"])):
        write_picture(tmp_path / name, picture)
        events: list[Event] = []
        animator.transfer(tmp_path / name, place / "pose.png", on_event=events.append)
        assert [event.kind for event in events if event.kind == "source_hidden"] == expected
        assert all(str(tmp_path / name) in event.message for event in events if event.kind == "source_hidden")
