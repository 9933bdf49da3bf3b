"""Blending is causal, independent of batch borders, and never mixes different surfaces."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.body.clip import ClipFrame, FramePose, clip_frames
from mcld_anim.core.errors import UsageError
from mcld_anim.sampling.neighbour_blending import (
    MIXED_CELL,
    BlendState,
    NeighbourBlending,
    blend,
    cell_codes,
    same_surface,
)


def _clip(seed: int, frames: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Random latents (F, 4, 3, 5) and cell codes with few parts, so that many cells agree."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn((frames, 4, 3, 5), generator=generator)
    parts = torch.randint(-1, 3, (frames, 1, 3, 5), generator=generator).float()
    uv = torch.randint(0, 4, (frames, 2, 3, 5), generator=generator) * 0.05
    return latents, torch.cat([parts, uv], 1)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), cuts=st.sets(st.integers(1, 5)), strength=st.floats(0.05, 0.95))
def test_batches_do_not_matter(seed: int, cuts: set[int], strength: float) -> None:
    latents, cells = _clip(seed)
    whole, _ = blend(latents, cells, BlendState(), 0, strength)
    state, parts = BlendState(), []
    edges = [0, *sorted(cuts), 6]
    for begin, end in pairwise(edges):
        part, state = blend(latents[begin:end], cells[begin:end], state, 0, strength)
        parts.append(part)
    assert torch.equal(whole, torch.cat(parts))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), strength=st.floats(0.05, 0.95))
def test_only_equal_surfaces_blend(seed: int, strength: float) -> None:
    latents, cells = _clip(seed)
    blended, _ = blend(latents, cells, BlendState(), 0, strength)
    changed = (blended != latents).any(1)
    assert not changed[0].any()
    for frame in range(1, len(latents)):
        part, before = cells[frame, 0], cells[frame - 1, 0]
        assert not changed[frame][(part != before) | (part == MIXED_CELL)].any()
        moved = ((cells[frame, 1:] - cells[frame - 1, 1:]).abs() > 0.06).any(0)
        assert not changed[frame][moved & (part > 0)].any()
    assert changed.any()


def test_a_still_clip_converges_to_its_first_frame() -> None:
    latents, cells = _clip(1, frames=40)
    cells = torch.zeros_like(cells)
    blended, _ = blend(latents, cells, BlendState(), 0, 0.9)
    assert blended[-1].std() < 0.5 * latents[-1].std()


def test_strength_zero_is_off_and_one_is_refused() -> None:
    latents, cells = _clip(2)
    same, state = blend(latents, cells, BlendState(), 0, 0.0)
    assert same is latents
    assert not state.last
    with pytest.raises(UsageError, match="blending strength"):
        blend(latents, cells, BlendState(), 0, 1.0)


def _frames(cuts: tuple[int, ...] = ()) -> tuple[torch.Tensor, list[ClipFrame]]:
    """Four frames of a surface that slides by less than a cell, with latents of 3 x 5 cells of 8 pixels."""
    latents = torch.randn((4, 4, 3, 5), generator=torch.Generator().manual_seed(4))
    iuvs = [np.full((24, 40, 3), (2, 100 + 3 * k, 90), np.uint8) for k in range(4)]
    return latents, list(clip_frames(FramePose(iuv, cut=k in cuts) for k, iuv in enumerate(iuvs)))


def _blended(clip: NeighbourBlending, frames: list[ClipFrame], latents: torch.Tensor, step: int) -> torch.Tensor:
    blend_step = clip.batch(frames).latents
    assert blend_step is not None
    return blend_step(latents, step)


def test_steps_are_kept_apart() -> None:
    latents, frames = _frames()
    clip = NeighbourBlending(0.5, (3, 5))
    _blended(clip, frames[:3], latents[:3], 0)
    _blended(clip, frames[:3], latents[:3] + 100, 1)
    after = _blended(clip, frames[3:], latents[3:], 0)
    whole = _blended(NeighbourBlending(0.5, (3, 5)), frames, latents, 0)
    assert torch.equal(after, whole[3:])
    assert not torch.equal(after, latents[3:])


def test_nothing_is_blended_over_a_cut() -> None:
    latents, frames = _frames(cuts=(2,))
    made = _blended(NeighbourBlending(0.5, (3, 5)), frames, latents, 0)
    assert not torch.equal(made[:2], latents[:2])
    assert torch.equal(made[2], latents[2])
    scenes = [
        _blended(NeighbourBlending(0.5, (3, 5)), frames[part], latents[part], 0) for part in (slice(2), slice(2, 4))
    ]
    assert torch.equal(made, torch.cat(scenes))


def test_cell_codes() -> None:
    iuv = np.zeros((16, 24, 3), np.uint8)
    iuv[:8, 8:16] = (7, 255, 51)
    iuv[8:12, 8:16] = (3, 0, 0)
    codes = cell_codes([iuv], (2, 3))
    assert codes.shape == (1, 3, 2, 3)
    assert codes[0, 0].tolist() == [[0, 7, 0], [0, MIXED_CELL, 0]]
    assert codes[0, 1:, 0, 1].tolist() == pytest.approx([1.0, 0.2])
    with pytest.raises(UsageError, match="does not divide"):
        cell_codes([iuv], (3, 3))


def test_same_surface_of_background_ignores_uv() -> None:
    cells = torch.zeros(3, 2, 2)
    cells[1:] = torch.rand(2, 2, 2)
    assert same_surface(cells, torch.zeros(3, 2, 2)).all()
