"""`densepose` and `texture` on the command line: results, and one-line refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mcld_anim.cli.main import app
from mcld_anim.pose.iuv_file import write_iuv_sequence
from mcld_anim.source.texture import source_texture


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Path, Path]:
    """A photo and its IUV."""
    rows, columns = np.mgrid[:96, :64]
    picture = np.stack([rows + 50, columns + 60, rows + columns], axis=-1).astype(np.uint8)
    iuv = np.zeros((96, 64, 3), np.uint8)
    iuv[10:80, 20:50] = np.stack([np.full_like(rows, 2), columns * 4, rows * 2], axis=-1)[10:80, 20:50]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    write_iuv_sequence(tmp_path / "iuv.zip", [iuv])
    return tmp_path / "photo.png", tmp_path / "iuv.zip"


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Exit code, last line of stdout, and stderr."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    lines = result.stdout.strip().splitlines()
    return result.exit_code, lines[-1] if lines else "", result.stderr


def test_texture_writes_what_the_library_makes(photo: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "texture.png"
    assert invoke("texture", photo[0], "--iuv", photo[1], "--output", output)[:2] == (0, str(output))
    iuv = np.zeros((96, 64, 3), np.uint8)
    rows, columns = np.mgrid[:96, :64]
    iuv[10:80, 20:50] = np.stack([np.full_like(rows, 2), columns * 4, rows * 2], axis=-1)[10:80, 20:50]
    expected = source_texture(np.asarray(Image.open(photo[0])), iuv)
    np.testing.assert_array_equal(np.asarray(Image.open(output)), expected)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["texture", "none.png", "--output", "t.png"], 3, "does not exist"),
        (["texture", "photo.png", "--output", "t.jpg"], 2, "end in .png"),
        (["texture", "photo.png", "--iuv", "text.zip", "--output", "t.png"], 3, "a .zip archive"),
        (["texture", "photo.png", "--iuv", "photo.png", "--output", "t.png"], 3, "no IUV"),
        (["texture", "photo.png", "--iuv", "empty.zip", "--output", "t.png"], 3, "shows no person"),
        (["texture", "photo.png", "--iuv", "iuv.zip", "--output", "iuv.zip"], 2, "end in .png"),
        (["texture", "photo.png", "--iuv", "iuv.zip", "--output", "photo.png"], 3, "exists already"),
        (["texture", "small.png", "--output", "t.png"], 3, "1x1"),
        (["densepose", "none.mp4"], 3, "none.mp4"),
        (["densepose", "text.mp4"], 3, "text.mp4"),
        (["densepose", "text.mp4", "--output", "x.png"], 2, "a single picture"),
        (["densepose", "photo.png", "--densepose", "openpose"], 2, "tiny, detectron2"),
        (["densepose", "photo.png", "--output", "photo.png"], 3, "exists already"),
        (["densepose", "text.png"], 3, "text.png"),
        (["densepose", "photo.png", "--person", "0", "--output", "x.png"], 2, "--person 0: give largest, a number"),
        (["densepose", "photo.png", "--person", "foo", "--output", "x.png"], 2, "--person foo: give largest"),
        (["densepose", "photo.png", "--person", "64,3", "--output", "x.png"], 2, "which is 64x96 pixels"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    photo: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("text.zip", "text.mp4", "text.png"):
        Path(name).write_text("nothing but text")
    Image.new("RGB", (1, 1)).save("small.png")
    write_iuv_sequence("empty.zip", [np.zeros((96, 64, 3), np.uint8)])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    exit_code, _, stderr = invoke(*arguments)
    assert (exit_code, len(stderr.strip().splitlines())) == (code, 1), stderr
    assert message in stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
