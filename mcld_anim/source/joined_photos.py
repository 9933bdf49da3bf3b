"""The UV texture and the atlas of several photos of one person."""

from __future__ import annotations

from collections.abc import Sequence

from mcld_anim.core.arrays import AnySizeIuv, AnySizePicture, Atlas, AtlasMask, Texture
from mcld_anim.options.model import TextureFill
from mcld_anim.source.fill import fill_atlas
from mcld_anim.source.surface_views import JoinedSurface, SurfaceView, surface_views
from mcld_anim.source.texture import atlas_from_picture, smpl_texture

Photos = Sequence[tuple[AnySizePicture, AnySizeIuv]]
"""Photos of one person, each uint8 (H, W, 3) RGB with its IUV of the same size."""


def joined_texture(photos: Photos, views: Sequence[SurfaceView], fill: TextureFill = "telea") -> Texture:
    """The SMPL UV texture (512, 512, 3) uint8 RGB of several photos; `views`: what they show."""
    return _texture(photos, JoinedSurface.of(views), fill)


def joined_source(photos: Photos, fill: TextureFill) -> tuple[Texture, Atlas, AtlasMask]:
    """The texture, the complete atlas for `pose.condition.warped_source`, and which of its texels a photo shows."""
    views = surface_views(photos)
    joined = JoinedSurface.of(views)
    atlas, valid = joined_atlas(views, joined)
    return _texture(photos, joined, fill), fill_atlas(atlas, valid), valid


def texture_atlas(photos: Photos, fill: TextureFill = "telea") -> tuple[Atlas, AtlasMask]:
    """The atlas that the texture of one or more photos is made of, see `atlas_from_picture`."""
    if len(photos) == 1:
        return atlas_from_picture(*photos[0], fill)
    return _texture_atlas(photos, JoinedSurface.of(surface_views(photos)), fill)


def joined_atlas(views: Sequence[SurfaceView], joined: JoinedSurface) -> tuple[Atlas, AtlasMask]:
    """The atlas of all that the photos show, and which of its texels hold a colour."""
    return joined.mixed([view.atlas for view in views], [view.valid for view in views])


def _texture(photos: Photos, joined: JoinedSurface, fill: TextureFill) -> Texture:
    return smpl_texture(_texture_atlas(photos, joined, fill)[0])


def _texture_atlas(photos: Photos, joined: JoinedSurface, fill: TextureFill) -> tuple[Atlas, AtlasMask]:
    atlases, valid = zip(*(atlas_from_picture(picture, iuv, fill) for picture, iuv in photos), strict=True)
    return joined.mixed(atlases, valid)
