"""Still pictures: every kind becomes upright 8-bit RGB, or is refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld_anim.core.errors import PictureError
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import MIN_SIDE, WORKING_SIDE, check_picture, read_picture, write_picture


@pytest.fixture
def colours() -> np.ndarray:
    """A picture (40, 60, 3) whose corners differ."""
    picture = np.full((40, 60, 3), 128, np.uint8)
    picture[:20, :30] = (255, 0, 0)
    picture[20:, 30:] = (0, 0, 255)
    return picture


def test_what_is_written_is_read(tmp_path: Path, colours: np.ndarray) -> None:
    write_picture(tmp_path / "a.png", colours)
    assert np.array_equal(read_picture(tmp_path / "a.png"), colours)


def test_damaged_exif_data_is_told_once(tmp_path: Path, colours: np.ndarray) -> None:
    entries_missing = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"
    Image.fromarray(colours).save(tmp_path / "a.jpg", exif=entries_missing)
    told: list[Event] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_picture(tmp_path / "a.jpg")
        picture = read_picture(tmp_path / "a.jpg", "source", told.append)
    assert picture.shape == colours.shape
    assert [event.kind for event in told] == ["picture_flaw"]
    assert told[0].message.startswith(f"source {tmp_path / 'a.jpg'} is read in spite of a flaw: Corrupt EXIF data")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, colours: np.ndarray, orientation: int) -> None:
    # What a camera stores so that a viewer, following EXIF 2.3 tag 0x0112, shows `colours`
    turned = {
        1: colours,
        2: colours[:, ::-1],
        3: colours[::-1, ::-1],
        4: colours[::-1],
        5: colours.transpose(1, 0, 2),
        6: np.rot90(colours, 1),
        7: colours.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(colours, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png"), colours)


def test_transparency_is_composited_on_white(tmp_path: Path, colours: np.ndarray) -> None:
    alpha = np.zeros((40, 60, 1), np.uint8)
    alpha[:20] = 255
    Image.fromarray(np.concatenate([colours, alpha], 2)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture[:20], colours[:20])
    assert (picture[20:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, colours: np.ndarray, mode: str) -> None:
    grey = Image.fromarray(colours).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = (Image.fromarray(colours) if mode in ("P", "CMYK") else grey).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    picture = read_picture(path)
    assert (picture.shape, picture.dtype) == ((40, 60, 3), np.uint8)
    if mode == "I;16":
        assert np.array_equal(picture[..., 0], np.asarray(grey))


def test_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), (9, 8, 7)).save(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg").shape == (WORKING_SIDE // 2, WORKING_SIDE, 3)


@pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE - 1, 500), (20_000, 20_000)])
def test_sizes_out_of_range_are_refused_from_the_header(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("1", size).save(tmp_path / "a.png")
    for refuse in (check_picture, read_picture):
        with pytest.raises(PictureError, match=f"{size[0]}x{size[1]} pixels"):
            refuse(tmp_path / "a.png")


def test_damage_is_reported(tmp_path: Path, colours: np.ndarray) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(colours).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(PictureError, match="damaged"):
            read_picture(tmp_path / name)
