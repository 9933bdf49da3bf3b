"""Pictures of one size as bytes without loss, by MagicYUV: smaller than PNG, and several times faster than FFV1."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from mcld_anim.video.container import pyav

CODEC, OPTIONS = "magicyuv", {"pred": "median"}
STORED_AS = {3: ("rgb24", "gbrp"), 4: ("rgba", "gbrap")}
"""Channels of a picture -> its format in memory and in the codec."""

HEAD = struct.Struct(">III")  # height, width, channels
SIZE = struct.Struct(">I")  # bytes that follow


class LosslessPictures:
    """Encodes uint8 (H, W, 3) RGB or (H, W, 4) RGBA pictures of one size as they come; holds the bytes only."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._pieces: list[bytes] = []

    def add(self, picture: np.ndarray) -> None:
        """Encode the next picture."""
        if not self._pieces:
            self._begin(picture.shape)
        if picture.shape != self._shape or picture.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._shape}, got {picture.dtype} {picture.shape}")
        plain, stored = STORED_AS[self._shape[2]]
        frame = pyav().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=plain).reformat(format=stored)
        frame.pts = len(self._pieces)
        self._take(frame)

    def finish(self) -> bytes:
        """All pictures, for `read_pictures`; the next one begins anew."""
        if self._pieces:
            self._take(None)
        made, self._pieces = b"".join(self._pieces), []
        return made

    def _begin(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._codec = pyav().CodecContext.create(CODEC, "w")
        self._codec.height, self._codec.width, self._codec.pix_fmt = shape[0], shape[1], STORED_AS[shape[2]][1]
        self._codec.time_base = Fraction(1, 25)  # which is not used
        self._codec.thread_count, self._codec.options = 1, OPTIONS
        self._codec.open()
        extradata = self._codec.extradata or b""
        self._pieces = [HEAD.pack(*shape), SIZE.pack(len(extradata)), extradata]

    def _take(self, frame: object) -> None:
        for packet in self._codec.encode(frame):
            content = bytes(packet)
            self._pieces += [SIZE.pack(len(content)), content]


def read_pictures(content: bytes) -> Iterator[np.ndarray]:
    """The pictures that `LosslessPictures` encoded, one at a time."""
    if not content:
        return
    shape = HEAD.unpack_from(content)
    pieces = _pieces(content, HEAD.size)
    codec = pyav().CodecContext.create(CODEC, "r")
    codec.height, codec.width, codec.pix_fmt = shape[0], shape[1], STORED_AS[shape[2]][1]
    codec.extradata = next(pieces)
    codec.thread_count = 1
    for piece in (*pieces, None):
        for frame in codec.decode(None if piece is None else pyav().Packet(piece)):
            yield frame.to_ndarray(format=STORED_AS[shape[2]][0])


def _pieces(content: bytes, place: int) -> Iterator[bytes]:
    while place < len(content):
        (size,) = SIZE.unpack_from(content, place)
        place += SIZE.size
        yield content[place : place + size]
        place += size
