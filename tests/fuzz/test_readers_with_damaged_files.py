"""A bounded fuzz of every reader of a user's files: no traceback, no hang, no crash.

Each example is a real file with parts of it changed, repeated or cut off, or one made of odd values, and is read in a
process of its own. The examples are the same on every run. To search longer, with new examples each time:

    MCLD_ANIM_FUZZ=5000 python -m pytest tests/fuzz

reads 5,000 files of each kind. A failure shows the smallest file that hypothesis finds, which is kept in the test's
temporary folder.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from mcld_anim.pose.iuv_file import write_iuv_sequence

ASKED = os.environ.get("MCLD_ANIM_FUZZ")
EXAMPLES = int(ASKED or 100)
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=ASKED is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def check(reader: Any, kind: str, name: str, content: bytes) -> None:
    found = reader.outcome(kind, name, content)
    assert found in ("read", "refused"), f"{name}, {len(content)} bytes: {found}"


EDIT = st.tuples(
    st.sampled_from(["replace", "insert", "remove", "repeat", "cut"]),
    st.floats(0, 1),  # place, as a share of the file
    st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\xff" * 8]),
    ),
    st.integers(1, 64),
)


def damaged(content: bytes, edits: list[tuple[str, float, bytes, int]]) -> bytes:
    """The content after all edits."""
    for how, share, part, length in edits:
        place = int(share * len(content))
        if how == "replace":
            content = content[:place] + part + content[place + len(part) :]
        elif how == "insert":
            content = content[:place] + part + content[place:]
        elif how == "remove":
            content = content[:place] + content[place + length :]
        elif how == "repeat":
            content = content[:place] + content[place : place + length] * 3 + content[place + length :]
        else:
            content = content[:place]
    return content


def damages(*makers: Callable[[], bytes]) -> st.SearchStrategy[bytes]:
    """Files that these make, with up to six edits. Half of the edits are in the first kilobyte, where headers are."""
    at_head = EDIT.map(lambda edit: (edit[0], edit[1] / 20, edit[2], edit[3]))
    edits = st.lists(st.one_of(EDIT, at_head), min_size=1, max_size=6)
    contents = [make() for make in makers]
    return st.builds(damaged, st.sampled_from(contents), edits)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63), 2**64, 10**30, 10**400, 1e308, float("nan"), float("inf"), -0.0, 1e-320]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["", "1/0", "1e999999999", "a\0b", "\ud800", "~", "/dev/zero", "..", "nan", "0x" + "f" * 500]),
    st.text(alphabet="0123456789eE.-+/:", max_size=12),
)
VALUES = st.recursive(ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))


# --- Pictures and videos


def picture(kind: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        stream = io.BytesIO()
        across = np.arange(48 * 40 * 3).reshape(48, 40, 3).astype(np.uint8)
        Image.fromarray(across).convert(mode).save(stream, kind, **options)
        return stream.getvalue()

    return make


PICTURES = damages(
    *(picture(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")),
    *(picture("PNG", mode) for mode in ("P", "L", "RGBA", "I;16")),
    picture("TIFF", "CMYK", compression="tiff_lzw"),
    picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
)


@fuzz
@given(content=PICTURES)
def test_pictures(reader: Any, content: bytes) -> None:
    check(reader, "picture", "photo.jpg", content)


def video(form: str, codec: str, pixels: str, sound: str | None = None) -> Callable[[], bytes]:
    def make() -> bytes:
        stream = io.BytesIO()
        with av.open(stream, "w", format=form) as out:
            track: Any = out.add_stream(codec, rate=10)
            track.height, track.width, track.pix_fmt = 48, 64, pixels
            heard: Any = out.add_stream(sound, rate=44_100, layout="mono") if sound else None
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 40, np.uint8), format="rgb24")
                out.mux(track.encode(frame.reformat(format=pixels)))
            out.mux(track.encode(None))
            if heard is not None:
                block = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = 44_100, 0, Fraction(1, 44_100)
                out.mux(heard.encode(block))
                out.mux(heard.encode(None))
        return stream.getvalue()

    return make


def animation() -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (64, 48), (level, 9, 9)) for level in (0, 90, 180)]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], duration=50)
    return stream.getvalue()


VIDEOS = damages(
    video("mp4", "libx264", "yuv420p", "aac"),
    video("mov", "mjpeg", "yuvj420p"),
    video("matroska", "libx264", "yuv420p", "aac"),
    video("webm", "libvpx", "yuv420p"),
    video("avi", "mpeg4", "yuv420p"),
    video("mpegts", "libx264", "yuv420p", "aac"),
    video("gif", "gif", "rgb8"),
    video("flv", "flv1", "yuv420p"),
    animation,
)


@fuzz
@given(content=VIDEOS)
def test_videos(reader: Any, content: bytes) -> None:
    check(reader, "video", "dance.mp4", content)


# --- IUV


def iuv_archive(folder: Path) -> bytes:
    iuv = np.zeros((48, 64, 3), np.uint8)
    iuv[10:30, 20:40] = (3, 100, 200)
    write_iuv_sequence(folder / "iuv.zip", [iuv, iuv], Fraction(25))
    return (folder / "iuv.zip").read_bytes()


def rewritten(archive: bytes, header: dict[str, Any], method: int) -> bytes:
    """The same frames with another header."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(stream, "w", method) as new:
        for name in old.namelist():
            told = json.loads(old.read(name)) | header if name.endswith(".json") else None
            new.writestr(name, old.read(name) if told is None else json.dumps(told))
    return stream.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return iuv_archive(tmp_path_factory.mktemp("iuv"))


