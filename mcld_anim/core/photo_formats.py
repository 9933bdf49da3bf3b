"""What a file is, by its content and never by its name: a still photo or something else; and the plugins for formats
that Pillow does not read by itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG2000", "PSD", "PPM", "HEIF", "JXL")
"""Pillow's names of the formats that are read as photos. JPEG covers MPO, the pairs of pictures of some phones. Of its
others, some run a program (EPS), some are no pictures (MPEG, HDF5), some cannot be told by their first bytes (TGA)."""

ANIMATED = frozenset({"PNG", "WEBP", "AVIF", "GIF"})
"""Formats whose further pictures are frames of an animation. Those of a TIFF, MPO or HEIC are pages, views, variants.
"""

HEAD_BYTES = 16
"""Bytes at the beginning of a file that tell its format."""

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Major brands of HEIF (ISO/IEC 23008-12, annexes B and C)."""
JXL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
"""Beginnings of JPEG XL (ISO/IEC 18181-2): a bare code stream, and a container."""


@dataclass(frozen=True)
class Plugin:
    """A format that Pillow reads with one of several packages."""

    name: str  # of the format, for people
    begins: Callable[[bytes], bool]  # whether a file with this beginning has the format
    modules: tuple[str, ...]  # the first that can be imported is used
    register: str | None  # the module's function that registers the format; None: its import does
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}, which needs a package: {self.remedy}"


PLUGINS = (
    Plugin(
        "HEIC",
        lambda head: head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS,
        ("pillow_heif", "pi_heif"),
        "register_heif_opener",
        "pip install 'mcld-anim[heic]'",
    ),
    Plugin(
        "JPEG XL",
        lambda head: head.startswith(JXL_SIGNATURES),
        ("pillow_jxl",),
        None,
        "pip install 'mcld-anim[jxl]'",
    ),
)


def is_photo(path: Path) -> bool:
    """Whether the content of a file is a still photo, perhaps damaged; False for a file that cannot be read."""
    try:
        head = read_head(path) if path.is_file() else b""  # a pipe would be waited for
    except OSError:
        return False
    formats = formats_of(head)
    if ANIMATED.intersection(formats):
        try:
            with Image.open(path, formats=formats) as image:
                return image.format not in ANIMATED or not getattr(image, "is_animated", False)
        except Exception:  # decoders raise many error types on damaged files
            return True
    return bool(formats) or missing_plugin(head) is not None


def read_head(path: Path) -> bytes:
    """The first bytes of a file, which tell its format."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def formats_of(head: bytes) -> tuple[str, ...]:
    """Pillow's names of the formats, readable here, that a file with this beginning may have; usually one or none."""
    Image.init()
    for plugin in PLUGINS:
        if plugin.begins(head):
            _registered(plugin)
    return tuple(name for name in FORMATS if name in Image.OPEN and _accepts(name, head))


def missing_plugin(head: bytes) -> Plugin | None:
    """The plugin that a file with this beginning needs and that is not installed."""
    return next((plugin for plugin in PLUGINS if plugin.begins(head) and not _registered(plugin)), None)


def _accepts(name: str, head: bytes) -> bool:
    accept = Image.OPEN[name][1]
    return accept is not None and bool(accept(head))


@cache
def _registered(plugin: Plugin) -> bool:
    """Whether Pillow has the plugin's format now."""
    for name in plugin.modules:
        try:
            module = importlib.import_module(name)
        except ImportError:  # not installed, or for another Pillow
            continue
        if plugin.register is not None:
            getattr(module, plugin.register)()
        return True
    return False
