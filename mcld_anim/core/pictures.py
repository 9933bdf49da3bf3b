"""Read and write still pictures: upright sRGB in, PNG out; files that cannot be a photo are refused before decoding."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mcld_anim.core.arrays import Picture
from mcld_anim.core.colour_profiles import MODES, ProfileError, in_srgb, lab_profile, stated_profile
from mcld_anim.core.errors import PictureError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.photo_formats import formats_of, missing_plugin, read_head

MIN_SIDE = 32
"""Shortest allowed side in pixels. Parts of a smaller person cannot be told apart: DensePose's maps are 112 wide."""

MAX_PIXELS = 120_000_000
"""Largest allowed picture in pixels. Common camera modes are smaller; as RGB it takes 360 MB of memory."""

MOST_ASPECT = 16
"""Longest over shortest side. Panoramas of phones have 10; a strip shows nobody, and estimators enlarge its width."""

GIVE_A_PICTURE = "give a PNG, JPEG or WebP file"

WORKING_SIDE = 2048
"""Longer side in pixels to which larger pictures are scaled: a part's texture has 200 x 200 texels, a face crop 112."""


def check_picture(path: Path, what: str = "picture") -> None:
    """Refuse what `read_picture` would refuse, from the header alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `read_picture` tells them
        with _open(path, what) as image:
            _check_size(image, path, what)


def read_picture(path: Path, what: str = "picture", on_event: EventSink = warn) -> Picture:
    """The picture in `path`: uint8 (H, W, 3) sRGB in 0..255, upright, its longer side at most `WORKING_SIDE`.

    Its colour profile is applied. Transparent pixels are composited on white. `what` is the option's name in messages.
    """
    with _with_flaws(path, what, on_event) as tell, _open(path, what) as image:
        _check_size(image, path, what)
        image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # JPEG: decode at reduced size where that suffices
        try:
            picture = _on_white(*_upright_srgb(image, path, what, tell))
        except Exception as error:  # decoders raise many error types on damaged files
            reason = " ".join(str(error).split())
            raise PictureError(f"{what} {path} is damaged ({reason}): save it again as PNG or JPEG") from error
    if max(picture.size) > WORKING_SIDE:
        picture.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def write_picture(path: Path, picture: Picture) -> None:
    """Write uint8 (H, W, 3) RGB as PNG."""
    Image.fromarray(picture).save(path, format="PNG")


@contextmanager
def _with_flaws(path: Path, what: str, on_event: EventSink) -> Iterator[EventSink]:
    """A sink whose events are told after the block, and with them what Pillow warns of, such as damaged Exif data."""
    events: list[Event] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield events.append
    reasons = dict.fromkeys(" ".join(str(one.message).split()) for one in warned)
    events += [Event("picture_flaw", f"{what} {path} is read in spite of a flaw: {reason}") for reason in reasons]
    for event in events:
        on_event(event)


def _open(path: Path, what: str) -> Image.Image:
    if not path.exists():
        raise PictureError(f"{what} {path} does not exist: check the path")
    if path.is_dir():
        raise PictureError(f"{what} {path} is a folder: give the path of one picture file")
    if not path.is_file():
        raise PictureError(f"{what} {path} is a device or a pipe: give the path of a picture file")
    limit, Image.MAX_IMAGE_PIXELS = (
        Image.MAX_IMAGE_PIXELS,
        None,
    )  # our own limit, with our own message, follows
    try:
        head = read_head(path)
        return Image.open(path, formats=formats_of(head))
    except UnidentifiedImageError:
        plugin = missing_plugin(head)
        problem = (
            f"is {plugin}, or save it as JPEG" if plugin else f"is not a picture that can be read: {GIVE_A_PICTURE}"
        )
        raise PictureError(f"{what} {path} {problem}") from None
    except Exception as error:  # as above
        reason = " ".join(str(error).split())
        raise PictureError(f"{what} {path} cannot be read ({reason}): {GIVE_A_PICTURE}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image, path: Path, what: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise PictureError(
            f"{what} {path} has {width}x{height} pixels: at least {MIN_SIDE} on each side are needed to see a person"
        )
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise PictureError(f"{what} {path} has {width}x{height} pixels, a strip in which nobody can be seen: crop it")
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{what} {path} has {width}x{height} pixels, more than the {MAX_PIXELS // 10**6} million "
            f"that are read: scale it down, {WORKING_SIDE} pixels on the longer side are enough"
        )


def _upright_srgb(
    image: Image.Image, path: Path, what: str, on_event: EventSink
) -> tuple[Image.Image, Image.Image | None]:
    """8-bit sRGB, and the alpha channel if there is transparency."""
    colours, alpha = _colours(ImageOps.exif_transpose(image))
    try:
        profile = stated_profile(image, path)
        if profile is None and colours.mode == "LAB":
            profile = lab_profile()
        if profile is not None:
            return in_srgb(colours, profile), alpha
    except ProfileError as error:
        message = f"{what} {path}: its colour profile cannot be used ({error}), so its colours are taken as sRGB"
        on_event(Event("colour_profile_broken", message))
    return colours.convert("RGB"), alpha


def _colours(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours as the file holds them, 8-bit RGB, grey, CMYK or Lab, and the alpha channel if there is transparency."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip
        grey = (np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey), None
    if image.has_transparency_data:
        layer = image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
        return layer.convert(layer.mode[:-1]), layer.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in MODES.values() else image.convert("RGB")), None


def _on_white(colours: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is None:
        return colours
    colours.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", colours.size, (255, 255, 255, 255)), colours).convert("RGB")
