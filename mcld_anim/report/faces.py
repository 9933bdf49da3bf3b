"""Preservation of the source's face, measured on every generated frame."""

from __future__ import annotations

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.source.face import Face, FaceBackend, similarity

SIMILARITY_DIGITS = 6
"""Decimals of a similarity in the report; float32 has about seven digits."""


class FaceMeter:
    """Finds the face of each frame and compares it with the source's."""

    def __init__(self, backend: FaceBackend | None, source: Face | None) -> None:
        self._backend = backend
        self._source = source

    @property
    def knows_face(self) -> bool:
        """Whether there is a source's face to compare with."""
        return self._source is not None

    def measure(self, picture: Picture, iuv: Iuv) -> tuple[Face | None, float | None]:
        """The face, and its similarity to the source's; None if either is missing."""
        face = self._backend.largest(picture, iuv) if self._backend is not None else None
        if face is None or self._source is None:
            return face, None
        return face, round(similarity(face, self._source), SIMILARITY_DIGITS)
