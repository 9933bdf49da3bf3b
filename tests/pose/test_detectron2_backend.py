"""detectron2's output becomes an IUV; its weights are read without running what they hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcld_anim.errors import MissingDependencyError, WeightsError
from mcld_anim.pose.detectron2_backend import assemble_iuv, check_packages, load_weights


def maps(part: int, u: float = 0.5, v: float = 0.25, person: bool = True) -> list[torch.Tensor]:
    """Maps (1, ., 112, 112) that say the same everywhere."""
    coarse, fine = torch.zeros(1, 2, 112, 112), torch.zeros(1, 25, 112, 112)
    coarse[:, int(person)] = 1
    fine[:, part] = 1
    us, vs = torch.full((1, 25, 112, 112), 9.0), torch.full((1, 25, 112, 112), 9.0)
    us[:, part], vs[:, part] = u, v
    return [coarse, fine, us, vs]


def test_the_box_is_painted_with_truncated_corner_and_size() -> None:
    iuv = assemble_iuv((3.9, 5.2, 10.8, 9.1), *maps(7), (20, 30))
    inside = iuv[..., 0] > 0
    rows, columns = np.nonzero(inside)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 7, 3, 8)
    assert (iuv[inside] == (7, 127, 63)).all()


def test_coordinates_are_clamped_not_wrapped() -> None:
    assert (assemble_iuv((0, 0, 4, 4), *maps(1, 1.7, -0.3), (4, 4)) == (1, 255, 0)).all()


def test_the_background_is_empty_in_all_planes() -> None:
    assert not assemble_iuv((0, 0, 4, 4), *maps(5, person=False), (4, 4)).any()
    assert not assemble_iuv((0, 0, 4, 4), *maps(0), (4, 4)).any()


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((-5.0, -3.0, 4.0, 6.0), (0, 6), (0, 4)),
        ((6.0, 7.0, 30.0, 40.0), (7, 10), (6, 10)),
        ((-90.0, -90.0, 90.0, 90.0), (0, 10), (0, 10)),
        ((20.0, 20.0, 30.0, 30.0), None, None),
        ((4.0, 4.0, 4.0, 4.0), (4, 5), (4, 5)),
    ],
)
def test_what_lies_outside_the_picture_is_cut_off(
    box: tuple[float, ...], rows: tuple[int, int] | None, columns: tuple[int, int] | None
) -> None:
    inside = assemble_iuv(box, *maps(3), (10, 10))[..., 0] > 0  # type: ignore[arg-type]
    expected = np.zeros((10, 10), bool)
    if rows is not None and columns is not None:
        expected[slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(inside, expected)


def test_each_pixel_reads_the_channel_of_its_own_part() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse, fine, u, v = (torch.rand(1, c, 112, 112, generator=generator) for c in (2, 25, 25, 25))
    iuv = assemble_iuv((0, 0, 112, 112), coarse, fine, u, v, (112, 112))  # as large as the maps: no resampling
    part = fine[0].argmax(0).numpy() * (coarse[0, 1] > coarse[0, 0]).numpy()
    np.testing.assert_array_equal(iuv[..., 0], part)
    for row, column in ((0, 0), (5, 90), (77, 31), (111, 111)):
        chosen = part[row, column]
        expected = [int(plane[0, chosen, row, column] * 255) if chosen else 0 for plane in (u, v)]
        assert iuv[row, column, 1:].tolist() == expected


def test_missing_packages_name_both_install_lines() -> None:
    if importlib.util.find_spec("detectron2") and importlib.util.find_spec("densepose"):
        check_packages()
    else:
        with pytest.raises(MissingDependencyError, match=r"facebookresearch/detectron2' and .*--no-deps .*DensePose'"):
            check_packages()


def test_weights_are_loaded_strictly_but_for_computed_buffers() -> None:
    network = nn.Linear(3, 2)
    arrays = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}
    load_weights(network, arrays | {"pixel_mean": torch.ones(3)}, Path("model.pkl"))
    assert (network.weight == 1).all()
    with pytest.raises(WeightsError, match="first at bias"):
        load_weights(network, {"weight": arrays["weight"]}, Path("model.pkl"))
    with pytest.raises(WeightsError, match="first at extra"):
        load_weights(network, arrays | {"extra": torch.ones(1)}, Path("model.pkl"))
