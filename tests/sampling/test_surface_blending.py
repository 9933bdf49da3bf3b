"""Blending along the surface: exact cells, no ghosts, and independence of batches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.body.clip import ClipFrame, FrameLink, FramePose, clip_frames
from mcld_anim.core.errors import UsageError
from mcld_anim.options.model import ScheduleOptions
from mcld_anim.sampling.denoise import StepBlending, denoise, signal_after
from mcld_anim.sampling.schedule import make_scheduler
from mcld_anim.sampling.surface_blending import SurfaceBlending, cell_link, fetch, same_phase

CELLS = (12, 14)


def body(x: int, y: int, part: int = 2) -> np.ndarray:
    """IUV (96, 112, 3) of a square surface, 40 pixels a side, with its own U, V; upper left corner at x, y."""
    iuv = np.zeros((96, 112, 3), np.uint8)
    grid = np.arange(40, dtype=np.uint8) * 6
    iuv[y : y + 40, x : x + 40] = np.stack(np.broadcast_arrays(np.uint8(part), grid[None], grid[:, None]), -1)
    return iuv


def frames_of(poses: list[np.ndarray], cuts: tuple[int, ...] = ()) -> list[ClipFrame]:
    """Consecutive frames; `cuts` are the first frames of scenes."""
    return list(clip_frames(FramePose(iuv, cut=k in cuts) for k, iuv in enumerate(poses)))


def blended(blending: SurfaceBlending, frames: list[ClipFrame], clean: torch.Tensor, *steps: int) -> list[torch.Tensor]:
    """The blended estimates of the frames at every step."""
    blend_step = blending.batch(frames).clean
    assert blend_step is not None
    return [blend_step(clean, step) for step in steps]


def test_cells_meet_the_cells_that_showed_the_same_surface() -> None:
    link = cell_link(FrameLink(body(40, 32), body(24, 40)), CELLS)
    person = (link.weight > 0) & (link.offset.abs().sum(-1) > 0)
    assert person.sum() >= 16  # 40 pixels are five cells
    assert torch.allclose(link.offset[person], torch.tensor([-2.0, 1.0]), atol=0.05)
    assert torch.allclose(same_phase(link.offset[person]), torch.ones(1), atol=0.15)
    assert link.weight[0, 13] == 1  # far from both
    assert not link.weight[5:10, 3].any()  # where the person has just been: no ghost
    assert not cell_link(FrameLink(body(40, 32, 3), body(24, 40, 2)), CELLS).weight[4:8, 5:9].any()  # another part


def test_fetching_takes_whole_cells_exactly() -> None:
    latents = torch.randn(4, *CELLS, generator=torch.Generator().manual_seed(0))
    offset = torch.zeros(*CELLS, 2)
    assert torch.allclose(fetch(latents, offset), latents, atol=1e-5)
    offset[..., 0] = -2
    assert torch.allclose(fetch(latents, offset)[:, :, 2:], latents[:, :, :-2], atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), cuts=st.sets(st.integers(1, 4)), strength=st.floats(0.05, 0.95))
def test_batches_do_not_matter(seed: int, cuts: set[int], strength: float) -> None:
    clean = torch.randn((5, 4, *CELLS), generator=torch.Generator().manual_seed(seed))
    frames = frames_of([body(20 + 4 * k, 30 + 2 * k) for k in range(5)])
    expected = blended(SurfaceBlending(strength, 2, CELLS), frames, clean, 0, 1)
    assert not torch.equal(expected[0][1:], clean[1:])
    blending, made = SurfaceBlending(strength, 2, CELLS), []
    for begin, end in pairwise([0, *sorted(cuts), 5]):
        made.append(blended(blending, frames[begin:end], clean[begin:end], 0, 1))
    for step in (0, 1):
        assert torch.equal(torch.cat([part[step] for part in made]), expected[step])


def test_nothing_is_blended_over_a_cut() -> None:
    clean = torch.randn((4, 4, *CELLS), generator=torch.Generator().manual_seed(1))
    poses = [body(20 + 4 * k, 30) for k in range(4)]
    cut, whole = frames_of(poses, cuts=(2,)), frames_of(poses)
    (made,) = blended(SurfaceBlending(0.7, 2, CELLS), cut, clean, 0)
    scenes = [
        blended(SurfaceBlending(0.7, 2, CELLS), frames_of(poses[part]), clean[part], 0)[0]
        for part in (slice(2), slice(2, 4))
    ]
    assert torch.equal(made, torch.cat(scenes))
    assert not torch.equal(made, blended(SurfaceBlending(0.7, 2, CELLS), whole, clean, 0)[0])
    blending = SurfaceBlending(0.7, 2, CELLS)
    blended(blending, cut[:2], clean[:2], 0)
    assert torch.equal(blended(blending, cut[2:], clean[2:], 0)[0], scenes[1])  # at a batch's border


def test_a_moving_surface_keeps_its_look() -> None:
    """Noise on a texture that moves with the body is averaged away, because blending follows the body."""
    generator = torch.Generator().manual_seed(3)
    texture = torch.randn(4, *CELLS, generator=generator)
    truth = [torch.roll(texture, k, -1) for k in range(6)]  # one cell to the right each frame
    noisy = torch.stack([frame + 0.5 * torch.randn(frame.shape, generator=generator) for frame in truth])
    frames = frames_of([body(16 + 8 * k, 32) for k in range(6)])
    (steady,) = blended(SurfaceBlending(0.7, 10, CELLS), frames, noisy, 0)
    inside = (slice(None), slice(5, 8), slice(8, 11))
    errors = [float((shown[5][inside] - truth[5][inside]).abs().mean()) for shown in (noisy, steady)]
    assert errors[1] < 0.75 * errors[0]


def test_late_detail_is_left_alone() -> None:
    clean = torch.randn((2, 4, *CELLS), generator=torch.Generator().manual_seed(1))
    early, late = (
        made[1] for made in blended(SurfaceBlending(0.8, 20, CELLS), frames_of([body(30, 30)] * 2), clean, 0, 19)
    )
    assert (late - clean[1]).std() < 0.6 * (early - clean[1]).std()


def test_wrong_strengths_are_refused() -> None:
    with pytest.raises(UsageError, match="blending strength"):
        SurfaceBlending(1.0, 2, CELLS)


def test_the_estimate_that_is_changed_is_the_one_that_is_reached() -> None:
    """Replacing every clean estimate by one picture ends in that picture."""
    scheduler, goal = make_scheduler(ScheduleOptions()), torch.randn(1, 4, 3, 3)
    noise = torch.randn(1, 4, 3, 3)
    made = denoise(
        lambda latents, _: latents * 0, noise, scheduler, 4, 1.0, StepBlending(clean=lambda clean, _: goal.clone())
    )
    assert torch.allclose(made, goal, atol=0.05)
    scheduler.set_timesteps(4)
    signals = [signal_after(scheduler, int(t)) for t in scheduler.timesteps]
    assert signals == sorted(signals)
    assert signals[-1] == pytest.approx(1, abs=1e-3)
