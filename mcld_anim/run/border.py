"""A border between two batches of a clip's frames: what those after it need of those before it.

State over frames is: the blending of latents, the matte, the texture that stability is measured against (made again
from the last picture), and the counts of the identity guard and of repaired poses, which are reported at the end.
Everything else is a function of the frame's index: noise, poses, crops, backgrounds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mcld_anim.core.arrays import AnySizePicture


@dataclass(frozen=True, eq=False)
class Border:
    """The frames from `index` on have those before it behind them; `BEGINNING` has none."""

    index: int = 0
    shown: AnySizePicture | None = None  # the last frame's `Frame.shown`
    blending: Mapping[str, np.ndarray] = field(default_factory=dict)  # of `FrameMaker.carried`
    matte: Mapping[str, np.ndarray] = field(default_factory=dict)  # of `Compositor.carried`
    below: int = 0  # see `IdentityGuard`
    helped: int = 0
    repaired: int = 0  # frames whose pose was repaired

    def without_counts(self, before: Border) -> Border:
        """The same border, without the frames that were counted until `before`."""
        return replace(
            self,
            below=self.below - before.below,
            helped=self.helped - before.helped,
            repaired=self.repaired - before.repaired,
        )

    def to_bytes(self) -> bytes:
        """As a NumPy archive."""
        arrays: dict[str, Any] = {f"blending.{name}": array for name, array in self.blending.items()}
        arrays |= {f"matte.{name}": array for name, array in self.matte.items()}
        if self.shown is not None:
            arrays["shown"] = self.shown
        stream = io.BytesIO()
        np.savez(stream, counts=np.array([self.index, self.below, self.helped, self.repaired]), **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Border:
        """The border that `to_bytes` stored."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        index, below, helped, repaired = (int(count) for count in arrays.pop("counts"))
        return cls(
            index,
            arrays.pop("shown", None),
            {name.removeprefix("blending."): array for name, array in arrays.items() if name.startswith("blending.")},
            {name.removeprefix("matte."): array for name, array in arrays.items() if name.startswith("matte.")},
            below,
            helped,
            repaired,
        )


BEGINNING = Border()
