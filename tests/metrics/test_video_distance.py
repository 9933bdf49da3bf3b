"""FVD: windows of a video, the call of the network, missing weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mcld_anim.core.errors import WeightsError
from mcld_anim.metrics.video_distance import FEATURES, SIDE, STRIDE, WINDOW, load_i3d, video_features, windows_of
from mcld_anim.weights.store import PulledFile, add_to_record


class Averages(torch.nn.Module):
    """Called as I3D is: the mean of every colour and of the first frame, as features."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        assert return_features
        assert not rescale
        assert not resize
        return torch.cat([x.mean((2, 3, 4)), x[:, :, 0].mean((2, 3))], 1)


def frames(count: int) -> list[np.ndarray]:
    return [np.full((40, 30, 3), (index, 2 * index, 0), np.uint8) for index in range(count)]


def test_windows_begin_a_stride_apart_and_are_complete() -> None:
    windows = list(windows_of(frames(WINDOW + 2 * STRIDE + 1)))
    assert [tuple(one.shape) for one in windows] == [(1, 3, WINDOW, SIDE, SIDE)] * 3
    assert [round(float((one[0, 0, 0, 0, 0] + 1) * 127.5)) for one in windows] == [0, STRIDE, 2 * STRIDE]
    assert list(windows_of(frames(WINDOW - 1))) == []
    assert video_features(lambda one: one, []).shape == (0, FEATURES)


def test_the_pulled_module_is_called_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="mcld-anim models pull i3d"):
        load_i3d()
    path = tmp_path / "i3d" / "i3d.torchscript"
    path.parent.mkdir()
    torch.jit.script(Averages()).save(str(path))
    add_to_record(path.parent, "i3d", PulledFile(path.name, path.stat().st_size, "", 0, "", "a test", {}))
    features = video_features(load_i3d(), windows_of(frames(WINDOW + STRIDE)))
    levels = (features + 1) * 127.5
    assert levels[:, 3] == pytest.approx([0, STRIDE], abs=1e-3)
    assert levels[:, 0] == pytest.approx([7.5, 7.5 + STRIDE], abs=1e-3)
    assert levels[:, 1] == pytest.approx([15, 15 + 2 * STRIDE], abs=1e-3)