@fuzz
@given(edits=st.lists(EDIT, min_size=1, max_size=5), alone=st.booleans())
def test_iuv_files(reader: Any, archive: bytes, edits: list[Any], alone: bool) -> None:
    if alone:
        with zipfile.ZipFile(io.BytesIO(archive)) as whole:
            archive = whole.read("000000.png")
    check(reader, "iuv", "poses.zip", damaged(archive, edits))


HEADER_KEYS = st.sampled_from(["format", "frames", "fps", "start", "person_found", "cuts", "events", "boxes", "meta"])


@fuzz
@given(
    header=st.dictionaries(
        HEADER_KEYS, VALUES | st.lists(st.lists(ODD, min_size=4, max_size=4), min_size=2, max_size=2)
    ),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]),
)
def test_iuv_headers(reader: Any, archive: bytes, header: dict[str, Any], method: int) -> None:
    check(reader, "iuv", "poses.zip", rewritten(archive, header, method))


# --- Texts

KEYS = st.sampled_from(
    (
        *("source", "driving", "pose", "output", "steps", "fps", "seed", "blend", "person", "noise", "background"),
        *("audio", "model", "config", "densepose", "start", "end", "max_frames", "side_by_side", "crf", "overwrite"),
    )
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=4).map(lambda row: {"source": "a.png", "driving": "v.mp4"} | row)
YAML_PARTS = st.sampled_from(
    (
        *("- ", "  ", "\n", ": ", "source", "steps", "&a ", "*a", "[", "]", "{", "}", "<<", "!!", "!!int ", "!!set "),
        *('"', "'", "|", ">", "#", "%", "---", "...", "? ", "2001-99-99", "9" * 400, "0x1", "1:2:3", "\t", "\\u0000"),
        *("\ufeff", "é"),
    )
)
TEXTS = st.lists(YAML_PARTS | st.text(max_size=3), max_size=25).map("".join)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def as_csv(rows: list[dict[str, Any]], separator: str) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    return as_bytes("\n".join(separator.join(line) for line in lines))


