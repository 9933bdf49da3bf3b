"""The version of this program, as in `pyproject.toml`, and those of packages."""

from __future__ import annotations

from collections.abc import Iterable

__version__ = "0.1.0"


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of these packages, as far as they are installed under these names."""
    from importlib.metadata import PackageNotFoundError, version  # not for `mcld-anim --help`

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # another build of the same module, such as opencv-python, has another name
    return found
