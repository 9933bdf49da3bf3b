"""A small scripted module with the interface of the exports: channel orders, batches, empty pictures, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import WeightsError
from mcld_anim.pose import torchscript_backend as room
from mcld_anim.pose.backends import largest_iuv, load_pose_backend
from mcld_anim.pose.region_operators import provide_operators
from mcld_anim.pose.torchscript_backend import TorchScriptBackend
from mcld_anim.weights.published import published_model


class BlueFinder(nn.Module):
    """Detects bright pixels in the FIRST channel as one person of part 7, with U and V from the mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0).half())  # as the exports: half precision

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        bright = (image[0].float() * self.gain.float() > 128).nonzero()
        count = 1 if bright.shape[0] > 0 else 0
        boxes = torch.zeros(count, 4)
        if count:
            top, left = bright.min(0)[0].unbind()
            bottom, right = bright.max(0)[0].unbind()
            boxes[0] = torch.stack([left, top, right + 1, bottom + 1]).float()
            rois = torch.cat([torch.zeros(1, 1), boxes], 1)
            pooled = torch.ops.torchvision.roi_align(image[None].float(), rois, 1.0, 2, 2, 2, True)
            boxes = boxes[torch.ops.torchvision.nms(boxes, pooled.mean([1, 2, 3]), 0.5)]
        coarse, fine = torch.zeros(count, 2, 112, 112), torch.zeros(count, 25, 112, 112)
        coarse[:, 1], fine[:, 7] = 1.0, 1.0
        return boxes, coarse, fine, torch.full((count, 25, 112, 112), 0.5), torch.full((count, 25, 112, 112), 2.0)


@pytest.fixture(scope="module")
def module_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    provide_operators()
    path = tmp_path_factory.mktemp("module") / "small.torchscript"
    torch.jit.script(BlueFinder()).save(str(path))
    return path


def picture(channel: int, height: int = 40, width: int = 30) -> Picture:
    """A square of 10 x 8 pixels in one of red, green, blue."""
    made = np.zeros((height, width, 3), np.uint8)
    made[5:15, 3:11, channel] = 255
    return made


def test_the_person_is_painted_where_the_module_finds_it(module_file: Path) -> None:
    backend = load_pose_backend("torchscript", weights=module_file)
    red, (blue,), (tall,) = backend.estimate([picture(0), picture(2), picture(2, 90, 60)])
    assert backend.name == "torchscript"
    assert red == []  # BGR, as the exports expect: the first channel is blue
    assert blue.box == (3, 5, 11, 15)
    assert (blue.iuv[5:15, 3:11] == (7, 127, 255)).all()  # V clamped
    assert np.count_nonzero(blue.iuv[..., 0]) == 80
    assert tall.iuv.shape == (90, 60, 3)
    assert (largest_iuv(backend, picture(2)) == blue.iuv).all()


def test_the_other_channel_order_is_a_setting(module_file: Path) -> None:
    module = torch.jit.load(str(module_file)).float()
    backend = TorchScriptBackend(module, torch.device("cpu"), "RGB")
    assert [len(people) for people in backend.estimate([picture(0), picture(2)])] == [1, 0]


def test_the_pulled_module_is_taken_with_the_tables_setting(
    module_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="models pull densepose-torchscript-r101"):
        load_pose_backend("torchscript")
    model = published_model("densepose-torchscript-r50")
    folder = tmp_path / model.name
    folder.mkdir()
    (folder / "densepose.torchscript").write_bytes(module_file.read_bytes())
    monkeypatch.setattr(room, "first_pulled", lambda use: {"torchscript": model}[use])
    assert load_pose_backend("torchscript").estimate([picture(2)])[0]


def test_everybody_the_module_finds_is_given_the_largest_first() -> None:
    boxes = torch.tensor([[2.0, 3.0, 6.0, 9.0], [10.0, 4.0, 22.0, 30.0]])
    coarse, fine = torch.zeros(2, 2, 112, 112), torch.zeros(2, 25, 112, 112)
    coarse[:, 1], fine[0, 7], fine[1, 9] = 1.0, 1.0, 1.0
    uv = torch.full((2, 25, 112, 112), 0.5)
    backend = TorchScriptBackend(lambda image: (boxes, coarse, fine, uv, uv), torch.device("cpu"))
    ((large, small),) = backend.estimate([picture(0)])
    assert (large.box, small.box) == ((10, 4, 22, 30), (2, 3, 6, 9))
    assert set(np.unique(large.iuv[..., 0])) == {0, 9}
    assert set(np.unique(small.iuv[..., 0])) == {0, 7}


def test_what_is_no_such_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.torchscript").write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="is no TorchScript module"):
        load_pose_backend("torchscript", weights=tmp_path / "page.torchscript")
    with pytest.raises(WeightsError, match="is missing"):
        load_pose_backend("torchscript", weights=tmp_path / "none.torchscript")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "other.torchscript"))
    backend = TorchScriptBackend(lambda image: image, torch.device("cpu"))
    with pytest.raises(WeightsError, match="does not return boxes and four maps"):
        backend.estimate([picture(0)])
