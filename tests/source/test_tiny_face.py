"""The embedded face embedder: faces are found only from the front, and people are told apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mcld_anim.core.errors import WeightsError
from mcld_anim.source.face import similarity
from mcld_anim.source.tiny_face import CROP_SIZE, TinyFaceBackend, face_box, face_crop, load_tiny_face_backend
from mcld_anim.synthetic.faces import render_face_views
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED
from mcld_anim.synthetic.motion import ARMS_DOWN, Pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background


@pytest.fixture(scope="module")
def backend() -> TinyFaceBackend:
    return load_tiny_face_backend()


def turned(degrees: float) -> Rendering:
    """A whole person seen from an angle; 0 is the front."""
    background = draw_background(np.random.default_rng(1), 256, "plain")
    pose = Pose({"arm_raise.L": ARMS_DOWN, "arm_raise.R": ARMS_DOWN})
    view = View(yaw=np.deg2rad(degrees), zoom=0.9)
    return render(Person.from_seed(7), pose, view, Light(), background, 256, supersample=1)


@pytest.mark.parametrize("degrees", [-40, 0, 40])
def test_a_face_is_found_in_the_head(degrees: float) -> None:
    iuv = turned(degrees).iuv
    box = face_box(iuv)
    assert box is not None
    rows, columns = np.nonzero(iuv[..., 0] >= 23)
    assert columns.min() - 8 <= (box[0] + box[2]) / 2 <= columns.max() + 8
    assert rows.min() <= (box[1] + box[3]) / 2 <= rows.max()
    assert box[2] - box[0] == pytest.approx(box[3] - box[1])
    assert 0.5 * np.ptp(rows) < box[3] - box[1] < 2 * np.ptp(rows)


@pytest.mark.parametrize("degrees", [150, 180, 210])
def test_the_back_of_a_head_is_no_face(backend: TinyFaceBackend, degrees: float) -> None:
    behind = turned(degrees)
    assert (behind.iuv[..., 0] >= 23).sum() > 200
    assert face_box(behind.iuv) is None
    assert backend.largest(behind.picture, behind.iuv) is None


def test_nobody_has_no_face(backend: TinyFaceBackend) -> None:
    assert backend.largest(np.full((80, 80, 3), 128, np.uint8), np.zeros((80, 80, 3), np.uint8)) is None


def test_a_face_of_a_few_pixels_is_none() -> None:
    iuv = turned(0).iuv
    assert face_box(iuv[::8, ::8]) is None


def test_stray_pixels_do_not_move_the_crop() -> None:
    iuv = turned(0).iuv.copy()
    before = face_box(iuv)
    iuv[250, 5] = (24, 10, 128)
    after = face_box(iuv)
    assert before is not None
    assert after == pytest.approx(before, abs=1.5)


def test_the_crop_is_the_box_of_the_picture() -> None:
    rows, columns = np.mgrid[0:200, 0:300].astype(np.float32)
    picture = np.stack([columns / 2, rows / 2, np.zeros_like(rows)], -1).round().astype(np.uint8)
    for box in ((100.0, 50.0, 132.0, 82.0), (20.0, 30.0, 170.0, 180.0)):  # enlarged; reduced
        crop = face_crop(picture, box)
        assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
        step = (box[2] - box[0]) / CROP_SIZE
        expected = (np.arange(CROP_SIZE) + 0.5) * step - 0.5
        inside = slice(2, -2)
        assert np.abs(crop[32, inside, 0] - (box[0] + expected[inside]) / 2).max() < 1.5
        assert np.abs(crop[inside, 32, 1] - (box[1] + expected[inside]) / 2).max() < 1.5


def test_a_crop_beyond_the_picture_repeats_its_edge() -> None:
    picture = np.full((50, 50, 3), 77, np.uint8)
    assert (face_crop(picture, (-20.0, -20.0, 30.0, 30.0)) == 77).all()


def test_people_are_told_apart(backend: TinyFaceBackend) -> None:
    """Eight people unseen in training, at the resolution of a frame; the bound is below the measured value."""
    people = []
    for seed in range(FIRST_EVALUATION_SEED + 900, FIRST_EVALUATION_SEED + 908):
        pictures, iuvs = render_face_views(Person.from_seed(seed), np.random.default_rng(seed), 3)
        faces = []
        for picture, iuv in zip(pictures, iuvs, strict=True):
            small = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)
            face = backend.largest(small, cv2.resize(iuv, (48, 48), interpolation=cv2.INTER_NEAREST))
            if face is not None:
                assert face.embedding.shape == (128,)
                assert face.embedding.dtype == np.float32
                faces.append(face)
        assert faces
        people.append(faces)
    own = [similarity(a, b) for faces in people for k, a in enumerate(faces) for b in faces[k + 1 :]]
    other = [similarity(a, b) for i, x in enumerate(people) for y in people[i + 1 :] for a in x for b in y]
    accuracy = (np.mean(np.array(own) > backend.threshold) + np.mean(np.array(other) <= backend.threshold)) / 2
    assert len(own) > 8
    assert accuracy > 0.85


def test_the_same_picture_has_the_same_face(backend: TinyFaceBackend) -> None:
    front = turned(0)
    first, again = backend.largest(front.picture, front.iuv), backend.largest(front.picture, front.iuv)
    assert first is not None
    assert again is not None
    assert np.array_equal(first.embedding, again.embedding)
    assert similarity(first, again) == pytest.approx(1, abs=1e-6)


def test_without_an_iuv_it_estimates_one(backend: TinyFaceBackend) -> None:
    face = backend.largest(turned(0).picture)
    truth = face_box(turned(0).iuv)
    assert face is not None
    assert truth is not None
    assert np.abs(np.array(face.box) - truth).max() < 0.5 * (truth[2] - truth[0])


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors' do not fit"):
        load_tiny_face_backend(weights=tmp_path / "other.safetensors")
