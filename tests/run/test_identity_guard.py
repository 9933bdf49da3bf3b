"""The identity guard: the best try is kept, every try is reported, and batches do not matter."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.body.clip import ClipFrame, FramePose, clip_frames
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.backends import estimate_of
from mcld_anim.pose.precomputed import resize_iuv
from mcld_anim.report.faces import FaceMeter
from mcld_anim.run.identity_guard import IdentityGuard, attempt, tried_again
from mcld_anim.run.source import frame_person
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import Attempt, SamplingSettings
from mcld_anim.source.face import Face
from mcld_anim.synthetic.person import Rendering


class Judge(FaceMeter):
    """A face meter that returns given similarities, try after try."""

    def __init__(self, *verdicts: float | None) -> None:
        super().__init__(None, Face(np.ones(1, np.float32), (0, 0, 1, 1)))
        self.verdicts = list(verdicts)

    def measure(self, picture: np.ndarray, iuv: np.ndarray) -> tuple[None, float | None]:
        return None, self.verdicts.pop(0)


@pytest.fixture
def maker(small_models: LoadedModels, photo: Rendering) -> FrameMaker:
    framed = frame_person(photo.picture, estimate_of(photo.iuv, 1.0), small_models.options.frame_size)
    source = encode_source(*framed, small_models.mcld, small_models.face_in(*framed))
    return FrameMaker(
        small_models.mcld, source, SamplingSettings(steps=2, guidance=1.0, seed=0, noise="shared", blend=0.5)
    )


@pytest.fixture
def poses(dance: list[Rendering], monkeypatch: pytest.MonkeyPatch) -> list[ClipFrame]:
    monkeypatch.setattr("mcld_anim.run.identity_guard.face_box", lambda _: (0, 0, 1, 1))  # too small for the real rule
    return list(clip_frames(FramePose(resize_iuv(one.iuv, (64, 64))) for one in dance[:4]))


@pytest.mark.parametrize(
    ("verdicts", "tries", "best"),
    [
        ((0.9,), 1, 0),
        ((0.2, 0.7), 2, 1),
        ((0.2, None, 0.1, 0.15), 4, 0),  # nothing better came: the first stays
        ((None, 0.1, 0.4, 0.3), 4, 2),
    ],
)
def test_the_best_try_is_kept(
    maker: FrameMaker, poses: list[ClipFrame], verdicts: tuple[float | None, ...], tries: int, best: int
) -> None:
    first = maker.make(poses[:1])[0]
    pictures = [first, *(maker.again(0, poses[0], attempt(number)) for number in range(1, tries))]
    guard = IdentityGuard(maker, Judge(*verdicts), 0.6, 3)
    kept = guard.keep(0, poses[0].showing(first))
    assert kept.similarities == verdicts
    assert np.array_equal(kept.picture, pictures[best])
    assert (kept.described == "") == (tries == 1)
    event = tried_again(guard.below, guard.helped, 0.6, 3)
    assert [told.kind for told in (event,) if told] == (["frames_tried_again"] if tries > 1 else [])


def test_without_a_limit_nothing_is_measured(maker: FrameMaker, poses: list[ClipFrame]) -> None:
    first = maker.make(poses[:1])[0]
    kept = IdentityGuard(maker, Judge(), None, 3).keep(0, poses[0].showing(first))
    assert kept.picture is first


def test_the_tries_differ_and_the_order_is_as_documented(maker: FrameMaker, poses: list[ClipFrame]) -> None:
    assert [attempt(number) for number in (1, 2, 3, 5)] == [
        Attempt(1.5, 0, 1),
        Attempt(1.5, 1, 1),
        Attempt(2.0, 2, 2),
        Attempt(2.0, 5, 2),
    ]
    first = maker.make(poses[:2])[1].astype(int)
    same = maker.again(1, poses[1], Attempt(1.0, 0, 1)).astype(int)
    assert np.abs(first - same).max() <= 1  # the same settings give the same frame, its blending included
    for number in (1, 2, 3):
        assert np.abs(maker.again(1, poses[1], attempt(number)).astype(int) - first).max() > 1


def test_another_try_does_not_depend_on_batches(maker: FrameMaker, poses: list[ClipFrame]) -> None:
    maker.make(poses[:3])
    together = maker.again(2, poses[2], attempt(3)).astype(int)
    alone = FrameMaker(maker.mcld, maker.source, maker.settings)
    for index in range(3):
        alone.make([poses[index]])
        alone.again(0, poses[index], attempt(2))  # a try leaves nothing behind
    assert np.abs(alone.again(0, poses[2], attempt(3)).astype(int) - together).max() <= 1
