"""Blending along the surface: exact cells, no ghosts, and nothing that depends on where a batch ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.core.errors import UsageError
from mcld_anim.options.model import ScheduleOptions
from mcld_anim.sampling.denoise import denoise, signal_after
from mcld_anim.sampling.schedule import make_scheduler
from mcld_anim.sampling.surface_blending import GuidedBlending, GuidedState, fetch, same_phase, surface_link

CELLS = (12, 14)


def body(x: int, y: int, part: int = 2) -> np.ndarray:
    """IUV (96, 112, 3) of a patch of skin, 40 pixels a side, whose U, V are its own; upper left corner at x, y."""
    iuv = np.zeros((96, 112, 3), np.uint8)
    grid = np.arange(40, dtype=np.uint8) * 6
    iuv[y : y + 40, x : x + 40] = np.stack(np.broadcast_arrays(np.uint8(part), grid[None], grid[:, None]), -1)
    return iuv


def test_cells_meet_the_cells_that_showed_the_same_surface() -> None:
    link = surface_link(body(40, 32), body(24, 40), CELLS)
    person = (link.weight > 0) & (link.offset.abs().sum(-1) > 0)
    assert person.sum() >= 16  # 40 pixels are five cells
    assert torch.allclose(link.offset[person], torch.tensor([-2.0, 1.0]), atol=0.05)
    assert torch.allclose(same_phase(link.offset[person]), torch.ones(1), atol=0.15)
    assert link.weight[0, 13] == 1  # far from both
    assert not link.weight[5:10, 3].any()  # where the person has just been: no ghost
    assert not surface_link(body(40, 32, 3), body(24, 40, 2), CELLS).weight[4:8, 5:9].any()  # another part


def test_fetching_takes_whole_cells_exactly() -> None:
    latents = torch.randn(4, *CELLS, generator=torch.Generator().manual_seed(0))
    offset = torch.zeros(*CELLS, 2)
    assert torch.allclose(fetch(latents, offset), latents, atol=1e-5)
    offset[..., 0] = -2
    assert torch.allclose(fetch(latents, offset)[:, :, 2:], latents[:, :, :-2], atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), cuts=st.sets(st.integers(1, 4)), strength=st.floats(0.05, 0.95))
def test_batches_and_resuming_do_not_matter(seed: int, cuts: set[int], strength: float) -> None:
    clean = torch.randn((5, 4, *CELLS), generator=torch.Generator().manual_seed(seed))
    poses = [body(20 + 4 * k, 30 + 2 * k) for k in range(5)]
    whole = GuidedBlending(strength, 2).batch(poses, CELLS)
    expected = [whole(clean, step) for step in (0, 1)]
    assert not torch.equal(expected[0][1:], clean[1:])
    blending, made = GuidedBlending(strength, 2), []
    for begin, end in pairwise([0, *sorted(cuts), 5]):
        blend = blending.batch(poses[begin:end], CELLS)
        made.append([blend(clean[begin:end], step) for step in (0, 1)])
        blending = GuidedBlending(strength, 2, GuidedState.from_tensors(blending.state.tensors()))
    for step in (0, 1):
        assert torch.equal(torch.cat([part[step] for part in made]), expected[step])


def test_nothing_is_blended_over_a_cut() -> None:
    clean = torch.randn((4, 4, *CELLS), generator=torch.Generator().manual_seed(1))
    poses = [body(20 + 4 * k, 30) for k in range(4)]
    made = GuidedBlending(0.7, 2).batch(poses, CELLS, [False, False, True, False])(clean, 0)
    scenes = [GuidedBlending(0.7, 2).batch(poses[part], CELLS)(clean[part], 0) for part in (slice(2), slice(2, 4))]
    assert torch.equal(made, torch.cat(scenes))
    assert not torch.equal(made, GuidedBlending(0.7, 2).batch(poses, CELLS)(clean, 0))
    blending = GuidedBlending(0.7, 2)
    blending.batch(poses[:2], CELLS)(clean[:2], 0)
    assert torch.equal(blending.batch(poses[2:], CELLS, [True, False])(clean[2:], 0), scenes[1])  # at a batch's border


def test_a_moving_surface_keeps_its_look() -> None:
    """Noise on a texture that moves with the body is averaged away, because blending follows the body."""
    generator = torch.Generator().manual_seed(3)
    texture = torch.randn(4, *CELLS, generator=generator)
    truth = [torch.roll(texture, k, -1) for k in range(6)]  # one cell to the right each frame
    noisy = torch.stack([frame + 0.5 * torch.randn(frame.shape, generator=generator) for frame in truth])
    blended = GuidedBlending(0.7, 10).batch([body(16 + 8 * k, 32) for k in range(6)], CELLS)(noisy, 0)
    inside = (slice(None), slice(5, 8), slice(8, 11))
    errors = [float((frames[5][inside] - truth[5][inside]).abs().mean()) for frames in (noisy, blended)]
    assert errors[1] < 0.75 * errors[0]


def test_late_detail_is_left_alone() -> None:
    clean = torch.randn((2, 4, *CELLS), generator=torch.Generator().manual_seed(1))
    blend = GuidedBlending(0.8, 20).batch([body(30, 30)] * 2, CELLS)
    early, late = blend(clean, 0)[1], blend(clean, 19)[1]
    assert (late - clean[1]).std() < 0.6 * (early - clean[1]).std()


def test_wrong_strengths_are_refused() -> None:
    with pytest.raises(UsageError, match="blending strength"):
        GuidedBlending(1.0, 2)


def test_the_estimate_that_is_changed_is_the_one_that_is_reached() -> None:
    """Replacing every clean estimate by one picture ends in that picture."""
    scheduler, goal = make_scheduler(ScheduleOptions()), torch.randn(1, 4, 3, 3)
    noise = torch.randn(1, 4, 3, 3)
    made = denoise(lambda latents, _: latents * 0, noise, scheduler, 4, 1.0, steady=lambda clean, _: goal.clone())
    assert torch.allclose(made, goal, atol=0.05)
    scheduler.set_timesteps(4)
    signals = [signal_after(scheduler, int(t)) for t in scheduler.timesteps]
    assert signals == sorted(signals)
    assert signals[-1] == pytest.approx(1, abs=1e-3)
