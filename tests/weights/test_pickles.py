"""Weights files are data: arrays are read, code never runs."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.pickles import read_tensors


class Evil:
    """An object whose pickle creates a file when Python's own unpickler loads it."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch hacked",)


class Indirect:
    """The same through a harmless-looking function: numpy's own pickle loader."""

    def __reduce__(self) -> tuple:
        return np.load, ("hacked.npy",)


@pytest.mark.parametrize("evil", [Evil(), Indirect()])
@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".bin"])
def test_a_pickle_that_runs_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, evil: object
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"model{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps({"model": {"weight": evil}}))
    else:
        torch.save({"weight": evil}, path)
    with pytest.raises(WeightsError, match=r"only arrays|is not read"):
        read_tensors(path)
    assert not (tmp_path / "hacked").exists()


def test_the_evil_pickle_really_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "hacked").exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_pickle_of_arrays_is_read(tmp_path: Path, protocol: int, wrapped: bool) -> None:
    arrays = OrderedDict(weight=np.arange(6, dtype=np.float32).reshape(2, 3), bias=np.zeros(2))
    content = {"model": arrays, "__author__": "someone", "n": np.float64(2)} if wrapped else arrays
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    read = read_tensors(tmp_path / "model.pkl")
    assert list(read) == ["weight", "bias"]
    assert torch.equal(read["weight"], torch.arange(6.0).reshape(2, 3))
    assert read["bias"].dtype == torch.float64


@pytest.mark.parametrize("old", [True, False])
def test_torch_files_are_read_in_both_formats_and_unwrapped(tmp_path: Path, old: bool) -> None:
    state = {"state_dict": {"weight": torch.ones(2, 3)}, "epoch": 3}
    torch.save(state, tmp_path / "model.pth", _use_new_zipfile_serialization=not old)
    assert torch.equal(read_tensors(tmp_path / "model.pth")["weight"], torch.ones(2, 3))


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(3)}, tmp_path / "model.safetensors")
    assert torch.equal(read_tensors(tmp_path / "model.safetensors")["weight"], torch.ones(3))


@pytest.mark.parametrize("name", ["model.pkl", "model.pth", "model.safetensors", "model.onnx"])
@pytest.mark.parametrize(
    "content", [b"", b"<html>no weights</html>", pickle.dumps([1]), pickle.dumps({"model": 3}), b"PK\x03\x04"]
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        read_tensors(tmp_path / name)


def test_values_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": 3}, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match="something else than named tensors"):
        read_tensors(tmp_path / "model.pth")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": {"weight": "words"}}))
    with pytest.raises(WeightsError, match=r"model\.pkl is not read"):
        read_tensors(tmp_path / "model.pkl")
