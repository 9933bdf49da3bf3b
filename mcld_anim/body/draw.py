"""A fitted body drawn: its mesh posed, projected and rasterised inside the person's box."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.sparse import csr_matrix

from mcld_anim.body.fit import BodyMotion, BodyShape, project
from mcld_anim.body.raster import rasterize
from mcld_anim.body.rig import (
    finger_rotations,
    forward_kinematics,
    incidence,
    load_body,
    skin,
    skin_transforms,
    vertex_normals,
)
from mcld_anim.body.skeleton import RELAXED, bone_rotations, pose_bones, skeleton
from mcld_anim.body.texels import CellIndex, texel_index
from mcld_anim.core.arrays import Iuv
from mcld_anim.core.chosen_pixels import ChosenPixels

EDGE = 1.1
"""Standard deviation of a drawn body's soft edge, in pixels."""
CLEARANCE = 3
"""Pixels around the projected mesh that are drawn as well."""
BEHIND = 0.02
"""Distance, in metres, by which a point may lie behind the nearest surface and still be seen."""
GRAZING, FRONTAL = 0.12, 0.35
"""Cosines between a surface's normal and the line of sight from which it is seen at all, and seen well."""

Vertices = Float[np.ndarray, "vertices 3"]


@dataclass(frozen=True, eq=False)
class Surface:
    """Points of the body's surface, each in one triangle."""

    triangle: Int[np.ndarray, " n"]
    share: Float[np.ndarray, "n 3"]  # barycentric coordinates in it

    def between(self, values: Float[np.ndarray, "vertices channels"]) -> Float[np.ndarray, "n channels"]:
        """Values of the vertices at the points."""
        return np.asarray(self._weights @ np.asarray(values, np.float32))

    @cached_property
    def _weights(self) -> csr_matrix:
        """(n, vertices): a sparse product is several times faster than the sum over gathered corners."""
        body, ends = load_body(), np.arange(0, 3 * len(self.triangle) + 1, 3, dtype=np.int32)
        corners = body.faces.take(self.triangle, 0).ravel()
        return csr_matrix((self.share.ravel(), corners, ends), (len(self.triangle), len(body.mean_vertices)))


