"""The embedded model on real files, from the command line's options to the finished video."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mcld_anim import Animator, PoseOptions, RunOptions
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.samples import STUDIO
from mcld_anim.synthetic.scene import View, draw_background
from mcld_anim.video.write import to_yuv420
from mcld_anim.weights.table import PARTS

SIZE = 256


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photo.png and clip.mp4 (4 frames) of two people in front of plain walls."""
    folder = tmp_path_factory.mktemp("first_light")
    wall = draw_background(np.random.default_rng(1), SIZE, "plain")
    photo = render(Person.from_seed(31), dance_pose(0.1), View(zoom=0.9), STUDIO, wall, SIZE)
    Image.fromarray(photo.picture).save(folder / "photo.png")
    dancer = Person.from_seed(12)
    with av.open(str(folder / "clip.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=5, options={"crf": "10"})
        video.height, video.width, video.pix_fmt = SIZE, SIZE, "yuv420p"
        for index in range(4):
            picture = render(dancer, dance_pose(index / 5), View(zoom=0.9), STUDIO, wall, SIZE).picture
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
    return folder


def test_run_with_the_embedded_model(inputs: Path, tmp_path: Path) -> None:
    options = RunOptions(source=inputs / "photo.png", driving=inputs / "clip.mp4", output=tmp_path / "x.mp4", steps=4)
    result = Animator().run(options)
    with av.open(str(result.output)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.stack(frames).shape == (4, SIZE, SIZE, 3)
    assert result.summary["frames_without_person"] == 0
    record = json.loads((tmp_path / "x.run.json").read_text())
    assert set(record["weights"]) == {f"{part}.safetensors" for part in PARTS}
    photo = np.asarray(Image.open(inputs / "photo.png")).astype(float)
    corner = np.stack([frame[:24, :24] for frame in frames]).astype(float).mean((0, 1, 2))
    assert np.abs(corner - photo[:24, :24].mean((0, 1))).max() < 25  # the wall of the photo


def test_blended_frames_do_not_depend_on_the_batch_size(inputs: Path) -> None:
    """At full size, where surfaces correspond between frames, so the state of the blending matters."""

    def frames(**settings: float) -> np.ndarray:
        made = Animator().frames(inputs / "photo.png", inputs / "clip.mp4", dtype="float32", **settings)
        return np.stack([to_yuv420(frame.picture)[:SIZE] for frame in made]).astype(int)  # luma

    one, three = frames(batch_size=1), frames(batch_size=3)
    assert np.abs(one - three).max() <= 1
    assert np.abs(one - frames(batch_size=3, blend=0.0))[1:].max() > 1


def test_pose_with_the_embedded_model(inputs: Path, tmp_path: Path) -> None:
    options = PoseOptions(
        source=inputs / "photo.png", pose=inputs / "photo.png", output=tmp_path / "x.png", steps=4, side_by_side=True
    )
    result = Animator().run(options)
    picture = np.asarray(Image.open(result.output)).astype(float)
    source, made = picture[:, :SIZE], picture[:, 2 * SIZE :]
    # In the photo's own pose before its own wall the result is nearer to the photo than any one colour is
    flat = np.sqrt(((source - source.mean((0, 1))) ** 2).mean())
    assert np.sqrt(((made - source) ** 2).mean()) < flat
