"""Pickles of numpy arrays, read as data: numpy itself is called only for arrays whose type and size were checked.

numpy trusts the pickle of an array or of its type: a false one makes it use memory that is not the array's.
"""

from __future__ import annotations

import math
import mmap
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mcld_anim.weights.pickle_depth import check_depth

TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""Types of arrays that are read, as numpy names them: numbers and truth values, never objects."""


def read_array_pickle(path: Path, most: int) -> dict[str, np.ndarray]:
    """The arrays by name in a pickled dictionary, or in its entry "model", which have at most `most` bytes in all.

    Raises an exception of any type."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        check_depth(stream)
        stream.seek(0)
        content = _Unpickler(stream, encoding="latin1").load()
    arrays = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(arrays, dict):
        raise pickle.UnpicklingError("it holds no dictionary of arrays")
    if sum(len(told.content) for told in arrays.values() if isinstance(told, _Array)) > most:
        raise pickle.UnpicklingError(f"its arrays have more than {most} bytes")
    return {str(name): _array(told, str(name)) for name, told in arrays.items()}


class _Type:
    """What a pickle says about the type of an array."""

    __slots__ = ("name",)

    def __init__(self, name: object, *_: object) -> None:
        if name not in TYPES:
            raise pickle.UnpicklingError(f"it has an array of type {str(name)[:40]!r}, not of numbers")
        self.name = str(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """(version, byte order, and what only compound types have)."""
        if not 3 <= len(state) <= 9 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise pickle.UnpicklingError("it has an array of a compound type")
        self.name = state[1] + self.name[-2:]


class _Array:
    """What a pickle says about an array."""

    __slots__ = ("content", "order", "shape", "type")

    def __init__(self, shape: object = None, kind: object = None, content: object = b"", order: str = "C") -> None:
        if not isinstance(content, bytes | bytearray | str):  # a text is what Python 2 had for bytes
            raise pickle.UnpicklingError("it has an array whose content is no bytes")
        self.shape, self.type, self.content, self.order = shape, kind, content, order

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """(version, shape, type, whether columns come first, content)."""
        _, shape, kind, columns_first, content = state
        self.__init__(shape, kind, content, "F" if columns_first is True else "C")  # type: ignore[misc]


class _Function:
    """One of the functions that a pickle of arrays calls."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it changes a function")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it has a text in {encoding[:40]!r}")
    return text.encode("latin1")


def _functions() -> Mapping[tuple[str, str], object]:
    """What a pickle of arrays may name; new objects for each pickle."""
    found: dict[tuple[str, str], object] = {
        ("numpy", "ndarray"): _Function(lambda *_: _Array()),
        ("numpy", "dtype"): _Function(_Type),
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _Function(_encode),
        ("__builtin__", "bytes"): _Function(lambda: b""),  # of an array without numbers
    }
    for root in ("numpy.core", "numpy._core"):
        found[f"{root}.multiarray", "_reconstruct"] = _Function(lambda *_: _Array())
        found[f"{root}.multiarray", "scalar"] = _Function(lambda kind, content: _Array((), kind, content))
        found[f"{root}.numeric", "_frombuffer"] = _Function(
            lambda content, kind, shape, order: _Array(shape, kind, content, str(order))
        )
    return found


class _Unpickler(pickle.Unpickler):
    """Builds plain containers, `_Array` and `_Type`; a pickle that names anything else is refused."""

    def __init__(self, stream: mmap.mmap, encoding: str) -> None:
        super().__init__(stream, encoding=encoding)
        self._known = _functions()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it names {module}.{name}; only arrays are read from a pickle"[:160])
        return self._known[module, name]


def _array(told: object, name: str) -> np.ndarray:
    """The array, after all that the pickle says was checked."""
    if not isinstance(told, _Array) or not isinstance(told.type, _Type):
        raise pickle.UnpicklingError(f"{name[:80]!r} is no array")
    shape, kind = told.shape, np.dtype(told.type.name)
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise pickle.UnpicklingError(f"{name[:80]!r} has a shape that is none")
    content = told.content.encode("latin1") if isinstance(told.content, str) else told.content
    if len(content) != math.prod(shape) * kind.itemsize:
        raise pickle.UnpicklingError(f"{name[:80]!r} has other bytes than its shape and type need")
    flat = np.frombuffer(content, kind).astype(kind.newbyteorder("="))
    return flat.reshape(shape, order="F" if told.order == "F" else "C")
