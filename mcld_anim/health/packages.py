"""Checks of installed packages: required ones, optional ones, and pairs that conflict."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from mcld_anim.health.findings import Finding
from mcld_anim.health.machine import REINSTALL

DETECTRON2 = (
    "pip install 'mcld-anim[densepose]' && pip install --no-build-isolation "
    "'git+https://github.com/facebookresearch/detectron2'"
)
OPTIONAL = {
    # module -> what it is for, and the command that installs it
    "decord": ("--background driving, faster from 6,000 frames on", "pip install 'mcld-anim[decord]'"),
    "torchvision": ("--densepose detectron2", "pip install 'mcld-anim[densepose]'"),
    "detectron2": ("--densepose detectron2", DETECTRON2),
    "densepose": (
        "--densepose detectron2",
        "pip install --no-build-isolation --no-deps "
        "'git+https://github.com/facebookresearch/detectron2#subdirectory=projects/DensePose'",
    ),
    "insightface": ("--face insightface", "pip install 'mcld-anim[face]'"),
    "onnxruntime": ("--face insightface", "pip install 'mcld-anim[face]'"),
    "dlib": ("--face dlib", "pip install 'mcld-anim[dlib]'"),
    "accelerate": ("training on several devices", "pip install 'mcld-anim[train]'"),
    "pillow_heif": ("HEIC photos", "pip install 'mcld-anim[heic]'"),
    "pillow_jxl": ("JPEG XL photos", "pip install 'mcld-anim[jxl]'"),
    "imageio_ffmpeg": ("HDR videos tone-mapped; PyAV's FFmpeg has no zscale", "pip install 'mcld-anim[ffmpeg]'"),
}
DISTRIBUTIONS = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "imageio_ffmpeg": ("imageio-ffmpeg",),
    "pillow_heif": ("pillow-heif",),
    "pillow_jxl": ("pillow-jxl-plugin",),
    "dlib": ("dlib", "dlib-bin"),
}
"""Module -> the distributions that provide it, if named differently."""

OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")
TORCHVISION_OFFSET = 15
"""Difference of minor versions: torchvision 0.(n + 15) belongs to torch 2.n, since 2.0."""


def check_required() -> Iterator[Finding]:
    """Whether every dependency is installed in an accepted version."""
    wrong = []
    try:
        needed = requires("mcld-anim") or []
    except PackageNotFoundError:
        yield Finding("packages", "mcld-anim", "bad", "is not installed as a package", "pip install .")
        return
    for line in needed:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = installed(requirement.name)
        if found is None and requirement.name in OPENCV:
            found = next((installed(name) for name in OPENCV if installed(name)), None)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found or 'is missing'} (needs {requirement.specifier})")
    if wrong:
        yield Finding("packages", "required", "bad", "; ".join(wrong), REINSTALL, blocks=True)
    else:
        yield Finding("packages", "required", "ok", f"all of mcld-anim {installed('mcld-anim')}")


def check_optional() -> Iterator[Finding]:
    """Which optional packages are installed; none of them is imported."""
    for module, (purpose, remedy) in OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            yield Finding("packages", module, "note", f"not installed ({purpose})", remedy)
        else:
            names = DISTRIBUTIONS.get(module, (module,))
            found = next((installed(name) for name in names if installed(name)), "version not known")
            yield Finding("packages", module, "ok", f"{found} ({purpose})")


def check_conflicts() -> Iterator[Finding]:
    """Pairs of packages that share a folder or must match but do not declare it."""
    if installed("onnxruntime") and installed("onnxruntime-gpu"):
        kept = "onnxruntime-gpu" if shutil.which("nvidia-smi") else "onnxruntime"
        remedy = f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install {kept}"
        text = "onnxruntime beside onnxruntime-gpu: they share a folder, and CUDA is lost"
        yield Finding("conflicts", "onnxruntime", "bad", text, remedy)
    opencv = [name for name in OPENCV if installed(name)]
    if len(opencv) > 1:
        remedy = f"pip uninstall -y {' '.join(opencv)} && pip install opencv-python-headless"
        text = f"{' beside '.join(opencv)}: they share a folder, and removing one breaks the other"
        yield Finding("conflicts", "opencv", "bad", text, remedy)
    if installed("decord") and installed("decord2"):
        remedy = "pip uninstall -y decord decord2 && pip install decord"
        yield Finding("conflicts", "decord", "bad", "decord beside decord2: both are imported as decord", remedy)
    yield from check_torchvision()


def check_torchvision() -> Iterator[Finding]:
    """Whether torchvision was built for the installed torch build; otherwise importing it fails.

    transformers imports torchvision if it is installed, and fails with it: then nothing runs (seen with torchvision
    0.28.0 from PyPI beside torch 2.13.0+cpu).
    """
    found, torch_version = installed("torchvision"), installed("torch")
    if found is None or torch_version is None:
        return
    wanted = f"0.{int(torch_version.split('.')[1]) + TORCHVISION_OFFSET}"
    remedy = f"pip install --force-reinstall --no-deps 'torchvision=={wanted}.*'"
    matches = ".".join(found.split(".")[:2]) == wanted
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # a missing operator, a library that does not load
        reason = " ".join(str(error).split())[:120]
        text = f"torchvision {found} does not load beside torch {torch_version} ({reason})"
        if matches:  # right version, built for another torch: the matching build is only on torch's own index
            remedy = "pip uninstall -y torchvision"
        yield Finding("conflicts", "torchvision", "bad", text, remedy, blocks=True)
    else:
        if not matches:
            text = f"torchvision {found} beside torch {torch_version}, which needs {wanted}"
            yield Finding("conflicts", "torchvision", "bad", text, remedy)


def installed(name: str) -> str | None:
    """The version of a distribution; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
