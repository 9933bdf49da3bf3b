"""Photos are told from everything else by their content; formats that need a package name it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld_anim.core import photo_formats
from mcld_anim.core.errors import PictureError
from mcld_anim.core.photo_formats import is_photo
from mcld_anim.core.pictures import check_picture, read_picture

SAMPLES = Path(__file__).parents[2] / "samples"
HEIC_HEAD = b"\0\0\0\x24ftypheic\0\0\0\0mif1heic"
JXL_HEAD = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "


@pytest.mark.parametrize("name", ["p.png", "p.jfif", "p.mp4", "p", "p.zip"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
def test_a_photo_is_one_under_any_name(tmp_path: Path, name: str, kind: str) -> None:
    picture = Image.new("RGB", (40, 40), (90, 120, 200))
    picture.save(tmp_path / name, kind)
    assert is_photo(tmp_path / name)
    assert read_picture(tmp_path / name).mean((0, 1)) == pytest.approx((90, 120, 200), abs=8)  # GIF has 216 colours


@pytest.mark.parametrize(("kind", "still"), [("GIF", False), ("PNG", False), ("WEBP", False), ("TIFF", True)])
def test_animations_are_no_photos_but_pages_are(tmp_path: Path, kind: str, still: bool) -> None:
    frames = [Image.new("RGB", (40, 40), (level, 0, 0)) for level in (0, 120, 240)]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    assert is_photo(tmp_path / "a") is still


def test_a_pair_of_pictures_is_a_photo(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=[second])
    assert is_photo(tmp_path / "a.mpo")
    assert read_picture(tmp_path / "a.mpo").mean((0, 1)) == pytest.approx((254, 0, 0), abs=2)


def test_everything_else_is_none(tmp_path: Path) -> None:
    for name, content in (("video.png", (SAMPLES / "dance.mp4").read_bytes()), ("text.jpg", b"text"), ("e.png", b"")):
        (tmp_path / name).write_bytes(content)
        assert not is_photo(tmp_path / name)
    (tmp_path / "mpeg.mpg").write_bytes(b"\0\0\x01\xb3" + bytes(60))  # Pillow opens an MPEG as a picture
    (tmp_path / "page.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n")  # and runs Ghostscript
    for name in ("mpeg.mpg", "page.eps"):
        assert not is_photo(tmp_path / name)
        with pytest.raises(PictureError, match="is not a picture"):
            check_picture(tmp_path / name)
    assert not is_photo(tmp_path)
    assert not is_photo(tmp_path / "none.jpg")


@pytest.fixture
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the packages for HEIC and JPEG XL."""
    monkeypatch.setattr(photo_formats, "_registered", lambda plugin: False)
    monkeypatch.setattr(Image, "OPEN", {key: value for key, value in Image.OPEN.items() if key not in ("HEIF", "JXL")})


@pytest.mark.parametrize(("head", "extra"), [(HEIC_HEAD, "heic"), (JXL_HEAD, "jxl"), (b"\xff\x0a\xfa", "jxl")])
def test_a_missing_package_is_named_in_one_line(tmp_path: Path, without_plugins: None, head: bytes, extra: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(head + bytes(100))
    assert is_photo(tmp_path / "photo.jpg")
    with pytest.raises(PictureError) as caught:
        check_picture(tmp_path / "photo.jpg", "--source")
    assert f"pip install 'mcld-anim[{extra}]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def save_heic(path: Path, picture: Image.Image) -> None:
    importlib.import_module("pillow_heif").from_pillow(picture).save(path, quality=90)


def save_jxl(path: Path, picture: Image.Image) -> None:
    importlib.import_module("pillow_jxl")
    picture.save(path, "JXL", quality=95)


@pytest.mark.parametrize("save", [save_heic, save_jxl])
def test_phones_and_new_formats_open_with_their_package(
    tmp_path: Path, save: Callable[[Path, Image.Image], None]
) -> None:
    """IMG_0001.jpg, as messengers rename what iPhones make."""
    original = Image.open(SAMPLES / "person.png").convert("RGB")
    save(tmp_path / "photo", original)
    (tmp_path / "photo").rename(tmp_path / "IMG_0001.jpg")
    assert is_photo(tmp_path / "IMG_0001.jpg")
    read = read_picture(tmp_path / "IMG_0001.jpg")
    assert read.shape == np.asarray(original).shape
    assert np.abs(read.astype(int) - np.asarray(original)).mean() < 3


def test_the_colours_of_a_heic_are_applied(tmp_path: Path) -> None:
    heif = importlib.import_module("pillow_heif").from_pillow(Image.new("RGB", (64, 64), (255, 0, 0)))
    heif.save(tmp_path / "a.heic", quality=95, chroma=444, color_primaries=12, transfer_characteristics=13)
    assert Image.open(tmp_path / "a.heic").info["nclx_profile"]["color_primaries"] == 12
    assert read_picture(tmp_path / "a.heic").mean((0, 1)) == pytest.approx((255, 0, 0), abs=3)  # red beyond sRGB
    heif = importlib.import_module("pillow_heif").from_pillow(Image.new("RGB", (64, 64), (200, 120, 110)))
    heif.save(tmp_path / "b.heic", quality=95, chroma=444, color_primaries=12, transfer_characteristics=13)
    assert read_picture(tmp_path / "b.heic").mean((0, 1)) == pytest.approx(
        (213, 115, 106), abs=3
    )  # by the equations of both standards


@pytest.mark.parametrize("save", [save_heic, save_jxl])
def test_a_torn_photo_is_refused(tmp_path: Path, save: Callable[[Path, Image.Image], None]) -> None:
    save(tmp_path / "whole", Image.open(SAMPLES / "person.png").convert("RGB"))
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "torn").write_bytes(content[: len(content) // 2])
    assert is_photo(tmp_path / "torn")
    with pytest.raises(PictureError, match=r"damaged|cannot be read"):
        read_picture(tmp_path / "torn")
