"""Colours of photos as sRGB: embedded ICC profiles, and colours that PNG, HEIF and Exif state in numbers."""

from __future__ import annotations

import io
import struct
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms

Primaries = tuple[float, float, float, float, float, float, float, float]
"""CIE x and y of white, red, green and blue, in the order of PNG's cHRM."""

SRGB_PRIMARIES: Primaries = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # IEC 61966-2-1, D65
ADOBE_PRIMARIES: Primaries = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)  # Adobe RGB (1998), 4.3.1
P3_PRIMARIES: Primaries = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)  # SMPTE EG 432-1, D65
BT2020_PRIMARIES: Primaries = (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)  # ITU-R BT.2020-2
ADOBE_GAMMA = 563 / 256  # Adobe RGB (1998), 4.3.1.2
ADOBE_INTEROPERABILITY = "R03"
"""Exif's InteroperabilityIndex of Adobe RGB (DCF 2.0): cameras write it instead of a profile."""

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Parameters g, a, b, c, d of ICC's curve of type 3 (IEC 61966-2-1)."""
SRGB_GAMMA = 2.2
"""The exponent by which PNG's gAMA states sRGB, as 1 / 2.2 (PNG, 3rd edition, table 22)."""
SAME_GAMMA, SAME_PRIMARIES = 0.05, 0.002
"""Differences, relative and of a CIE coordinate, up to which stated colours are sRGB: numbers in files are rounded."""

