"""A synthetic person: rest geometry built once from a seed, then posed and rendered with exact IUV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from mcld_anim.body.raster import rasterize
from mcld_anim.body.rig import (
    Body,
    FloatArray,
    IntArray,
    forward_kinematics,
    incidence,
    load_body,
    skin,
    vertex_normals,
)
from mcld_anim.core.errors import UsageError
from mcld_anim.synthetic.anatomy import EAR, FIELD_COLUMNS, FOOT, HEAD, LEG, Z, anatomy
from mcld_anim.synthetic.appearance import body_albedo, clothing_masks, hair_colour, hair_cover, skirt_albedo
from mcld_anim.synthetic.hanging import BODY, CLOTH, HAIR, HangingSurface, hanging_parts, ramp
from mcld_anim.synthetic.identity import Identity, identity_from_seed
from mcld_anim.synthetic.motion import Pose, bone_rotations
from mcld_anim.synthetic.scene import Light, View

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Rendering:
    """A picture and its exact IUV."""

    picture: Picture  # uint8 (S, S, 3) RGB
    iuv: Picture  # uint8 (S, S, 3): I, U, V of the body at each pixel's centre


@dataclass(frozen=True)
class Person:
    """Rest geometry of one person: the body's vertices first, then those of the hanging parts."""

    identity: Identity
    vertices: FloatArray  # (N, 3) float32
    joints: FloatArray  # (B, 3) float32
    weights: FloatArray  # (N, B) float32
    faces: IntArray  # (M, 3) int32, the body's first
    kinds: NDArray[np.uint8]  # (M,) hanging.BODY, HAIR or CLOTH
    fields: FloatArray  # (N, 11) float32; hanging parts use only the first two columns, for their material
    touching: sparse.csr_matrix  # (N, M) incidence of vertices and faces, for vertex normals

    @staticmethod
    def from_seed(seed: int) -> Person:
        """The person of `seed`; the same seed gives the same bytes on every machine."""
        return person_of(identity_from_seed(seed))

    def posed(self, pose: Pose) -> FloatArray:
        """Vertices (N, 3) float32 in `pose`: feet on the ground, height 0 at half the standing stature."""
        turned, shift = forward_kinematics(self.joints, load_body().parents, bone_rotations(load_body(), pose))
        vertices = skin(self.vertices, self.weights, turned, shift)
        lowest = vertices[: len(anatomy().field), 2].min()
        vertices[:, 2] += pose["rise"] - lowest - self.identity.stature / 2
        return vertices


@lru_cache(maxsize=1)
def body_incidence() -> sparse.csr_matrix:
    body = load_body()
    return incidence(body.faces, len(body.mean_vertices))


def person_of(identity: Identity) -> Person:
    """The rest geometry of an identity."""
    body = load_body()
    vertices, joints = body.rest(identity.shape, identity.face_shape)
    scale = np.float32(identity.stature / (vertices[:, 2].max() - vertices[:, 2].min()))
    vertices, joints = vertices * scale, joints * scale
    vertices = dress(body, identity, vertices)
    parts = hanging_parts(body, identity, vertices, joints)
    return assemble(body, identity, vertices, joints, parts)


