"""The IUV of a fitted body: its mesh posed, projected and drawn inside the person's box."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from mcld_anim.body.fit import BodyMotion, BodyShape, project
from mcld_anim.body.raster import rasterize
from mcld_anim.body.rig import finger_rotations, forward_kinematics, load_body, skin
from mcld_anim.body.skeleton import CURL, bone_rotations, pose_bones, skeleton
from mcld_anim.core.arrays import Iuv

CLEARANCE = 1
"""Pixels around the projected mesh that are drawn as well."""


class BodyPainter:
    """Draws one person in any pose."""

    def __init__(self, shape: BodyShape) -> None:
        body, bones = load_body(), skeleton()
        vertices, joints = body.rest(shape.coefficients.astype(np.float32), np.zeros(1, np.float32))
        bent = {body.bone(name): turn for side in "LR" for name, turn in finger_rotations(body, side, CURL).items()}
        curled = skin(vertices, body.weights, *forward_kinematics(joints, body.parents, bent))
        self._vertices = curled * np.float32(shape.scale)
        self._joints = torch.from_numpy(bones.rest_joints(shape.coefficients, shape.scale)).float()

        arms = {side: body.weight("lowerarm", "hand", "finger", side=side) > 0.5 for side in "LR"}
        self._forearms = {side: inside[body.faces].any(1) for side, inside in arms.items()}

    def posed(self, controls: Float[np.ndarray, "17 3 3"]) -> Float[np.ndarray, "vertices 3"]:
        """Vertices in metres."""
        bones = skeleton()
        rotations = bone_rotations(torch.from_numpy(controls)[None], bones)
        turned, shift = (one[0].numpy() for one in pose_bones(rotations, self._joints, bones))
        return skin(self._vertices, bones.weights, turned, shift)

    def iuv(self, motion: BodyMotion, index: int, hidden: str = "") -> Iuv:
        """The IUV of frame `index`, uint8 (H, W, 3), as large as the picture.

        hidden: sides ("L", "R") whose forearm and hand are left out.
        """
        body, (height, width) = load_body(), motion.size
        vertices = torch.from_numpy(self.posed(motion.controls[index]))[None]
        places, away = project(vertices, torch.from_numpy(motion.camera[index])[None], motion.focal, motion.size)
        pixels = places[0].numpy()
        low = np.floor(pixels.min(0) - CLEARANCE).clip(0, [width, height]).astype(int)
        high = np.ceil(pixels.max(0) + CLEARANCE).clip(0, [width, height]).astype(int)
        iuv = np.zeros((height, width, 3), np.uint8)
        if (high <= low).any():
            return iuv
        points = np.concatenate([pixels - low, away[0].numpy()[:, None]], 1).astype(np.float32)
        shown = np.flatnonzero(~np.any([self._forearms[side] for side in hidden], 0)) if hidden else slice(None)
        triangle, share = rasterize(points, body.faces[shown], *map(int, (high - low)[::-1]))
        seen = triangle >= 0
        numbers = np.arange(len(body.faces))[shown]
        box = iuv[low[1] : high[1], low[0] : high[0]]
        box[seen, 0] = body.part[numbers[triangle[seen]]]
        uv = np.einsum("nk,nkc->nc", share[seen], body.uv[numbers[triangle[seen]]])
        box[seen, 1:] = np.rint(uv * 255).clip(0, 255)
        return iuv
