"""Noise is a function of (seed, frame index) alone, of unit variance in every mode."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.core.errors import UsageError
from mcld_anim.sampling.noise import NoiseMode, parse_noise_mode, start_noise

MODES = (NoiseMode("shared"), NoiseMode("mixed", 0.7), NoiseMode("independent"))


@settings(deadline=None, max_examples=30)
@given(
    frames=st.lists(st.integers(0, 10**6), min_size=1, max_size=8),
    cut=st.integers(0, 8),
    seed=st.integers(0, 2**40),
    mode=st.sampled_from(MODES),
)
def test_a_frame_has_the_same_noise_in_any_batch(frames: list[int], cut: int, seed: int, mode: NoiseMode) -> None:
    whole = start_noise((2, 3, 4), seed, frames, mode)
    parts = [start_noise((2, 3, 4), seed, part, mode) for part in (frames[:cut], frames[cut:])]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_variance_is_one(mode: NoiseMode) -> None:
    noise = start_noise((4, 48, 48), 3, range(12), mode)
    assert noise.dtype == torch.float32
    assert noise.var().item() == pytest.approx(1.0, abs=0.04)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.04)


@pytest.mark.parametrize(("mode", "common"), [(MODES[0], 1.0), (NoiseMode("mixed", 1.0), 0.5), (MODES[2], 0.0)])
def test_common_share_of_the_variance(mode: NoiseMode, common: float) -> None:
    first, second = start_noise((4, 64, 64), 11, (5, 6), mode)
    assert (first * second).mean().item() == pytest.approx(common, abs=0.03)


def test_seeds_and_frames_differ() -> None:
    mode = NoiseMode("independent")
    rows = torch.stack([start_noise((500,), seed, (frame,), mode)[0] for seed in range(3) for frame in range(3)])
    off_diagonal = torch.corrcoef(rows) - torch.eye(9)
    assert off_diagonal.abs().max() < 0.2


@pytest.mark.parametrize("text", ["shared", "independent", "mixed:0.5"])
def test_modes_parse_and_print(text: str) -> None:
    assert str(parse_noise_mode(text)) == text


@pytest.mark.parametrize("text", ["", "mixed", "mixed:", "mixed:x", "mixed:0", "mixed:-1", "mixed:nan", "all"])
def test_other_modes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="shared, independent or mixed:ALPHA"):
        parse_noise_mode(text)