@dataclass(frozen=True, eq=False)
class DrawnBody:
    """One posed body in a picture. Everything but the mesh is held for the box around it only, (h, w)."""

    points: Float[np.ndarray, "vertices 2"]  # x, y in pixels of the picture
    away: Float[np.ndarray, " vertices"]  # metres from the camera
    facing: Float[np.ndarray, " triangles"]  # cosine between normal and line of sight; negative where not drawn
    triangle: Int[np.ndarray, "h w"]  # seen at each pixel, -1 for none
    share: Float[np.ndarray, "h w 3"]  # barycentric coordinates in it
    corner: tuple[int, int]  # x, y of the box's upper left pixel
    size: tuple[int, int]  # height and width of the picture
    focal: float  # pixels

    @property
    def box(self) -> tuple[slice, slice]:
        """The box in the picture."""
        (x, y), (height, width) = self.corner, self.triangle.shape
        return slice(y, y + height), slice(x, x + width)

    @property
    def inside(self) -> Bool[np.ndarray, "h w"]:
        """Where the box shows the body."""
        return self.triangle >= 0

    @cached_property
    def pixels(self) -> ChosenPixels:
        """The n pixels of the box that show the body."""
        return ChosenPixels(self.inside)

    @cached_property
    def person(self) -> Bool[np.ndarray, "height width"]:
        """Where the picture shows the body."""
        return self.whole(self.inside)

    @cached_property
    def alpha(self) -> Float[np.ndarray, "h w"]:
        """Opacity of the body in the box, 0..1, with a soft edge."""
        return np.asarray(cv2.GaussianBlur(self.inside.astype(np.float32), (0, 0), EDGE))

    @cached_property
    def surface(self) -> Surface:
        """The surface at the n `pixels`."""
        return Surface(self.pixels.of(self.triangle), self.pixels.of(self.share))

    @cached_property
    def iuv(self) -> Iuv:
        """The body's IUV, as large as the picture."""
        body, surface = load_body(), self.surface
        values = np.empty((len(surface.triangle), 3), np.uint8)
        values[:, 0] = body.part.take(surface.triangle)
        uv = np.einsum("nk,nkc->nc", surface.share, body.uv.take(surface.triangle, 0))
        values[:, 1:] = np.rint(uv * 255).clip(0, 255)
        return self.whole(self.pixels.planes(values))

    @cached_property
    def texels(self) -> CellIndex:
        """The atlas' texel at each of the n `pixels`."""
        return texel_index(self.iuv[self.box])

    @cached_property
    def depth(self) -> Float[np.ndarray, "h w"]:
        """Metres from the camera of the surface in the box; infinite where there is none."""
        depth = self.pixels.planes(self.surface.between(self.away[:, None])[:, 0])
        return np.where(self.inside, depth, np.float32(np.inf))

    @cached_property
    def normals(self) -> Vertices:
        """Unit normals of all vertices, outwards: x right, y away from the camera, z up."""
        height, width = self.size
        across, down = (self.points - np.array([width / 2, height / 2])).T * self.away / self.focal
        vertices = np.stack([across, self.away, -down], 1).astype(np.float32)
        return vertex_normals(vertices, load_body().faces, _touching())

    def over(self, values: Float[np.ndarray, "vertices channels"]) -> Float[np.ndarray, "h w channels"]:
        """Values of the vertices at the box's pixels; 0 where there is no body."""
        return self.pixels.planes(self.surface.between(values))

    def whole(self, planes: Shaped[np.ndarray, "h w *planes"], outside: float = 0.0) -> np.ndarray:
        """Planes of the box in the picture, which is `outside` elsewhere."""
        picture = np.full((*self.size, *planes.shape[2:]), outside, planes.dtype)
        picture[self.box] = planes
        return picture

    def seen_in(self, other: DrawnBody) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
        """Where another drawing of the same body shows the surface at the n `pixels`.

        x, y in pixels of the other picture, and how well the surface is seen there: 0 where it is hidden, turned away
        or out of the picture, 1 where it faces the camera.
        """
        moved = self.surface.between(np.concatenate([other.points, other.away[:, None]], 1))
        places, away = moved[:, :2], moved[:, 2]
        column, row = np.ascontiguousarray(np.floor(places - np.asarray(other.corner, np.float32)).astype(np.int32).T)
        height, width = other.triangle.shape
        within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        nearest = other.depth[row.clip(0, max(height - 1, 0)), column.clip(0, max(width - 1, 0))]
        faced = ((other.facing - GRAZING) / (FRONTAL - GRAZING)).clip(0, 1).take(self.surface.triangle)
        return places, np.where(within & (away < nearest + BEHIND), faced, 0).astype(np.float32)