def dress(body: Body, identity: Identity, vertices: FloatArray) -> FloatArray:
    """Displace the skin outwards by the thickness of clothes, shoes and hair."""
    field, outfit, hair = anatomy().field, identity.outfit, identity.hair
    top, bottom, _ = clothing_masks(outfit, field)
    push = top * outfit.top_looseness * (0.4 + 0.6 * ramp(0.15, -0.35, field[:, Z] - anatomy().shoulder))
    if outfit.kind == "trousers":
        push += bottom * (1 - top) * outfit.bottom_looseness * np.clip(0.4 + 0.5 * field[:, LEG], 0.3, 1.2)
    push += ramp(0.45, 0.6, field[:, FOOT]) * 0.007
    thickness = hair.volume * (0.55 + 0.45 * ramp(0.02, 0.09, field[:, Z] - anatomy().eye[2]))
    pressed = hair.style in ("bob", "long")  # hair hangs over the ears
    push += hair_cover(hair, field) * thickness * (ramp(0.9, 0.6, field[:, EAR]) if pressed else 1)
    push *= ~body.eyes
    smoothing = body_incidence()
    around = smoothing @ push[body.faces].mean(1)
    touching = np.asarray(smoothing.sum(1)).ravel()
    push = 0.4 * push + 0.6 * around / touching
    if pressed:
        vertices = flatten_ears(vertices, field)
    normals = vertex_normals(vertices, body.faces, smoothing)
    return (vertices + normals * (push * ~body.eyes)[:, None]).astype(np.float32)


def flatten_ears(vertices: FloatArray, field: FloatArray) -> FloatArray:
    """Press the ears to the head, as under hair that covers them."""
    scalp = (field[:, HEAD] > 0.6) & (np.abs(field[:, Z] - anatomy().eye[2] - 0.045) < 0.02)
    limit = np.abs(vertices[scalp, 0]).max()
    ear = field[:, EAR] > 0.2
    x = np.where(ear, np.clip(vertices[:, 0], -limit, limit), vertices[:, 0])
    return np.concatenate([x[:, None], vertices[:, 1:]], 1)


