"""`transfer` on real files with small random networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mcld_anim.core.errors import InputError, PictureError, PoseError
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import PoseOptions
from mcld_anim.pose.iuv_picture import encode_iuv
from mcld_anim.run.cache import RunCache
from mcld_anim.run.result import Result
from mcld_anim.run.transfer import transfer
from mcld_anim.synthetic.person import Rendering
from mcld_anim.video.write import to_yuv420

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, media: Path, small_models: LoadedModels) -> Run:
    """Transfers the pose of the other person into `tmp_path/out/result.png`, with changed options."""

    def run_with(**change: Any) -> Result:
        given = {"source": media / "person.png", "pose": media / "other.png", "steps": 2}
        given |= {"output": tmp_path / "out" / "result.png", "overwrite": True, **change}
        return transfer(PoseOptions(**given), RunCache(tmp_path, load=lambda *_: small_models))

    return run_with


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def test_a_picture_and_its_three_files(run: Run, tmp_path: Path) -> None:
    result = run()
    assert load(result.output).shape == (64, 64, 3)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["result.png", "result.report.csv", "result.report.json", "result.run.json"]
    report = json.loads((tmp_path / "out" / "result.report.json").read_text())
    assert len(report["frames"]) == 1
    assert report["frames"][0]["face_similarity"] == result.summary["face_similarity_mean"]


def test_a_photo_and_its_iuv_give_the_same_picture(
    run: Run, tmp_path: Path, other_photo: Rendering, small_models: LoadedModels
) -> None:
    from_photo = load(run().output)
    (tmp_path / "iuv.png").write_bytes(encode_iuv(other_photo.iuv))
    small_models.pose_backend.pictures = 0  # type: ignore[attr-defined]
    from_iuv = load(run(pose=tmp_path / "iuv.png").output)
    assert small_models.pose_backend.pictures == 1  # type: ignore[attr-defined]  # the source photo only
    assert np.array_equal(from_photo, from_iuv)
    assert from_photo.std() > 5


def test_the_pose_matters(run: Run, media: Path) -> None:
    other = load(run().output)
    own = load(run(pose=media / "person.png").output)
    assert not np.array_equal(other, own)


def test_it_is_the_path_of_a_video_with_one_frame(
    run: Run, tmp_path: Path, media: Path, small_models: LoadedModels, other_photo: Rendering,
    clip_writer: Callable[..., None],
) -> None:  # fmt: skip
    from mcld_anim.options.run import RunOptions
    from mcld_anim.run.animate import animate

    clip_writer(tmp_path / "one.mp4", [other_photo.picture])
    options = RunOptions(
        source=media / "person.png",
        driving=tmp_path / "one.mp4",
        output=tmp_path / "one_out.mp4",
        steps=2,
        crf=0,
    )
    animate(options, RunCache(tmp_path, load=lambda *_: small_models))
    import av

    with av.open(str(tmp_path / "one_out.mp4")) as container:
        planes = next(container.decode(video=0)).to_ndarray()  # 4:2:0, as it is stored
    assert np.abs(planes.astype(int) - to_yuv420(load(run().output)).astype(int)).max() <= 1


def test_side_by_side(run: Run) -> None:
    assert load(run(side_by_side=True).output).shape == (64, 192, 3)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"source": "room.png"}, PoseError, "no person was found in --source"),
        ({"pose": "room.png"}, PoseError, "no person was found in --pose"),
        ({"pose": "none.png"}, PictureError, "--pose .* does not exist"),
        ({"pose": "dance.mp4"}, InputError, "--pose .* is not a picture"),
    ],
)
def test_refused(
    run: Run, tmp_path: Path, media: Path, change: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(**{key: media / name for key, name in change.items()})
    assert not (tmp_path / "out").exists()


def test_an_iuv_of_nobody_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(encode_iuv(np.zeros((64, 64, 3), np.uint8)))
    with pytest.raises(PoseError, match="shows no person"):
        run(pose=tmp_path / "empty.png")


def test_the_pose_can_be_that_of_the_source_s_build(run: Run) -> None:
    off = load(run().output)
    with pytest.warns(UserWarning, match="times as tall"):
        made = run(retarget="limbs")
    assert "retargeted" in [event["kind"] for event in made.summary["events"]]
    assert not np.array_equal(load(made.output), off)