CODED_PRIMARIES = {1: SRGB_PRIMARIES, 9: BT2020_PRIMARIES, 12: P3_PRIMARIES}
CODED_GAMMAS = {1: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
"""ITU-T H.273: codes of primaries and of transfer characteristics, whose None is sRGB's curve. A camera's curve (1, 6,
14, 15) is shown by it too, as browsers do."""
CODED_HDR = {16: "PQ", 18: "HLG"}

D50 = np.array([0.9642, 1.0, 0.8249])
"""White of the profile connection space (ICC.1:2022, 6.3.4.3)."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ to cone responses, for the adaptation to D50 (ICC.1:2022, annex E.3)."""

MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""ICC's name of a colour space -> Pillow's mode."""


class ProfileError(Exception):
    """A colour profile cannot be used; the text says why."""


def stated_profile(image: Image.Image, path: Path) -> bytes | None:
    """The ICC profile of the photo opened from `path`: the embedded one, else one made of what PNG, HEIF or Exif state.

    None for sRGB. Raises ProfileError if what is stated is impossible, or HDR.
    """
    coded = _png_code(path) if image.format == "PNG" else None
    if coded is not None:  # PNG, 3rd edition, 4.3: it comes before a profile
        return coded_profile(*coded)
    embedded = image.info.get("icc_profile")
    if embedded:
        return bytes(embedded)
    if nclx := image.info.get("nclx_profile"):  # of HEIF
        return coded_profile(nclx["color_primaries"], nclx["transfer_characteristics"])
    if _interoperability(image) == ADOBE_INTEROPERABILITY:
        return matrix_profile(ADOBE_PRIMARIES, ADOBE_GAMMA)
    if "srgb" in image.info or not {"gamma", "chromaticity"} & image.info.keys():
        return None
    gamma = 1 / (image.info.get("gamma") or 1 / SRGB_GAMMA)
    primaries = image.info.get("chromaticity") or SRGB_PRIMARIES
    if abs(gamma / SRGB_GAMMA - 1) <= SAME_GAMMA and np.allclose(primaries, SRGB_PRIMARIES, atol=SAME_PRIMARIES):
        return None
    return matrix_profile(primaries, gamma)


def _interoperability(image: Image.Image) -> str | None:
    """The Exif interoperability index; None of a photo without one."""
    try:
        return image.getexif().get_ifd(ExifTags.IFD.Interop).get(1)
    except KeyError:  # Pillow 12, which gradio needs, of a photo without that directory
        return None


def in_srgb(colours: Image.Image, profile: bytes) -> Image.Image:
    """Colours (RGB, grey, CMYK or Lab) by a profile as sRGB, mode RGB, relative colorimetric. Raises ProfileError."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        if colours.mode == "L" and space == "RGB":  # as some programs write grey pictures
            colours = colours.convert("RGB")
        if colours.mode != MODES.get(space):
            raise ProfileError(f"it describes {space} in a picture of mode {colours.mode}")
        made = ImageCms.profileToProfile(colours, opened, _srgb(), ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(" ".join(str(error).split())) from error
    assert made is not None  # None for changes in place
    return made


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of ITU-T H.273's codes; None for sRGB, and for codes that are not known."""
    if transfer in CODED_HDR:
        raise ProfileError(f"it is {CODED_HDR[transfer]}, high dynamic range")
    if primaries not in CODED_PRIMARIES or transfer not in CODED_GAMMAS:
        return None
    gamma = CODED_GAMMAS[transfer]
    return None if (primaries, gamma) == (1, None) else matrix_profile(CODED_PRIMARIES[primaries], gamma)


def matrix_profile(primaries: Primaries, gamma: float | None) -> bytes:
    """An ICC profile (version 4) of RGB with these primaries and a power of `gamma` on each channel.

    `gamma` None is sRGB's curve. Raises ProfileError if no colours are like that.
    """
    if min(primaries[1::2]) <= 0 or not 0.1 <= (gamma or 1) <= 10:
        raise ProfileError(f"primaries {primaries} with gamma {gamma} are impossible")
    colourants = colourants_of(primaries)
    parameters = SRGB_CURVE if gamma is None else (gamma,)
    curve = b"para" + bytes(4) + struct.pack(">HH", 0 if gamma else 3, 0) + b"".join(map(_fixed, parameters))
    texts = {tag: _text(tag) for tag in ("desc", "cprt")}
    points = {"wtpt": _xyz(D50), **{f"{name}XYZ": _xyz(colourants[:, place]) for place, name in enumerate("rgb")}}
    tags = {**texts, **points, **dict.fromkeys(("rTRC", "gTRC", "bTRC"), curve)}
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name.encode() + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4xI", 128 + len(body), 0x04000000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return head + bytes(28) + _xyz(D50)[8:] + bytes(48) + body


@cache
def lab_profile() -> bytes:
    """The profile of CIE Lab with the white D50, as TIFF holds it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB", 5003)).tobytes()


def colourants_of(primaries: Primaries) -> np.ndarray:
    """(3, 3): columns are XYZ of red, green and blue, adapted to D50; they add up to it."""
    x, y = np.array(primaries).reshape(4, 2).T
    white, *_ = xyz = (np.array([x, y, 1 - x - y]) / y).T
    rgb = xyz[1:].T
    if abs(np.linalg.det(rgb)) < 1e-6:
        raise ProfileError(f"primaries {primaries} lie on one line")
    rgb = rgb * np.linalg.solve(rgb, white)
    gains = (BRADFORD @ D50) / (BRADFORD @ white)
    return np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ rgb


def _png_code(path: Path) -> tuple[int, int] | None:
    """Primaries and transfer characteristics of a PNG's cICP, which Pillow does not read."""
    with path.open("rb") as file:
        file.seek(8)
        while len(start := file.read(8)) == 8 and start[4:] not in (b"IDAT", b"IEND"):
            if start[4:] == b"cICP":
                primaries, transfer = file.read(2).ljust(2, b"\0")
                return primaries, transfer
            file.seek(int.from_bytes(start[:4], "big") + 4, 1)  # the content and its checksum
    return None


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in values)


def _fixed(value: float) -> bytes:
    """A signed number with 16 bits after the point."""
    return struct.pack(">i", round(float(value) * 65536))


def _text(text: str) -> bytes:
    """Text for a tag, in US English."""
    content = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(content), 28) + content


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