MANIFESTS = st.one_of(
    st.lists(ROWS, max_size=3).map(lambda rows: as_bytes("\n".join(json.dumps(row) for row in rows))),
    st.builds(as_csv, st.lists(ROWS, max_size=3), st.sampled_from(",;\t|")),
    TEXTS.map(as_bytes),
    TEXTS.map(lambda text: as_bytes(f"- {{source: a.png, driving: v.mp4}}\n{text}")),
    damages(
        lambda: b'{"source": "a.png", "driving": "v.mp4", "output": "o.mp4", "steps": 3}\n' * 3,
        lambda: b"source,driving,output,steps\na.png,v.mp4,o.mp4,3\n" * 2,
        lambda: "source;driving\na.png;v.mp4\n".encode("utf-16"),
        lambda: b"- &r {source: a.png, driving: v.mp4, steps: 3}\n- <<: *r\n  output: two.mp4\n",
    ),
)


@fuzz
@given(content=MANIFESTS)
def test_manifests(reader: Any, content: bytes) -> None:
    check(reader, "manifest", "jobs.jsonl", content)


@fuzz
@given(
    content=TEXTS.map(as_bytes) | ROWS.map(lambda row: as_bytes(json.dumps(row))),
    kind=st.sampled_from(["options", "model"]),
)
def test_configurations(reader: Any, content: bytes, kind: str) -> None:
    check(reader, kind, "options.yaml", content)


@fuzz
@given(edits=st.lists(EDIT, min_size=1, max_size=4), kind=st.sampled_from(["options", "model"]))
def test_damaged_configurations(reader: Any, edits: list[Any], kind: str) -> None:
    path = Path(__file__).parents[2] / "configs" / "model" / "tiny.yaml"
    whole = path.read_bytes() if kind == "model" else yaml.safe_dump({"source": "a.png", "steps": 3}).encode()
    check(reader, kind, "options.yaml", damaged(whole, edits))


# --- Weights


def torch_file(zipped: bool) -> Callable[[], bytes]:
    def make() -> bytes:
        stream = io.BytesIO()
        state = {"state_dict": {"a": torch.ones(3, 4), "b": torch.arange(5)}}
        torch.save(state, stream, _use_new_zipfile_serialization=zipped)
        return stream.getvalue()

    return make


def array_pickle(protocol: int) -> Callable[[], bytes]:
    return lambda: pickle.dumps({"model": {"a": np.ones((3, 4), np.float32), "b": np.arange(5)}}, protocol)


def faces() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/a.onnx", bytes(range(256)) * 4)
        archive.writestr("a/b.onnx", bytes(5000))
    return stream.getvalue()


WEIGHTS = st.one_of(
    st.tuples(st.just("w.pkl"), damages(*(array_pickle(protocol) for protocol in (0, 2, 4, 5)))),
    st.tuples(st.just("w.pth"), damages(torch_file(True), torch_file(False))),
    st.tuples(st.just("w.safetensors"), damages(lambda: save({"a": torch.ones(3, 4)}))),
)


@fuzz
@given(file=WEIGHTS)
def test_weights(reader: Any, file: tuple[str, bytes]) -> None:
    check(reader, "weights", *file)


@fuzz
@given(content=damages(faces))
def test_archives_of_networks(reader: Any, content: bytes) -> None:
    check(reader, "faces", "faces.zip", content)


# --- The fuzz itself


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("picture", picture("PNG")),
        ("video", video("mp4", "libx264", "yuv420p", "aac")),
        ("manifest", lambda: b'{"source": "a.png", "driving": "v.mp4", "output": "o.mp4"}'),
        ("options", lambda: b"source: a.png\nsteps: 3\n"),
        ("weights", lambda: save({"a": torch.ones(3, 4)})),
        ("faces", faces),
    ],
)
def test_whole_files_are_read(reader: Any, kind: str, make: Callable[[], bytes]) -> None:
    """So that the fuzz does not merely see refusals."""
    assert reader.outcome(kind, "w.safetensors" if kind == "weights" else "whole", make()) == "read"


def test_a_crash_and_a_hang_are_seen(reader: Any) -> None:
    assert reader.outcome("unknown", "whole", b"").startswith("crashed with")
    assert reader._answer(reader._started(), 0.1).startswith("hangs")  # it was not asked anything
