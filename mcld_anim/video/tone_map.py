"""Tone mapping of high dynamic range (PQ, HLG) to BT.709, with the FFmpeg program of imageio-ffmpeg.

PyAV's build of FFmpeg lacks `zscale` (zimg), which converts PQ and HLG to linear light and keeps values above white for
`tonemap` to compress. Its alternative, `scale` of FFmpeg 8, clips at white (`out_transfer=linear`: 203 nit and above
become 1.0) or darkens the whole picture (`intent=perceptual`: a wall of level 153 becomes 95). zimg and `tonemap` work
per pixel. The program therefore runs once, on a table of colours, and PyAV's `lut3d` applies the table to the frames:
no process runs beside the reader, and no path reaches a command line. The mean error of the table is 0.1 levels for HLG
and 0.6 for PQ.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.events import Event
from mcld_anim.video.container import pyav
from mcld_anim.video.upright import HDR_TRANSFERS, UNSPECIFIED, to_rgb

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame as StoredFrame

    from mcld_anim.video.probe import VideoInfo

WHITE = {"PQ": 203, "HLG": 100}
"""Luminance of white, in nit, before highlights are compressed. PQ: diffuse white (ITU-R BT.2408). HLG has no fixed
white (ARIB STD-B67: 50 % signal, BT.2408: 75 %). 100 of the 1,000 nit of its display are 66 %, where FFmpeg's own
conversion puts the white of SDR, so such video gets its levels back; white at 75 % becomes level 235."""

PEAK = 1000
"""Luminance of level 255, in nit: that of HLG's nominal display, for which phones also master PQ. More is clipped."""

BT2020 = 9
"""ITU-T H.273, ColourPrimaries: the primaries assumed for HDR video without a tag."""

TABLE_SIDE = 33
"""Levels of R, G and B in the table, the usual size of video LUTs; 65 cost 0.5 s per video and gain 0.1 levels."""

TABLE_SECONDS = 60
"""Time limit of the program, in seconds; it takes 0.03 s."""


def rgb_converter(info: VideoInfo) -> Callable[[StoredFrame], Picture]:
    """The conversion of stored frames to uint8 (H, W, 3) RGB in BT.709; HDR that cannot be mapped is left as it is."""
    if info.hdr is None:
        return to_rgb
    try:
        return _ToneMap(tone_table(info.hdr, info.primaries))
    except _Unavailable:
        return to_rgb


def hdr_event(info: VideoInfo) -> Event:
    """The event about a video's high dynamic range."""
    assert info.hdr is not None
    what = f"{info.path} is high dynamic range ({info.hdr})"
    try:
        tone_table(info.hdr, info.primaries)
    except _Unavailable as reason:
        return Event("video_hdr", f"{what}: without tone mapping its colours look flat; {reason}")
    return Event("video_tone_mapped", f"{what}: it was tone-mapped to BT.709, white at {WHITE[info.hdr]} nit")


@lru_cache(maxsize=4)
def tone_table(hdr: str, primaries: int) -> str:
    """R'G'B' of `hdr` ("PQ", "HLG") with `primaries` (H.273) -> R'G'B' of BT.709, as the text of a .cube file."""
    command = [_program(), "-v", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "gbrp16le"]
    command += ["-video_size", f"{TABLE_SIDE}x{TABLE_SIDE**2}", "-i", "pipe:0", "-vf", _filters(hdr, primaries)]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gbrpf32le", "pipe:1"]
    levels = np.rint(np.linspace(0, 65535, TABLE_SIDE)).astype("<u2")
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")  # .cube files vary red fastest
    try:
        done = subprocess.run(
            command, input=np.stack([green, blue, red]).tobytes(), capture_output=True, timeout=TABLE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unavailable(f"FFmpeg of imageio-ffmpeg cannot be run ({error})") from error
    if len(done.stdout) != 3 * TABLE_SIDE**3 * 4:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no table"]
        raise _Unavailable(f"FFmpeg of imageio-ffmpeg cannot map them ({lines[0]})")
    mapped = np.frombuffer(done.stdout, "<f4").reshape(3, -1)[[2, 0, 1]].T.clip(0, 1)
    return f"LUT_3D_SIZE {TABLE_SIDE}\n" + "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in mapped.tolist())


class _Unavailable(Exception):
    """HDR cannot be tone-mapped here; the text gives the reason or the remedy."""


class _ToneMap:
    """Applies a table to the frames of one video."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._graph: Graph | None = None
        self._size = (0, 0)

    def __call__(self, frame: StoredFrame) -> Picture:
        unsaid = frame.colorspace == UNSPECIFIED
        source = pyav().video.reformatter.Colorspace.BT2020 if unsaid else None
        encoded = frame.reformat(format="gbrp16le", src_colorspace=source, threads=1)
        if self._graph is None or self._size != (frame.width, frame.height):  # a stream may change its size
            self._size = (frame.width, frame.height)
            self._graph = _lut_graph(self._table, *self._size)
        self._graph.push(encoded)
        mapped = self._graph.pull().to_ndarray()  # uint16 (H, W, 3) RGB
        return cv2.convertScaleAbs(mapped, alpha=255 / 65535)


def _lut_graph(table: str, width: int, height: int) -> Graph:
    """A filter graph of PyAV from gbrp16le to gbrp16le frames."""
    graph = pyav().filter.Graph()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.cube"
        path.write_text(table)
        given = graph.add_buffer(width=width, height=height, format="gbrp16le", time_base=Fraction(1, 25))
        lookup = graph.add("lut3d", file=str(path), interp="tetrahedral")
        given.link_to(lookup)
        lookup.link_to(graph.add("buffersink"))
        graph.configure()
    return graph


def _filters(hdr: str, primaries: int) -> str:
    transfer = {name: code for code, name in HDR_TRANSFERS.items()}[hdr]
    known = BT2020 if primaries == UNSPECIFIED else primaries
    tags = f"setparams=range=pc:colorspace=gbr:color_trc={transfer}:color_primaries={known}"
    linear = f"zscale=t=linear:npl={WHITE[hdr]},format=gbrpf32le,zscale=p=bt709"
    # Mobius keeps light up to 0.3 (level 154) and compresses the rest. Its default desaturation would brighten greys
    # too: light 1.0 to 0.81 instead of 0.68
    bent = f"tonemap=mobius:peak={PEAK / WHITE[hdr]}:desat=0"
    return f"{tags},{linear},{bent},zscale=t=bt709,format=gbrpf32le"


def _program() -> str:
    """Path of the FFmpeg program in imageio-ffmpeg."""
    if find_spec("imageio_ffmpeg") is None:
        raise _Unavailable("for tone mapping run: pip install 'mcld-anim[ffmpeg]'")
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:  # a build of the package without the program
        raise _Unavailable("imageio-ffmpeg brings no FFmpeg program for this machine") from error
