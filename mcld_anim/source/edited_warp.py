"""An edited person in frames of the photo's own pixels: several photos' pixels on one body, region by region.

All photos' bodies are one mesh. So the surface at a pixel has a place in each photo, and other people's clothes come at
the full resolution of their photos; their looseness comes with them, in the offsets of the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from mcld_anim.body.draw import BodyPainter, DrawnBody, Vertices
from mcld_anim.body.garments import Share, bare_share
from mcld_anim.core.arrays import Alpha
from mcld_anim.source.look import Look, Paint, Part, toned_part, without
from mcld_anim.source.photo_warp import GUESS_BLUR, PersonLayer, PhotoWarp, continued


@runtime_checkable
class Warp(Protocol):
    """A photo's person, or an edited one, who can be drawn in any pose."""

    @property
    def drawn(self) -> DrawnBody:
        """The body in the photo's pose."""

    def layer(self, drawn: DrawnBody) -> PersonLayer:
        """The person in the pose of a drawing of the same mesh."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """One photo's person with their body."""

    painter: BodyPainter
    warp: Warp


@dataclass(frozen=True, eq=False)
class EditedWarp:
    """The person of a photo with a look."""

    look: Look
    warps: tuple[Warp, ...]  # of the look's parts

    @property
    def drawn(self) -> DrawnBody:
        """The body in the source photo's pose."""
        return self.warps[0].drawn

    def layer(self, drawn: DrawnBody) -> PersonLayer:
        """The person in the pose of a drawing of the same mesh."""
        bare = drawn.over(bare_share()[:, None])[..., 0]
        layers = []
        for part, warp in zip(self.look.parts, self.warps, strict=True):
            layer = warp.layer(drawn)
            layers.append(replace_colours(layer, toned_part(part, self.look.tone, layer.colours, bare)))
        if self.look.paint is not None:
            layers.append(_painted(self.look.paint, drawn, layers[0]))
        return self.mixed(drawn, layers)

    def mixed(self, drawn: DrawnBody, layers: Sequence[PersonLayer]) -> EditedLayer:
        """One layer of those of the parts, and of the paint's."""
        look, first = self.look, layers[0]
        shares = [part.share for part in look.parts] + [share for _, share in look.dyes] + [bare_share()]
        planes = list(np.moveaxis(drawn.over(np.stack(shares, 1)), -1, 0))
        colours, validity, painted = first.colours, first.validity, first.painted
        for layer, share in zip(layers[1:], planes[1 : len(look.parts)], strict=False):
            colours = colours + share[..., None] * (layer.colours - colours)
            validity = validity + share * (layer.validity - validity)
            painted = np.where(share > 0.5, layer.painted, painted)
        for (dye, _), share in zip(look.dyes, planes[len(look.parts) : -1], strict=True):
            colours = dye.laid(colours, share, planes[-1])
        if look.paint is not None:
            share = _on_body(look.paint.share[..., None], drawn)[..., 0]
            colours = colours + share[..., None] * (layers[-1].colours - colours)
        colours = continued(np.asarray(colours, np.float32), drawn.inside)
        return EditedLayer(
            drawn, colours, np.asarray(validity, np.float32), painted, first.normals, self, tuple(layers)
        )


@dataclass(frozen=True, eq=False)
class EditedLayer(PersonLayer):
    """A layer that is mixed of several, each with the light of its own photo."""

    warp: EditedWarp
    layers: tuple[PersonLayer, ...]

    def lit(self) -> PersonLayer:
        """The layers in this pose's light, mixed."""
        return self.warp.mixed(self.drawn, [layer.lit() for layer in self.layers])


def replace_colours(layer: PersonLayer, colours: np.ndarray) -> PersonLayer:
    """A layer with other colours; of a mixed one the layers have them in proportion."""
    if colours is layer.colours:
        return layer
    if not isinstance(layer, EditedLayer):
        return replace(layer, colours=colours)
    factor = colours / np.maximum(layer.colours, 1)
    return replace(
        layer, colours=colours, layers=tuple(replace_colours(one, one.colours * factor) for one in layer.layers)
    )


def edited(source: Fitted, others: Sequence[Fitted], look: Look) -> Fitted:
    """The source's person with a look; `others`: the people of its further parts."""
    people = [source, *others]
    warps = [_without(person.warp, part.gone) for person, part in zip(people, look.parts, strict=True)]
    offsets = source.painter.offsets
    for person, part in zip(others, look.parts[1:], strict=True):
        offsets = offsets + part.share[:, None] * (_joined(person.painter.offsets, offsets, part) - offsets)
    return Fitted(source.painter.bent(offsets), EditedWarp(look, tuple(warps)))


def between(first: Fitted, last: Fitted, share: float) -> Fitted:
    """The person who is `share` (0..1) of the way from the first to the last; the first one's skeleton stays."""
    if share == 0:
        return first
    whole = np.ones(len(first.painter.rest), np.float32)
    look = Look((Part(None, whole), Part(None, whole * np.float32(share))))
    return edited(first, [last], look)


def _joined(theirs: Vertices, own: Vertices, part: Part) -> Vertices:
    """Another person's offsets; a head's are moved onto this one's neck, since every fit is off by a little."""
    if not part.is_head:
        return theirs
    seam = (part.share > 0.1) & (part.share < 0.9)
    return theirs + (own[seam] - theirs[seam]).mean(0)


def _without(warp: Warp, gone: Share | None) -> Warp:
    """A photo's person without what a region shows."""
    if gone is None or not isinstance(warp, PhotoWarp):
        return warp
    views = tuple(replace(view, own=_outside(gone, view.own, view.drawn)) for view in warp.views)
    atlas, _ = without(warp.atlas, np.ones(warp.atlas.shape[:3], bool), gone)
    return replace(warp, own=_outside(gone, warp.own, warp.drawn), atlas=atlas, views=views)


def _outside(gone: Share, own: Alpha, drawn: DrawnBody) -> Alpha:
    """A photo's matte without a region."""
    hidden = drawn.whole(drawn.over(gone[:, None])[..., 0])
    return np.asarray(own * (1 - hidden), np.float32)


def _painted(paint: Paint, drawn: DrawnBody, like: PersonLayer) -> PersonLayer:
    """The paint as a layer of its own, which gets the light of the pose."""
    share, body = paint.share[..., None], drawn.inside
    weight = _on_body(share, drawn)
    colours = _on_body(paint.colours * share, drawn) / np.maximum(weight, 1e-3)
    nothing = np.zeros(body.shape, np.float32)
    return PersonLayer(drawn, np.asarray(colours, np.float32), nothing, nothing > 0, like.normals)


def _on_body(texels: np.ndarray, drawn: DrawnBody) -> np.ndarray:
    """Values (24, 200, 200, n) of the atlas at the box's pixels, (h, w, n), without steps between texels."""
    values = texels.reshape(-1, texels.shape[-1]).take(drawn.texels, 0)
    planes = drawn.pixels.planes(values.astype(np.float32))
    weight = cv2.GaussianBlur(drawn.inside.astype(np.float32), (0, 0), GUESS_BLUR)[..., None]
    return np.asarray(cv2.GaussianBlur(planes, (0, 0), GUESS_BLUR).reshape(planes.shape) / np.maximum(weight, 1e-3))
