"""Weights files made to do harm: refused in a sentence, by a process that stays alive and small."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from mcld_anim.weights.pickles import read_tensors

PLAIN = (3, "<", None, None, None, -1, -1, 0)
OBJECTS = (3, "|", None, None, None, -1, -1, 63)


def value(content: object) -> bytes:
    """The opcodes of a plain value."""
    return pickle.dumps(content, 2)[2:-1]


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def kind(code: str, state: tuple[object, ...] = PLAIN) -> bytes:
    return named("numpy", "dtype") + value(code) + b"\x89\x88\x87R" + value(state) + b"b"


def empty(shape: tuple[int, ...] = (0,), code: bytes = b"b") -> bytes:
    rebuild = named("numpy.core.multiarray", "_reconstruct") + named("numpy", "ndarray")
    return rebuild + value(shape) + b"C\x01" + code + b"\x87R"


def zeros(count: int) -> bytes:
    return b"B" + struct.pack("<I", count) + bytes(count)


def array(shape: tuple[int, ...], code: bytes, content: bytes) -> bytes:
    return empty() + b"(K\x01" + value(shape) + code + b"\x89" + content + b"tb"


def weights(*arrays: bytes) -> bytes:
    """A pickle with these arrays."""
    items = b"".join(value(f"w{number}") + one + b"s" for number, one in enumerate(arrays))
    return b"\x80\x02}" + items + b"."


MEGABYTE = zeros(1 << 20) + b"q\xf0"
FIRST, AGAIN = (array((1 << 18,), kind("f4"), content) for content in (MEGABYTE, b"h\xf0"))

PICKLES = {
    "objects": weights(array((3,), kind("O8", OBJECTS), value([1, 2, 3]))),
    "addresses": weights(array((1,), kind("O8", (3, "|", None, None, None, 8, 8, 0)), b"B\x08\0\0\0" + b"A" * 8)),
    "false fields": weights(array((1,), kind("V8", (3, "<", None, ("a",), {"a": (1, 2)}, 8, 1, 0)), zeros(8))),
    "compound": weights(array((1,), kind("f4", (3, "<", (1, (9,)), None, None, 8, 1, 0)), zeros(4))),
    "an object alone": weights(named("numpy.core.multiarray", "scalar") + kind("O8", OBJECTS) + zeros(8) + b"\x86R"),
    "too few bytes": weights(array((1_000_000,), kind("f4"), zeros(8))),
    "no bytes": weights(empty((750_000_000,), b"f")),
    "a negative side": weights(array((-2,), kind("f4"), zeros(8))),
    "sides that overflow": weights(array((2**62, 4), kind("f4"), zeros(0))),
    "3 GB of one": weights(FIRST, *[AGAIN] * 3000),
    "a memo of 4 GB": b"\x80\x02}r\xff\xff\xff\x1f.",
    "a deep key": b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.",
    "a deep list": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "a frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.",
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc",
    "another codec": weights(named("_codecs", "encode") + value("x" * 1000) + value("punycode") + b"\x86R"),
    "a changed function": weights(named("numpy", "dtype") + value({"a": 1}) + b"b"),
    "stack underflow": b"\x80\x02s.",
}

READ_ALL = """
import sys
from pathlib import Path
import torch
from mcld_anim.core.device import peak_memory_bytes
from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.pickles import read_tensors
cpu = torch.device("cpu")
begin = peak_memory_bytes(cpu)["main"]
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, flush=True)
    try:
        tensors = read_tensors(path)
    except WeightsError as error:
        assert path.name in str(error) and "\\n" not in str(error) and len(str(error)) < 600, error
    else:
        raise SystemExit(f"{path.name} was read: {list(tensors)[:3]}")
print("grown by", (peak_memory_bytes(cpu)["main"] - begin) >> 20)
"""


def save_torch_files(folder: Path) -> None:
    """Files in torch's format that are no plain tensors, or grow."""
    torch.save({"w": torch.zeros(1).expand(750_000_000)}, folder / "repeated.pth")
    state = {"w": torch.zeros(1).expand(750_000_000)}
    torch.save(state, folder / "repeated_old.pth", _use_new_zipfile_serialization=False)
    torch.save({"w": torch.eye(3).to_sparse()}, folder / "sparse.pth")
    torch.save({"w": torch.zeros(3, device="meta")}, folder / "meta.pth")
    torch.save({"w": torch.zeros(3, dtype=torch.complex64)}, folder / "complex.pth")
    torch.save({"w": torch.zeros(1_000_000)}, folder / "whole.pth")
    deep = b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns."
    with zipfile.ZipFile(folder / "whole.pth") as whole:
        with zipfile.ZipFile(folder / "compressed.pth", "w", zipfile.ZIP_DEFLATED) as made:
            for name in whole.namelist():
                made.writestr(name, whole.read(name))
        with zipfile.ZipFile(folder / "deep.pth", "w") as made:
            for name in whole.namelist():
                made.writestr(name, deep if name.endswith("data.pkl") else whole.read(name))
    (folder / "whole.pth").unlink()
    (folder / "deep_old.pth").write_bytes(deep)


def test_hostile_weights_are_refused_and_the_process_lives(tmp_path: Path) -> None:
    for name, content in PICKLES.items():
        (tmp_path / f"{name}.pkl").write_bytes(content)
    save_torch_files(tmp_path)
    header = b'{"w":{"dtype":"F32","shape":[999999999],"data_offsets":[0,3999999996]}}'
    (tmp_path / "claims.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{done.returncode} after {done.stdout.splitlines()[-1:]}: {done.stderr[-2000:]}"
    *names, last = done.stdout.splitlines()
    assert len(names) == len(list(tmp_path.iterdir())) == len(PICKLES) + 9
    assert int(last.split()[-1]) < 300  # MB; each would take gigabytes


def test_what_these_files_imitate_is_read(tmp_path: Path) -> None:
    """The opcodes above are those of real arrays, so that a refusal is not one of a typing error."""
    of_python_2 = array((2,), kind("f4"), b"U\x08\x00\x00\x80\x3f\x00\x00\x00\xc0")
    (tmp_path / "a.pkl").write_bytes(weights(array((2, 3), kind("f4"), zeros(24)), FIRST, AGAIN, of_python_2))
    read = read_tensors(tmp_path / "a.pkl")
    assert [tuple(one.shape) for one in read.values()] == [(2, 3), (1 << 18,), (1 << 18,), (2,)]
    assert read["w3"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_kind_of_array_is_read_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    plain = np.arange(12).reshape(3, 4)
    arrays = {code: plain.astype(code) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?", ">f4", ">i8")}
    arrays |= {"turned": np.asfortranarray(plain.astype("f4")), "none": np.zeros((0, 3)), "one": np.float32(2.5)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": OrderedDict(arrays)}, protocol))
    read = read_tensors(tmp_path / "a.pkl")
    assert list(read) == list(arrays)
    for name, told in arrays.items():
        assert np.array_equal(read[name].numpy(), told), name
        assert read[name].numpy().dtype == np.asarray(told).dtype.newbyteorder("=")
