"""Colour profiles of photos are applied: each stored picture has the colours of the sample it was made from."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mcld_anim.background.backdrop import from_file
from mcld_anim.core.colour_profiles import ADOBE_GAMMA, ADOBE_PRIMARIES, SRGB_PRIMARIES, colourants_of, matrix_profile
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import read_picture

SAMPLE = Path(__file__).parents[2] / "samples" / "person.png"
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""IEC 61966-2-1, D65."""
XYZ_TO_ADOBE = np.array([[2.04159, -0.56501, -0.34473], [-0.96924, 1.87597, 0.04156], [0.01344, -0.11836, 1.01517]])
"""Adobe RGB (1998), 4.3.5.3, D65."""
ADOBE = matrix_profile(ADOBE_PRIMARIES, ADOBE_GAMMA)


def linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in 0..255 -> linear light in 0..1."""
    share = srgb / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 -> sRGB in 0..255."""
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055)


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return np.asarray(Image.open(SAMPLE).convert("RGB"))


@pytest.fixture(scope="module")
def adobe(sample: np.ndarray) -> Image.Image:
    """The sample as Adobe RGB, by the two standards' equations."""
    light = (linear(sample) @ SRGB_TO_XYZ.T @ XYZ_TO_ADOBE.T).clip(0, 1)
    return Image.fromarray(np.rint(255 * light ** (1 / ADOBE_GAMMA)).astype(np.uint8))


def check_same(read: np.ndarray, sample: np.ndarray, most: int = 2) -> None:
    difference = np.abs(read.astype(int) - sample)
    assert difference.max() <= most
    assert difference.mean() < most / 20


def test_primaries_give_the_published_colourants() -> None:
    published = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
    assert colourants_of(ADOBE_PRIMARIES) == pytest.approx(np.array(published), abs=1e-4)  # Adobe RGB (1998), annex C


