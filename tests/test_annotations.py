"""While tests run, arguments and results are checked against their annotations (addopts in pyproject.toml)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from mcld_anim.background.matte import person_alpha
from mcld_anim.cli import main
from mcld_anim.core.pixels import to_signed


def test_an_array_of_another_dtype_is_refused() -> None:
    with pytest.raises(TypeCheckError, match=r"parameters of mcld_anim\.core\.pixels\.to_signed"):
        to_signed(torch.zeros((2, 3), dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 4), (9, 9, 3)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    person_alpha(np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(TypeCheckError, match=r"parameters of mcld_anim\.background\.matte\.person_alpha"):
        person_alpha(np.zeros((8, 9, 3), np.uint8), np.zeros(shape, np.uint8))


def test_packages_beside_the_main_folder_are_checked_too() -> None:
    with pytest.raises(TypeCheckError, match=r"parameters of mcld_anim\.cli\.main\._show_version"):
        main._show_version("yes")  # type: ignore[arg-type]
