"""Arrays on disk (.npy, .npz) as data: no pickled objects, no more bytes than a limit, and one error for any damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcld_anim.core.archives import check_members, open_archive
from mcld_anim.core.bounded_files import check_regular
from mcld_anim.core.errors import InputError, reason_of

MOST_BYTES = 2_000_000_000
"""Most bytes of the arrays of a .npz; a prepared person has about 10 MB."""


def mapped_array(path: Path) -> np.ndarray:
    """The array of a .npy file, read from disk where it is used. Raises InputError."""
    try:
        check_regular(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged file raises almost anything
        raise _damaged(path, error) from error


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name; only `names` if some are given. Raises InputError."""
    try:
        check_regular(path)
        with open_archive(path) as archive:
            check_members(archive.infolist(), MOST_BYTES)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names or arrays.files}
    except Exception as error:  # as above
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is no file of arrays, or damaged ({reason_of(error)}): remove it and make it again")