class BodyPainter:
    """Draws one person in any pose."""

    def __init__(self, shape: BodyShape) -> None:
        body, bones = load_body(), skeleton()
        self.shape = shape
        self._straight, self._hand_joints = body.rest(shape.coefficients.astype(np.float32), np.zeros(1, np.float32))
        self._hands = np.flatnonzero(body.weight("hand", "finger"))
        self._hand_weights = csr_matrix(body.weights[self._hands])
        self._naked = self._straight * np.float32(shape.scale)
        self._naked[self._hands] = self._bent_hands(np.array([RELAXED, RELAXED], np.float32))
        self.rest = self._naked
        """Vertices at rest with relaxed fingers, in metres."""
        self._joints = torch.from_numpy(bones.rest_joints(shape.coefficients, shape.scale)).float()

        arms = {side: body.weight("lowerarm", "hand", "finger", side=side) > 0.5 for side in "LR"}
        self._forearms = {side: inside[body.faces].any(1) for side, inside in arms.items()}

    @property
    def offsets(self) -> Vertices:
        """The present offsets, in metres."""
        return np.asarray(self.rest - self._naked)

    def bent(self, offsets: Vertices) -> BodyPainter:
        """The same person with these offsets, in metres, instead of the present ones."""
        return self.dressed(self._naked + offsets)

    def dressed(self, rest: Vertices) -> BodyPainter:
        """The same person with these vertices at rest, in metres."""
        other = copy(self)
        other.rest = rest
        return other

    def transforms(
        self, controls: Float[np.ndarray, "17 3 3"]
    ) -> tuple[Float[np.ndarray, "vertices 3 3"], Float[np.ndarray, "vertices 3"]]:
        """A, t of every vertex: x -> A x + t takes it from rest to a pose, in metres."""
        bones = skeleton()
        rotations = bone_rotations(torch.from_numpy(controls)[None], bones)
        turned, shift = (one[0].numpy() for one in pose_bones(rotations, self._joints, bones))
        return skin_transforms(_skin_weights(), turned, shift)

    def posed(self, controls: Float[np.ndarray, "17 3 3"], fingers: Float[np.ndarray, "2 5"] | None = None) -> Vertices:
        """Vertices in metres. fingers: bends as of `RELAXED` of the left and right hand; None: relaxed."""
        turned, shift = self.transforms(controls)
        rest = self.rest
        if fingers is not None:
            rest = rest.copy()
            rest[self._hands] += self._bent_hands(fingers) - self._naked[self._hands]
        return np.asarray(np.einsum("vij,vj->vi", turned, rest) + shift, np.float32)

    def _bent_hands(self, fingers: Float[np.ndarray, "2 5"]) -> Float[np.ndarray, "hand_vertices 3"]:
        """The hands' vertices at rest, naked, with bent fingers, in metres."""
        body, hands = load_body(), self._hands
        turns = {
            body.bone(name): turn
            for side, bends in zip("LR", fingers.tolist(), strict=True)
            for name, turn in finger_rotations(body, side, bends).items()
        }
        moved = forward_kinematics(self._hand_joints, body.parents, turns)
        return skin(self._straight[hands], self._hand_weights, *moved) * np.float32(self.shape.scale)

    def drawn(self, motion: BodyMotion, index: int, hidden: str = "") -> DrawnBody:
        """Frame `index`. hidden: sides ("L", "R") whose forearm and hand are left out."""
        body, (height, width) = load_body(), motion.size
        fingers = None if motion.fingers is None else motion.fingers[index]
        vertices, camera = self.posed(motion.controls[index], fingers), motion.camera[index]
        places, away = project(
            torch.from_numpy(vertices)[None], torch.from_numpy(camera)[None], motion.focal, motion.size
        )
        pixels, distance = places[0].numpy(), away[0].numpy()
        low = np.floor(pixels.min(0) - CLEARANCE).clip(0, [width, height]).astype(int)
        high = np.ceil(pixels.max(0) + CLEARANCE).clip(0, [width, height]).astype(int)
        points = np.concatenate([pixels - low, distance[:, None]], 1).astype(np.float32)
        shown = np.flatnonzero(~np.any([self._forearms[side] for side in hidden], 0)) if hidden else None
        faces = body.faces if shown is None else body.faces[shown]
        triangle, share = rasterize(points, faces, *map(int, (high - low)[::-1]))
        if shown is not None:
            triangle = np.where(triangle >= 0, shown[triangle], -1).astype(np.int32)
        facing = facing_camera(vertices + camera, body.faces)
        if shown is not None:
            facing[np.setdiff1d(np.arange(len(facing)), shown)] = -1
        return DrawnBody(
            pixels, distance, facing, triangle, share, (int(low[0]), int(low[1])), motion.size, motion.focal
        )

    def iuv(self, motion: BodyMotion, index: int, hidden: str = "") -> Iuv:
        """The IUV of frame `index`, uint8 (H, W, 3), as large as the picture; `hidden` as for `drawn`."""
        return self.drawn(motion, index, hidden).iuv


@cache
def _skin_weights() -> csr_matrix:
    """Weights (vertices, 24) of the skin. Each vertex has few: a dense product would wake all of BLAS's threads."""
    return csr_matrix(skeleton().weights)


@cache
def _touching() -> csr_matrix:
    """Incidence of the body's vertices and triangles."""
    body = load_body()
    return incidence(body.faces, len(body.mean_vertices))


def facing_camera(vertices: Vertices, faces: Int[np.ndarray, "triangles 3"]) -> Float[np.ndarray, " triangles"]:
    """Cosine between each triangle's outward normal and the way to the camera, which is at the origin."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    centre = (a + b + c) / 3
    length = np.linalg.norm(normal, axis=1) * np.linalg.norm(centre, axis=1)
    return np.asarray(-(normal * centre).sum(1) / (length + 1e-12), np.float32)
