"""Read and write still pictures: upright RGB in, PNG out; files that cannot be a photo are refused before decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import PictureError
from mcld_anim.core.photo_formats import formats_of, missing_plugin, read_head

MIN_SIDE = 32
"""Shortest allowed side in pixels. Parts of a smaller person cannot be told apart: DensePose's maps are 112 wide."""

MAX_PIXELS = 120_000_000
"""Largest allowed picture in pixels. Common camera modes are smaller; as RGB it takes 360 MB of memory."""

GIVE_A_PICTURE = "give a PNG, JPEG or WebP file"

WORKING_SIDE = 2048
"""Longer side in pixels to which larger pictures are scaled: a part's texture has 200 x 200 texels, a face crop 112."""


def check_picture(path: Path, what: str = "picture") -> None:
    """Refuse what `read_picture` would refuse, from the header alone."""
    with _open(path, what) as image:
        _check_size(image, path, what)


def read_picture(path: Path, what: str = "picture") -> Picture:
    """The picture in `path`: uint8 (H, W, 3) RGB in 0..255, upright, its longer side at most `WORKING_SIDE`.

    Transparent pixels are composited on white. `what` is the option's name in error messages.
    """
    with _open(path, what) as image:
        _check_size(image, path, what)
        image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # JPEG: decode at reduced size where that suffices
        try:
            upright = ImageOps.exif_transpose(image)
            picture = _as_rgb(upright)
        except Exception as error:  # decoders raise many error types on damaged files
            reason = " ".join(str(error).split())
            raise PictureError(f"{what} {path} is damaged ({reason}): save it again as PNG or JPEG") from error
    if max(picture.size) > WORKING_SIDE:
        picture.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def write_picture(path: Path, picture: Picture) -> None:
    """Write uint8 (H, W, 3) RGB as PNG."""
    Image.fromarray(picture).save(path, format="PNG")


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
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{what} {path} has {width}x{height} pixels, more than the {MAX_PIXELS // 10**6} million "
            f"that are read: scale it down, {WORKING_SIDE} pixels on the longer side are enough"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB: 16-bit grey is scaled (Pillow would clip it), transparency composited on white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = (np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")