def test_an_adobe_picture_differs_from_what_it_shows(adobe: Image.Image, sample: np.ndarray) -> None:
    assert np.abs(np.asarray(adobe).astype(int) - sample).max() > 20  # else the tests below could not fail


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "RGBA", "P"])
def test_an_embedded_profile_is_applied(tmp_path: Path, adobe: Image.Image, sample: np.ndarray, kind: str) -> None:
    if kind == "RGBA":
        adobe = adobe.copy()
        adobe.putalpha(255)
    if kind == "P":  # fewer colours, which are converted by the equations
        adobe = adobe.quantize(256)
        sample = np.asarray(adobe.convert("RGB"))
        light = (sample / 255) ** ADOBE_GAMMA @ np.linalg.inv(SRGB_TO_XYZ.T @ XYZ_TO_ADOBE.T)
        sample = np.rint(encoded(light.clip(0, 1))).astype(np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {}
    adobe.save(tmp_path / "a", "PNG" if kind in ("RGBA", "P") else kind, icc_profile=ADOBE, **options)
    check_same(read_picture(tmp_path / "a"), sample)


def test_the_profile_of_a_jpeg_is_applied(tmp_path: Path, adobe: Image.Image, sample: np.ndarray) -> None:
    adobe.save(tmp_path / "a.jpg", quality=98, subsampling=0, icc_profile=ADOBE)
    assert np.abs(read_picture(tmp_path / "a.jpg").astype(int) - sample).mean() < 0.8  # without a profile 1.6
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png", icc_profile=ADOBE)
    assert np.array_equal(read_picture(tmp_path / "a.jpg"), read_picture(tmp_path / "a.png"))


def test_a_camera_that_names_adobe_rgb_in_exif_only(tmp_path: Path, adobe: Image.Image, sample: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down as well
    exif[0x8769] = {0xA005: {1: "R03", 2: b"0100"}, 0xA001: 0xFFFF}
    adobe.rotate(180).save(tmp_path / "_MG_0001.png", exif=exif)
    check_same(read_picture(tmp_path / "_MG_0001.png"), sample)


def test_srgb_stays_as_it_is(tmp_path: Path, sample: np.ndarray) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(sample).save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(read_picture(tmp_path / "a.png"), sample)
    sides = ((b"gAMA", struct.pack(">I", 45455)), (b"cHRM", primaries_chunk(SRGB_PRIMARIES)))
    write_png(tmp_path / "b.png", sample, *sides)
    assert np.array_equal(read_picture(tmp_path / "b.png"), sample)
    write_png(tmp_path / "c.png", sample, (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\1"))  # sRGB wins
    assert np.array_equal(read_picture(tmp_path / "c.png"), sample)


def primaries_chunk(primaries: tuple[float, ...]) -> bytes:
    return struct.pack(">8I", *(round(value * 100_000) for value in primaries))


def write_png(path: Path, picture: np.ndarray, *chunks: tuple[bytes, bytes]) -> None:
    """A PNG with more chunks, (name, content), behind its header."""
    Image.fromarray(picture).save(path)
    content = path.read_bytes()
    more = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path.write_bytes(content[:33] + more + content[33:])


def test_primaries_and_gamma_of_a_png(tmp_path: Path, adobe: Image.Image, sample: np.ndarray) -> None:
    gamma = struct.pack(">I", round(100_000 / ADOBE_GAMMA))
    write_png(tmp_path / "a.png", np.asarray(adobe), (b"cHRM", primaries_chunk(ADOBE_PRIMARIES)), (b"gAMA", gamma))
    check_same(read_picture(tmp_path / "a.png"), sample)
    write_png(tmp_path / "b.png", np.rint(linear(sample) * 255).astype(np.uint8), (b"gAMA", struct.pack(">I", 100_000)))
    bright = sample.min(-1) > 100  # 8 bits of linear light resolve no shadows
    check_same(read_picture(tmp_path / "b.png")[bright], sample[bright], 3)


P3_TO_XYZ = np.array([[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]])
"""SMPTE EG 432-1, D65."""


def test_the_code_of_a_png(tmp_path: Path, sample: np.ndarray) -> None:
    light = (linear(sample) @ SRGB_TO_XYZ.T @ np.linalg.inv(P3_TO_XYZ).T).clip(0, 1)
    stored = np.rint(encoded(light)).astype(np.uint8)
    assert np.abs(stored.astype(int) - sample).max() > 10
    write_png(tmp_path / "a.png", stored, (b"cICP", bytes([12, 13, 0, 1])))
    check_same(read_picture(tmp_path / "a.png"), sample)
    write_png(tmp_path / "b.png", sample, (b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100_000)))
    assert np.array_equal(read_picture(tmp_path / "b.png"), sample)


def icc(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of another colour space."""
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"t\0" + bytes(78), **tags}
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4xI", 128 + len(body), 0x02400000) + kind + space + connection + bytes(12) + b"acsp"
    return head + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + body


GREY_18 = icc(
    *(b"GRAY", b"XYZ "),
    {
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)),
    },
)
"""Grey with a gamma of 1.8, as of old Macintoshes."""


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_pictures_have_profiles_too(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (40, 1))
    picture = Image.fromarray(ramp.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(ramp).convert(mode)
    picture.save(tmp_path / "a.png", icc_profile=GREY_18)
    expected = encoded((np.arange(256) / 255) ** 1.8)
    assert np.abs(read_picture(tmp_path / "a.png")[0] - expected[:, None]).max() < 1.6


def test_grey_with_a_profile_of_colours(tmp_path: Path) -> None:
    Image.new("L", (40, 40), 100).save(tmp_path / "a.jpg", quality=100, icc_profile=ADOBE)
    expected = encoded(np.array((100 / 255) ** ADOBE_GAMMA))
    assert read_picture(tmp_path / "a.jpg").mean((0, 1)) == pytest.approx([expected] * 3, abs=1)


def grey_inks() -> bytes:
    """A press whose inks are grey: every one alone gives L* = 50, two give 25, black gives 0."""
    ramp = bytes(range(256))
    inks = [sum(int(bit) for bit in f"{corner:04b}"[:3]) for corner in range(16)]
    lightness = [0 if corner & 1 else round(255 * 0.5**count) for corner, count in enumerate(inks)]
    grid = b"".join(bytes([value, 128, 128]) for value in lightness)
    identity = struct.pack(">9i", *(65536 if place % 4 == 0 else 0 for place in range(9)))
    return icc(b"CMYK", b"Lab ", {b"A2B0": b"mft1" + bytes(4) + b"\4\3\2\0" + identity + ramp * 4 + grid + ramp * 3})


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_inks_are_those_of_the_profile(tmp_path: Path, kind: str) -> None:
    picture = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
    picture.paste((0, 0, 0, 0), (32, 0, 64, 64))
    picture.save(tmp_path / "a", kind, icc_profile=grey_inks(), **({"quality": 100} if kind == "JPEG" else {}))
    read = read_picture(tmp_path / "a")
    # L* = 50 is the luminance 0.1842 (CIE 15), sRGB 119; without the profile cyan would be (0, 255, 255)
    assert read[:, :24].mean((0, 1)) == pytest.approx((119, 119, 119), abs=2)
    assert read[:, 40:].mean((0, 1)) == pytest.approx((255, 255, 255), abs=2)


def test_lab_is_its_own_profile(tmp_path: Path) -> None:
    Image.new("LAB", (40, 40), (128, 128, 128)).save(tmp_path / "a.tif")  # L* = 50, a* = b* = 0
    assert read_picture(tmp_path / "a.tif").mean((0, 1)) == pytest.approx((119, 119, 119), abs=2)


BROKEN: dict[str, Callable[[Path, Image.Image], None]] = {
    "no profile": lambda path, picture: picture.save(path, icc_profile=b"no profile"),
    "cut": lambda path, picture: picture.save(path, icc_profile=ADOBE[:200]),
    "of grey": lambda path, picture: picture.save(path, icc_profile=GREY_18),
    "HDR": lambda path, picture: write_png(path, np.asarray(picture), (b"cICP", bytes([9, 16, 0, 1]))),
    "impossible": lambda path, picture: write_png(
        path, np.asarray(picture), (b"cHRM", primaries_chunk((0.3, 0.3, *[0.2] * 6)))
    ),
}


@pytest.mark.parametrize("row", BROKEN)
def test_a_broken_profile_is_told_and_left_out(tmp_path: Path, sample: np.ndarray, row: str) -> None:
    BROKEN[row](tmp_path / "a.png", Image.fromarray(sample))
    told: list[Event] = []
    assert np.array_equal(read_picture(tmp_path / "a.png", "--source", told.append), sample)
    assert [event.kind for event in told] == ["colour_profile_broken"]
    assert f"--source {tmp_path / 'a.png'}: its colour profile" in told[0].message
    assert "\n" not in told[0].message


def test_backgrounds_have_their_profile_applied(tmp_path: Path, adobe: Image.Image, sample: np.ndarray) -> None:
    adobe.save(tmp_path / "a.png", icc_profile=ADOBE)
    frames = from_file(tmp_path / "a.png", (sample.shape[0], sample.shape[1]), Fraction(1), lambda event: None)
    check_same(next(frames), sample)
