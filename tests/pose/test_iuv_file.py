"""IUV on disk: it is read as written, the planes are in the published order, and malformed files are refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mcld_anim.core.errors import OutputError, PoseError
from mcld_anim.core.events import Event
from mcld_anim.pose import iuv_file
from mcld_anim.pose.iuv_file import HEADER_NAME, iuv_writer, read_iuv, read_iuv_sequence, write_iuv_sequence
from mcld_anim.pose.iuv_picture import decode_iuv, encode_iuv


def random_iuv(seed: int, size: tuple[int, int] = (12, 10)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    iuv = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    iuv[..., 0] = generator.integers(0, 25, size)
    return iuv


FRAMES = [random_iuv(seed) for seed in range(12)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_a_picture_survives_its_file(seed: int, height: int, width: int) -> None:
    iuv = random_iuv(seed, (height, width))
    np.testing.assert_array_equal(decode_iuv(encode_iuv(iuv), "here"), iuv)


def test_an_rgb_reader_sees_v_u_i() -> None:
    with Image.open(io.BytesIO(encode_iuv(FRAMES[0]))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), FRAMES[0][..., ::-1])


@pytest.mark.parametrize("name", ["poses.zip", "poses"])
def test_a_sequence_survives_its_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    with iuv_writer(path, Fraction(30000, 1001), start=1.5, meta={"densepose": "tiny"}) as writer:
        for index, iuv in enumerate(FRAMES):
            writer.write(iuv, person_found=index != 3, cut=index in (2, 5))
        writer.events.append(Event("several_people", "two of them"))
    sequence = read_iuv_sequence(path)
    assert len(sequence) == len(FRAMES)
    assert (sequence.fps, sequence.start, sequence.meta) == (
        Fraction(30000, 1001),
        1.5,
        {"densepose": "tiny"},
    )
    assert [index for index, found in enumerate(sequence.person_found) if not found] == [3]
    assert np.flatnonzero(sequence.cuts).tolist() == [2, 5]
    assert sequence.events == [Event("several_people", "two of them")]
    for written, read in zip(FRAMES, sequence, strict=True):
        np.testing.assert_array_equal(written, read)
    assert sequence.box(3) is None
    rows, columns = np.nonzero(FRAMES[0][..., 0])
    assert sequence.box(0) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert [entry.name for entry in path.parent.iterdir()] == [name]


def test_published_pictures_load_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for index in (0, 2, 10, 9):
        Image.fromarray(np.ascontiguousarray(FRAMES[index][..., ::-1])).save(tmp_path / f"IUV_{index}.png")
    sequence = read_iuv_sequence(tmp_path)
    assert sequence.fps is None
    for index, iuv in zip((0, 2, 9, 10), sequence, strict=True):
        np.testing.assert_array_equal(iuv, FRAMES[index])
    np.testing.assert_array_equal(read_iuv(tmp_path / "IUV_9.png"), FRAMES[9])


@pytest.mark.parametrize("name", ["poses.zip", "poses"])
def test_an_interrupted_sequence_leaves_nothing(tmp_path: Path, name: str) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield FRAMES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_iuv_sequence(tmp_path / "new" / name, interrupted())
    assert not list(tmp_path.rglob("*.p*"))
    assert not list(tmp_path.rglob(name))


@pytest.mark.parametrize("name", ["poses.zip", "poses"])
def test_an_existing_sequence_is_replaced_only_when_asked(tmp_path: Path, name: str) -> None:
    write_iuv_sequence(tmp_path / name, FRAMES[:1])
    with pytest.raises(OutputError, match="poses"):
        write_iuv_sequence(tmp_path / name, FRAMES[:2])
    write_iuv_sequence(tmp_path / name, FRAMES[:2], overwrite=True)
    assert len(read_iuv_sequence(tmp_path / name)) == 2


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputError):
        write_iuv_sequence(tmp_path, FRAMES[:1], overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


def test_an_empty_sequence_and_mixed_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match="at least one"):
        write_iuv_sequence(tmp_path / "a.zip", [])
    with pytest.raises(PoseError, match="frame 1"):
        write_iuv_sequence(tmp_path / "a.zip", [FRAMES[0], random_iuv(0, (3, 4))])
    assert not list(tmp_path.iterdir())


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


HUGE = bytearray(encode_iuv(FRAMES[0]))
HUGE[16:24] = (20_000).to_bytes(4, "big") * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a PNG"),
        (b"just text, long enough to hold a header of a picture", "not a PNG"),
        (encode_iuv(FRAMES[0])[:60], "damaged"),
        (bytes(HUGE), "20000x20000"),
        (png(np.zeros((4, 4), np.uint8)), "8-bit RGB"),
        (png(np.zeros((4, 4, 4), np.uint8)), "8-bit RGB"),
        (png(np.full((4, 4, 3), 99, np.uint8)), "no IUV"),
    ],
)
def test_a_file_that_is_no_iuv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "pose.png"
    path.write_bytes(content)
    with pytest.raises(PoseError, match=message):
        read_iuv_sequence(path)


def test_missing_empty_and_broken_containers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match="does not exist"):
        read_iuv_sequence(tmp_path / "none.zip")
    with pytest.raises(PoseError, match="holds no IUV"):
        read_iuv_sequence(tmp_path)
    (tmp_path / "text.zip").write_text("not an archive")
    with pytest.raises(PoseError, match=r"a \.zip archive"):
        read_iuv_sequence(tmp_path / "text.zip")
    write_iuv_sequence(tmp_path / "good.zip", FRAMES)
    content = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(PoseError, match="not an archive"):
        read_iuv_sequence(tmp_path / "cut.zip")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"frames": 3},
        {"frames": "many"},
        {"person_found": "1"},
        {"boxes": [None]},
        {"boxes": [[1, 2, 3]] * 2},
        {"boxes": [[1, 2, 3, "x"]] * 2},
        {"fps": "0"},
        {"fps": "fast"},
        {"fps": "1/0"},
        {"start": None},
        {"meta": 5},
        {"cuts": "1"},
        {"cuts": None},
        {"events": [["kind"]]},
        {"events": [["kind", 5]]},
        {"events": 3},
    ],
)
def test_a_malformed_header_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "poses"
    write_iuv_sequence(path, FRAMES[:2])
    header = json.loads((path / HEADER_NAME).read_text())
    (path / HEADER_NAME).write_text(json.dumps(header | change))
    with pytest.raises(PoseError, match=HEADER_NAME):
        read_iuv_sequence(path)


def test_sequences_of_older_versions_have_no_cuts_and_no_events(tmp_path: Path) -> None:
    write_iuv_sequence(tmp_path / "poses", FRAMES[:2])
    header = json.loads((tmp_path / "poses" / HEADER_NAME).read_text())
    del header["cuts"], header["events"]
    (tmp_path / "poses" / HEADER_NAME).write_text(json.dumps(header))
    sequence = read_iuv_sequence(tmp_path / "poses")
    assert (sequence.cuts.tolist(), sequence.events) == ([False, False], [])


def test_a_header_that_is_no_json_and_a_missing_frame_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "poses"
    write_iuv_sequence(path, FRAMES[:3])
    (path / "000001.png").unlink()
    with pytest.raises(PoseError, match=r"lacks 1 of 3 frames, first 000001\.png"):
        read_iuv_sequence(path)
    (path / HEADER_NAME).write_text("{")
    with pytest.raises(PoseError, match=HEADER_NAME):
        read_iuv_sequence(path)


def test_a_member_that_claims_too_much_memory_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iuv_file, "MOST_BYTES", 10_000)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000000.png", bytes(20_000))
    with pytest.raises(PoseError, match=r"unpacks to more than 0\.01 MB"):
        read_iuv_sequence(path)
