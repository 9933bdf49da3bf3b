"""Checks of the machine and of what every run needs: Python, memory, disk, torch and its device, FFmpeg's codecs."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator

from mcld_anim.health.findings import Finding
from mcld_anim.weights.store import NO_HOME, has_models_folder, models_folder

MIN_MEMORY = 2e9
"""Available memory in bytes below which a run may fail; the embedded model needs about 1.5 GB."""
TORCH = "'torch>=2.13,<2.14'"
REINSTALL = "pip install --force-reinstall mcld-anim"

ENCODERS = ("libx264", "aac")
DECODERS = ("h264", "hevc", "vp9", "av1")


def check_system() -> Iterator[Finding]:
    """Python, operating system, memory and disk."""
    import psutil

    yield Finding("system", "python", "ok", f"{platform.python_version()} on {platform.platform()}")
    memory = psutil.virtual_memory()
    text = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB available"
    if memory.available < MIN_MEMORY:
        remedy = "end other programs, or lower --batch-size"
        yield Finding("system", "memory", "bad", text, remedy)
    else:
        yield Finding("system", "memory", "ok", text)
    if not has_models_folder():
        yield Finding("system", "models folder", "note", NO_HOME)
        return
    folder = models_folder()
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    free = shutil.disk_usage(place).free / 1e9
    yield Finding("system", "models folder", "ok", f"{folder}, {free:.1f} GB free")


def check_torch() -> Iterator[Finding]:
    """torch, the device and dtype that `auto` chooses, and whether a GPU is unused."""
    import torch

    from mcld_anim.core.device import choose_device, choose_dtype

    version = torch.__version__
    if version.split(".")[:2] != ["2", "13"]:
        yield Finding("torch", "torch", "bad", f"{version}, tested is 2.13", f"pip install {TORCH}")
    else:
        yield Finding("torch", "torch", "ok", version)
    device = choose_device("auto")
    text = f"{device} in {str(choose_dtype('auto', device)).removeprefix('torch.')}"
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        text = f"{torch.cuda.get_device_name(device)} ({memory / 1e9:.0f} GB), {text}"
    if device.type == "cpu" and has_nvidia_gpu():
        remedy = f"pip install --force-reinstall {TORCH}" if torch.version.cuda is None else "update the NVIDIA driver"
        yield Finding("torch", "device", "bad", f"{text}: there is a GPU, but torch does not see it", remedy)
    else:
        yield Finding("torch", "device", "ok", text)


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is installed."""
    return shutil.which("nvidia-smi") is not None


def check_codecs() -> Iterator[Finding]:
    """What PyAV's FFmpeg can read and write."""
    from mcld_anim.video.container import pyav

    av = pyav()
    yield Finding("video", "av", "ok", f"PyAV {av.__version__}")
    for kind, mode, names in (("encoder", "w", ENCODERS), ("decoder", "r", DECODERS)):
        missing = [name for name in names if not _has_codec(name, mode)]
        if not missing:
            yield Finding("video", f"{kind}s", "ok", ", ".join(names))
        else:
            needed = bool({"libx264", "h264"} & set(missing))
            remedy = "pip install --force-reinstall --no-deps av"
            yield Finding("video", f"{kind}s", "bad", f"missing: {', '.join(missing)}", remedy, blocks=needed)


def _has_codec(name: str, mode: str) -> bool:
    from mcld_anim.video.container import pyav

    try:
        pyav().codec.Codec(name, mode)
    except Exception:  # FFmpeg's own error types
        return False
    return True