def assemble(
    body: Body, identity: Identity, vertices: FloatArray, joints: FloatArray, parts: list[HangingSurface]
) -> Person:
    """Combine the body and its hanging parts into one mesh."""
    faces, kinds = [body.faces], [np.full(len(body.faces), BODY)]
    points, weights, fields = [vertices], [body.weights], [anatomy().field]
    for part in parts:
        faces.append(part.faces + sum(len(piece) for piece in points))
        kinds.append(np.full(len(part.faces), part.kind))
        points.append(part.vertices)
        weights.append(part.weights)
        field = np.zeros((len(part.vertices), FIELD_COLUMNS), np.float32)
        field[:, :2] = part.material
        fields.append(field)
    all_faces = np.concatenate(faces).astype(np.int32)
    count = sum(len(piece) for piece in points)
    # Only one winding of the two-sided parts counts for normals; the other would cancel it.
    one_sided = np.concatenate([body.faces, *(face[: len(face) // 2] for face in faces[1:])])
    touching = incidence(one_sided, count)
    return Person(
        identity,
        np.concatenate(points).astype(np.float32),
        joints,
        np.concatenate(weights).astype(np.float32),
        all_faces,
        np.concatenate(kinds).astype(np.uint8),
        np.concatenate(fields).astype(np.float32),
        touching,
    )


def one_sided_faces(person: Person) -> IntArray:
    """The triangles of `person.touching`: the body's, and one winding of each hanging part."""
    pieces = [person.faces[person.kinds == BODY]]
    for kind in (HAIR, CLOTH):
        piece = person.faces[person.kinds == kind]
        pieces.append(piece[: len(piece) // 2])
    return np.concatenate(pieces)


def render(
    person: Person,
    pose: Pose,
    view: View,
    light: Light,
    background: FloatArray,
    size: int = 256,
    supersample: int = 2,
) -> Rendering:
    """Picture and IUV of a person. `background` is (size, size, 3) float in [0, 1].

    `supersample` is the number of samples per pixel along each axis; 1 is faster, with aliased edges.
    """
    if background.shape != (size, size, 3):
        raise UsageError(f"The background is {background.shape}, but a picture of {size} needs ({size}, {size}, 3).")
    if supersample < 1:
        raise UsageError(f"supersample is {supersample}, but it must be 1 (fast) or more.")
    vertices = person.posed(pose)
    picture = shade_picture(person, vertices, view, light, background, size, supersample)
    return Rendering(picture, draw_iuv(vertices, view, size))


def shade_picture(
    person: Person,
    vertices: FloatArray,
    view: View,
    light: Light,
    background: FloatArray,
    size: int,
    supersample: int = 2,
) -> Picture:
    """The picture (size, size, 3) uint8 RGB of posed `vertices` (N, 3)."""
    fine = size * supersample
    index, barycentric = rasterize(view.project(vertices, fine), person.faces, fine, fine)
    seen = np.flatnonzero(index.ravel() >= 0)
    triangle, weight = index.ravel()[seen], barycentric.reshape(-1, 3)[seen]
    facing = vertex_normals(vertices, one_sided_faces(person), person.touching) @ view.rotation().T.astype(np.float32)
    values = interpolate(np.concatenate([facing, person.fields], 1), person.faces[triangle], weight)
    normals, field = values[:, :3], values[:, 3:]
    normals = normals / (np.sqrt(np.einsum("nk,nk->n", normals, normals))[:, None] + np.float32(1e-6))
    colour = surface_albedo(person, person.kinds[triangle], field, normals)
    colour *= light.shade(normals)
    layer = np.zeros((fine * fine, 4), np.float32)
    layer[seen] = np.concatenate([np.clip(colour, 0, 1), np.ones((len(seen), 1), np.float32)], 1)
    layer = shrink(layer.reshape(fine, fine, 4), supersample)
    mixed = layer[..., :3] + background * (1 - layer[..., 3:])
    return (np.clip(mixed, 0, 1) * 255 + 0.5).astype(np.uint8)


def surface_albedo(person: Person, kinds: NDArray[np.uint8], field: FloatArray, normals: FloatArray) -> FloatArray:
    """Colour (n, 3) of visible points by kind of surface; flips two-sided surfaces' normals to the camera, in place."""
    hanging = np.flatnonzero(kinds != BODY)
    if len(hanging) == 0:
        return body_albedo(person.identity, field)
    away = hanging[normals[hanging, 1] > 0]
    normals[away] = -normals[away]
    albedo = np.empty((len(kinds), 3), np.float32)
    body, hair, cloth = (np.flatnonzero(kinds == kind) for kind in (BODY, HAIR, CLOTH))
    albedo[body] = body_albedo(person.identity, field[body])
    albedo[hair] = hair_colour(person.identity.hair, field[hair, 0], field[hair, 1])
    albedo[cloth] = skirt_albedo(person.identity.outfit, field[cloth, :2])
    return albedo


def shrink(picture: FloatArray, factor: int) -> FloatArray:
    """Downsample by the mean over blocks of `factor` x `factor` pixels."""
    rows = picture[::factor].copy()
    for k in range(1, factor):
        rows += picture[k::factor]
    total = rows[:, ::factor].copy()
    for k in range(1, factor):
        total += rows[:, k::factor]
    return total / factor**2


def interpolate(values: FloatArray, corner: IntArray, weight: FloatArray) -> FloatArray:
    """Vertex values interpolated at points (n, columns), given their triangles' corners (n, 3) and barycentric
    coordinates (n, 3)."""
    return (
        values[corner[:, 0]] * weight[:, :1]
        + values[corner[:, 1]] * weight[:, 1:2]
        + values[corner[:, 2]] * weight[:, 2:]
    )


def draw_iuv(vertices: FloatArray, view: View, size: int) -> Picture:
    """IUV (size, size, 3) uint8 of the body alone at each pixel's centre; the body's `vertices` come first."""
    body = load_body()
    index, barycentric = rasterize(view.project(vertices[: len(anatomy().field)], size), body.faces, size, size)
    seen = index >= 0
    iuv = np.zeros((size, size, 3), np.uint8)
    iuv[seen, 0] = body.part[index[seen]]
    uv = np.einsum("nk,nkc->nc", barycentric[seen], body.uv[index[seen]])
    iuv[seen, 1:] = np.clip(uv * 255 + 0.5, 0, 255).astype(np.uint8)
    return iuv
