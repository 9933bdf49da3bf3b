"""One encoded source that becomes another over the frames of a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.attention import KeyValues, ProjectedAppearance


@dataclass(frozen=True, eq=False)
class MorphedAppearance(SourceAppearance):
    """The first source, which is `last` in the end."""

    last: SourceAppearance
    shares: tuple[float, ...]  # of `last` in each frame, 0..1

    @classmethod
    def of(cls, first: SourceAppearance, last: SourceAppearance, shares: tuple[float, ...]) -> MorphedAppearance:
        """From both ends."""
        return cls(**_fields(first), last=last, shares=shares)

    def at(self, index: int) -> SourceAppearance:
        """The appearance in a frame: the atlases mixed; where one photo shows nothing, its guess."""
        share, last = self.shares[index], self.last
        mixed = np.rint(self.atlas * (1 - share) + last.atlas * share).astype(np.uint8)
        plain = {**_fields(self), "atlas": mixed, "valid": last.valid if share > 0.5 else self.valid}
        return SourceAppearance(**plain)

    def projected_at(self, indices: Sequence[int]) -> ProjectedAppearance:
        """Keys and values of a batch of frames, mixed: a row each."""
        share = torch.tensor([self.shares[index] for index in indices])[:, None, None, None]
        mine, theirs = self.projected, self.last.projected
        pairs = ((mine.reference, theirs.reference), (mine.tokens, theirs.tokens), (mine.face, theirs.face))
        return ProjectedAppearance(len(indices), *(_mixed(*pair, share) for pair in pairs))


def _mixed(first: Mapping[str, KeyValues], last: Mapping[str, KeyValues], share: torch.Tensor) -> dict[str, KeyValues]:
    return {
        layer: KeyValues(*(torch.lerp(a, b, share.to(a)) for a, b in zip(kv, last[layer], strict=True)))
        for layer, kv in first.items()
    }


def _fields(source: SourceAppearance) -> dict[str, Any]:
    return {field.name: getattr(source, field.name) for field in fields(SourceAppearance)}
