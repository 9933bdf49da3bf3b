"""Camera, light and background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcld_anim.body.rig import FloatArray, rotation
from mcld_anim.synthetic.identity import hsv

CAMERA_DISTANCE = 4.0  # metres; typical of a full-length photo
FRAME_HEIGHT = 1.9  # height of the frame at that distance and zoom 1, metres
BACKGROUND_KINDS = ("plain", "gradient", "floor", "structured")
BACKGROUND_SHARES = (0.45, 0.35, 0.15, 0.05)


@dataclass(frozen=True)
class View:
    """Camera position and framing, in metres and radians; the body's middle is at height 0."""

    yaw: float = 0.0  # the camera orbits the body, which appears to turn to its left
    pitch: float = 0.0
    zoom: float = 1.0  # 1 frames FRAME_HEIGHT metres
    x: float = 0.0  # position of the frame's centre
    z: float = 0.0

    def rotation(self) -> FloatArray:
        return rotation("x", self.pitch) @ rotation("z", self.yaw)

    def project(self, vertices: FloatArray, size: int) -> FloatArray:
        """Projected vertices (V, 3) float32 for `raster.rasterize`: x right, y down, in pixels of a `size` frame, and
        distance."""
        seen = vertices @ self.rotation().T.astype(np.float32)
        distance = CAMERA_DISTANCE + seen[:, 1]
        scale = size * CAMERA_DISTANCE / FRAME_HEIGHT * self.zoom / distance
        across, down = size / 2 + (seen[:, 0] - self.x) * scale, size / 2 - (seen[:, 2] - self.z) * scale
        return np.stack([across, down, distance], 1).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """One lamp and ambient light; `direction` (x, y, z) points from the body to the lamp, and the camera is at -y."""

    direction: tuple[float, float, float] = (0.35, -0.8, 0.5)
    ambient: float = 0.55
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def shade(self, normals: FloatArray) -> FloatArray:
        """Brightness (n, 3) for unit normals (n, 3) in camera axes."""
        towards = np.array(self.direction, np.float32)
        towards /= np.linalg.norm(towards)
        # Part of the lamp's light is half-Lambert: soft, as in a studio.
        facing = normals @ towards
        lamp = 0.6 * np.clip(facing, 0, 1) + 0.4 * (0.5 * facing + 0.5) ** 2
        rim = 0.12 * np.clip(1 + normals[:, 1], 0, 1) ** 3  # surfaces seen edge-on are a little darker
        bright = self.ambient + (1 - self.ambient) * 1.2 * lamp + 0.05 * normals[:, 2] - rim
        return bright[:, None] * np.array(self.tint, np.float32)


def draw_light(generator: np.random.Generator) -> Light:
    warm = generator.normal(0, 0.02)
    return Light(
        (generator.uniform(-0.9, 0.9), -1.0, generator.uniform(0.1, 1.0)),
        generator.uniform(0.42, 0.72),
        (1 + warm, 1.0, 1 - warm),
    )


def draw_background(generator: np.random.Generator, size: int, kind: str | None = None) -> FloatArray:
    """A background (size, size, 3) float32 in [0, 1]; `kind` is drawn by `BACKGROUND_SHARES` unless given."""
    kind = kind or str(generator.choice(BACKGROUND_KINDS, p=BACKGROUND_SHARES))
    if generator.random() < 0.8:
        base: FloatArray = np.clip(generator.uniform(0.55, 0.97) + generator.normal(0, 0.025, 3), 0, 0.98)
    else:
        base = hsv(generator.random(), generator.uniform(0.05, 0.35), generator.uniform(0.45, 0.95))
    picture = np.ones((size, size, 3), np.float32) * base.astype(np.float32)
    down = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, size, dtype=np.float32)[None, :, None]
    if kind != "plain":
        picture *= 1 + generator.uniform(-0.14, 0.06) * down
        picture *= 1 - generator.uniform(0, 0.12) * (across**2 + (2 * down - 1) ** 2)
    if kind == "floor":
        horizon = int(size * generator.uniform(0.78, 0.92))
        picture[horizon:] *= generator.uniform(0.72, 0.95)
    if kind == "structured":
        for _ in range(int(generator.integers(2, 6))):
            tone = np.float32(generator.uniform(0.82, 1.12))
            first, last = np.sort(generator.uniform(0, 1, 2))
            if generator.random() < 0.6:
                picture[:, int(first * size) : int(last * size) + 1] *= tone
            else:
                picture[int(first * size) : int(last * size) + 1] *= tone
    return np.clip(picture, 0, 1).astype(np.float32)
