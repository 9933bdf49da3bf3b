"""Cases h and i: preprocessing of pictures before any network: UV texture, pose picture, CLIP input."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from mcld_anim.body.uv_tables import chart_islands
from mcld_anim.core.arrays import PART_COUNT, Atlas, Picture
from mcld_anim.core.errors import ParityError
from mcld_anim.parity.golden import Comparison, Golden, compare, replays
from mcld_anim.pose.condition import pose_image
from mcld_anim.pose.iuv_picture import decode_iuv, encode_iuv
from mcld_anim.source.clip import clip_crop, clip_pixels
from mcld_anim.source.texture import atlas_from_picture, smpl_texture

DIFFERING_TEXELS = 0.005
"""Allowed fraction of differing values: OpenCV 5 inpaints a few texels unlike the version behind the golden data."""

MEAN_DIFFERENCE = 0.1
"""Allowed mean difference in grey levels."""


@replays("h_island_masks*.safetensors")
def islands(golden: Golden, case: str) -> Iterator[Comparison]:
    """The islands of the UV charts, texel by texel."""
    packed = golden.tensors(case)["masks_packed"].numpy()
    yield compare("islands", chart_islands().astype(np.uint8), np.unpackbits(packed, axis=-1), 0)


@replays(
    "h_texture_*.smpl_island_mask.png",
    # smpl.png files are made with the published island picture, which has no licence.
    also=[
        *(f"h_texture_*.{kind}.png" for kind in ("source", "iuv", "atlas_island_mask", "smpl")),
        "h_texture*.json",
    ],
)
def texture(golden: Golden, case: str) -> Iterator[Comparison]:
    """Atlas and SMPL texture of one photo, with planes in the published code's order."""
    name = case.rsplit(".", 1)[0]
    atlas, _ = atlas_from_picture(golden.picture(f"{name}.source"), golden.picture(f"{name}.iuv"))
    expected = golden.picture(case)
    yield from _compare_pictures("smpl", smpl_texture(atlas), expected)
    if (golden.cases / f"{name}.atlas_island_mask.png").is_file():
        tiles = _untile(golden.picture(f"{name}.atlas_island_mask"))
        yield from _compare_pictures("atlas", atlas, tiles)
        yield compare("smpl of the golden atlas", smpl_texture(tiles), expected, 0)


@replays("h_pose_file*.iuv.png", also=["h_pose_file*.png", "h_pose_file*.json"])
def pose_file(golden: Golden, case: str) -> Iterator[Comparison]:
    """Plane order of a pose picture's file, and its resizing."""
    name = case.rsplit(".", 1)[0]
    iuv, as_rgb = golden.picture(case), golden.picture(f"{name}.pil_rgb")
    written = encode_iuv(iuv)
    with Image.open(io.BytesIO(written), formats=["PNG"]) as picture:
        yield compare("file as RGB", np.asarray(picture.convert("RGB")), as_rgb, 0)
    yield compare("read again", decode_iuv(written, case), iuv, 0)
    notes = golden.json(name)
    for path in sorted(golden.cases.glob(f"{name}.pil_rgb_resized_*.png")):
        resized = golden.picture(path.stem)
        ours = (pose_image(iuv, resized.shape[:2]) * 255).round()
        yield compare(f"resized to {resized.shape[0]}", ours, resized.transpose(2, 0, 1), 0)
        labels = torch.tensor(ours[2].unique().numel() - notes["distinct_I_after_resize"])
        yield compare("count of labels after resizing", labels, torch.tensor(0), 0)


@replays("i_clip_preprocess*.json", also=["i_clip_preprocess*.safetensors", "i_clip_preprocess*.png"])
@torch.no_grad()
def clip_input(golden: Golden, case: str) -> Iterator[Comparison]:
    """CLIP's input bytes up to rounding in the resize, its pixels, and their embedding."""
    notes, pixels, embeds = golden.json(case), golden.tensors(case), golden.tensors(f"{case}_embeds")
    settings = notes["processor"]
    options = replace(
        golden.options.image_encoder,
        image_size=int(settings["crop_size"]["height"]),
        image_mean=tuple(settings["image_mean"]),
        image_std=tuple(settings["image_std"]),
    )
    sizes = [name for name in notes if name != "processor"]
    if not sizes:
        raise ParityError(f"{case}.json names no picture: expected entries such as 512x512")
    encoder = golden.networks("image_encoder").image_encoder
    for size in sizes:
        picture = golden.picture(f"{case}.picture_{size}")
        cropped = clip_crop(picture, options.image_size)
        yield compare(f"{size} bytes", cropped, golden.picture(f"{case}.resized_cropped_{size}"), 1)
        ours, theirs = clip_pixels(picture, options), pixels[f"pixel_values_first_16_rows_{size}"]
        yield compare(f"{size} pixels", ours[0, :, : theirs.shape[1]], theirs, 1e-5)
        yield compare(f"{size} embedding", encoder(ours).image_embeds, embeds[f"image_embeds_{size}"], 1e-4)


def _compare_pictures(quantity: str, ours: np.ndarray, theirs: np.ndarray) -> Iterator[Comparison]:
    """Fraction of differing values and mean difference; different shapes differ infinitely."""
    if ours.shape != theirs.shape:
        yield compare(quantity, ours, theirs, 0)
        return
    difference = np.abs(ours.astype(np.int16) - theirs)
    yield Comparison(f"{quantity} differing share", float((difference > 0).mean()), DIFFERING_TEXELS)
    yield Comparison(f"{quantity} mean difference", float(difference.mean()), MEAN_DIFFERENCE)


def _untile(grid: Picture) -> Atlas:
    """The (24, 200, 200, 3) atlas from a 1200x800 grid, with part p (from 0) in column p // 6, row p % 6."""
    return rearrange(grid, "(row v) (column u) rgb -> (column row) v u rgb", row=6, column=PART_COUNT // 6)
