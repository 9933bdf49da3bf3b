"""The table of bad input, through the real command line: one line, the right exit code, no file left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mcld_anim.cli.main import app
from mcld_anim.model.load import LoadedModels

SECONDS = 20  # on a busy machine; a moment on an idle one


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory, media: Path, clip_writer: Callable[..., None]) -> Path:
    """A folder of inputs, good and bad."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("person.png", "dance.mp4", "room.png", "room.mp4"):
        (folder / name).write_bytes((media / name).read_bytes())
    (folder / "text.mp4").write_text("not a video\n" * 50)
    (folder / "text.png").write_text("not a picture\n" * 50)
    (folder / "noise.bin").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "torn.gif").write_bytes(b"GIF89a")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(500))
    (folder / "nothing").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "empty.png").touch()
    write_sound_only(folder / "sound.mp4")
    write_no_frames(folder / "no_frames.mp4")
    content = (media / "dance.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(content[: len(content) // 2])
    photo = (media / "person.png").read_bytes()
    (folder / "truncated.png").write_bytes(photo[: len(photo) // 2])
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    (folder / "unknown.yaml").write_text("stepz: 3\n")
    (folder / "wrong.yaml").write_text("steps: many\n")
    (folder / "broken.yaml").write_text("steps: [\n")
    (folder / "taken.mp4").write_bytes(b"precious")
    (folder / "taken.png").write_bytes(b"precious")
    return folder


def write_sound_only(path: Path) -> None:
    """An MP4 with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        block.sample_rate, block.pts = 44_100, 0
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))


def write_no_frames(path: Path) -> None:
    """An MP4 with a video stream without frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


RUN = ["run", "--source", "person.png", "--driving", "dance.mp4"]
POSE = ["pose", "--source", "person.png", "--pose", "person.png"]
TABLE = {
    "missing source": (
        ["run", "--source", "none.png", "--driving", "dance.mp4"],
        3,
        "none.png does not exist",
    ),
    "missing driving": (
        ["run", "--source", "person.png", "--driving", "none.mp4"],
        3,
        "none.mp4 does not exist",
    ),
    "no source": (["run", "--driving", "dance.mp4"], 2, "--source is missing"),
    "no driving": (["run", "--source", "person.png"], 2, "--driving is missing"),
    "folder as source": (["run", "--source", ".", "--driving", "dance.mp4"], 3, "is a folder"),
    "folder as driving": (["run", "--source", "person.png", "--driving", "."], 3, "is a folder"),
    "text as photo": (["run", "--source", "text.png", "--driving", "dance.mp4"], 3, "not a picture"),
    "text as video": (["run", "--source", "person.png", "--driving", "text.mp4"], 3, "not a video"),
    "empty photo": (["run", "--source", "empty.png", "--driving", "dance.mp4"], 3, "not a picture"),
    "empty video": (["run", "--source", "person.png", "--driving", "empty.mp4"], 3, "empty"),
    "photo as video": (["run", "--source", "person.png", "--driving", "person.png"], 3, "is a picture"),
    "video as photo": (["run", "--source", "dance.mp4", "--driving", "dance.mp4"], 3, "not a picture"),
    "no video stream": (["run", "--source", "person.png", "--driving", "sound.mp4"], 3, "no video stream"),
    "0 frames": (["run", "--source", "person.png", "--driving", "no_frames.mp4"], 3, "no_frames.mp4"),
    "truncated video": (["run", "--source", "person.png", "--driving", "truncated.mp4"], 3, "truncated.mp4"),
    "truncated photo": (["run", "--source", "truncated.png", "--driving", "dance.mp4"], 3, "damaged"),
    "1x1 photo": (["run", "--source", "dot.png", "--driving", "dance.mp4"], 3, "1x1 pixels"),
    "huge photo": (["run", "--source", "huge.png", "--driving", "dance.mp4"], 3, "20000x20000 pixels"),
    "nobody in the photo": (
        ["run", "--source", "room.png", "--driving", "dance.mp4"],
        3,
        "no person was found in",
    ),
    "nobody in the video": (
        ["run", "--source", "person.png", "--driving", "room.mp4"],
        3,
        "no person was found in",
    ),
    "start behind the end": ([*RUN, "--start", "60"], 3, "--start 60"),
    "end before start": ([*RUN, "--start", "0.5", "--end", "0.2"], 2, "--end 0.2 is not after"),
    "folder cannot be made": ([*RUN, "-o", "person.png/sub/x.mp4"], 3, "folder"),
    "folder cannot be written": ([*RUN, "-o", "/proc/x.mp4"], 3, "/proc"),
    "output is a folder": ([*RUN, "-o", "folder.mp4"], 3, "is a folder"),
    "output exists": ([*RUN, "-o", "taken.mp4"], 3, "--overwrite"),
    "output is an input": ([*RUN, "-o", "dance.mp4", "--overwrite"], 2, "replace the input"),
    "no mp4": ([*RUN, "-o", "x.avi"], 2, "does not end in .mp4"),
    "unknown key": ([*RUN, "--config", "unknown.yaml"], 2, "unknown key stepz"),
    "wrong type": ([*RUN, "--config", "wrong.yaml"], 2, "steps: got 'many'"),
    "broken yaml": ([*RUN, "--config", "broken.yaml"], 2, "not readable as YAML"),
    "missing yaml": ([*RUN, "--config", "none.yaml"], 2, "no such file"),
    "folder without a model": ([*RUN, "--model", "."], 2, "--model . holds no model: vae.safetensors"),
    "unknown preset": ([*RUN, "--preset", "ultra"], 2, "--preset ultra"),
    "unknown noise": ([*RUN, "--noise", "pink"], 2, "--noise pink"),
    "no steps": ([*RUN, "--steps", "0"], 2, "--steps 0"),
    "missing sound": ([*RUN, "--audio", "none.mp3"], 3, "none.mp3"),
    "picture as sound": ([*RUN, "--audio", "room.mp4"], 3, "no sound"),
    "person 0": ([*RUN, "--person", "0"], 2, "--person 0: give largest, a number from 1"),
    "no such person": ([*RUN, "--person", "second"], 2, "--person second: give largest"),
    "person outside": ([*RUN, "--person", "5000,10"], 2, "--person 5000,10 lies outside"),
    "person of poses": (
        [*RUN, "--person", "2", "--densepose", "poses.zip"],
        2,
        "--person 2 has no effect with --densepose",
    ),
    "missing poses": ([*RUN, "--densepose", "none.zip"], 3, "none.zip does not exist"),
    "photo as poses": ([*RUN, "--densepose", "person.png"], 3, "person.png"),
    "noise as photo": (["run", "--source", "noise.bin", "--driving", "dance.mp4"], 3, "not a picture"),
    "noise as video": (["run", "--source", "person.png", "--driving", "noise.bin"], 3, "not a video"),
    "torn head of a photo": (["run", "--source", "torn.gif", "--driving", "dance.mp4"], 3, "torn.gif"),
    "torn HEIC": (["run", "--source", "photo.heic", "--driving", "dance.mp4"], 3, "--source photo.heic"),
    "noise as background": ([*RUN, "--background", "noise.bin"], 3, "noise.bin"),
    "folder as background": ([*RUN, "--background", "nothing"], 3, "--background nothing is no file"),
    "torn background": ([*RUN, "--background", "torn.gif"], 3, "--background torn.gif"),
    "noise as poses": ([*RUN, "--densepose", "noise.bin"], 3, "noise.bin is not a PNG picture"),
    "empty folder as poses": ([*RUN, "--densepose", "nothing"], 3, "nothing holds no IUV"),
    "noise as options": ([*RUN, "--config", "noise.bin"], 2, "noise.bin"),
    "folder as options": ([*RUN, "--config", "nothing"], 2, "nothing"),
    "densepose: noise": (["densepose", "noise.bin"], 3, "noise.bin"),
    "densepose: torn": (["densepose", "torn.gif"], 3, "torn.gif"),
    "densepose: folder": (["densepose", "nothing"], 3, "is a folder"),
    "report: noise": (["report", "dance.mp4", "--source", "noise.bin"], 3, "--source noise.bin"),
    "pose: missing": (["pose", "--source", "person.png", "--pose", "none.png"], 3, "none.png does not exist"),
    "pose: text": (["pose", "--source", "person.png", "--pose", "text.png"], 3, "not a picture"),
    "pose: 1x1": (["pose", "--source", "person.png", "--pose", "dot.png"], 3, "1x1 pixels"),
    "pose: huge": (["pose", "--source", "person.png", "--pose", "huge.png"], 3, "20000x20000 pixels"),
    "pose: nobody": (["pose", "--source", "person.png", "--pose", "room.png"], 3, "no person was found in"),
    "pose: exists": ([*POSE, "-o", "taken.png"], 3, "--overwrite"),
    "pose: no png": ([*POSE, "-o", "x.jpg"], 2, "does not end in .png"),
    "batch: missing": (["batch", "none.jsonl", "--output-dir", "out"], 3, "none.jsonl does not exist"),
    "batch: folder": (["batch", "nothing", "--output-dir", "out"], 3, "nothing cannot be read"),
    "batch: noise": (["batch", "noise.bin", "--output-dir", "out"], 3, "noise.bin is not UTF-8 text"),
    "batch: what is it": (["batch", "person.png", "--output-dir", "out"], 3, "give JSONL, CSV or YAML"),
    "batch: prose": (["batch", "text.mp4", "--output-dir", "out"], 3, "separated by commas, semicolons or tabs"),
}


@pytest.mark.parametrize("row", TABLE, ids=list(TABLE))
def test_bad_input(
    row: str,
    bad: Path,
    small_models: LoadedModels,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, code, words = TABLE[row]
    (bad / "folder.mp4").mkdir(exist_ok=True)
    monkeypatch.chdir(bad)
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    monkeypatch.setattr("mcld_anim.run.cache.ready_densepose", lambda *_: "tiny")  # which tells nothing
    before = listing(bad)
    began = time.monotonic()
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    assert time.monotonic() - began < SECONDS
    out, err = capsys.readouterr()
    assert caught.value.code == code, err
    (line,) = err.splitlines()
    assert line.startswith("mcld-anim: ")
    assert words in line
    assert out == ""
    assert listing(bad) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--source", "pipe", "--driving", "dance.mp4"],
        ["run", "--source", "person.png", "--driving", "pipe"],
        [*RUN, "--background", "pipe"],
        [*RUN, "--densepose", "pipe"],
        ["densepose", "pipe"],
        [*POSE[:-1], "pipe"],
        ["texture", "person.png", "--iuv", "pipe", "--output", "t.png"],
    ],
)
def test_a_pipe_is_refused_and_not_waited_for(
    arguments: list[str], bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("person.png", "dance.mp4"):
        (tmp_path / name).write_bytes((bad / name).read_bytes())
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert (caught.value.code, "pipe" in line) == (3, True)


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_size for path in folder.rglob("*")}


@pytest.mark.parametrize("row", ["text as video", "output exists", "unknown key", "no driving"])
def test_bad_input_in_a_process_of_its_own(row: str, bad: Path) -> None:
    arguments, code, words = TABLE[row]
    before = listing(bad)
    done = subprocess.run(
        [sys.executable, "-m", "mcld_anim.cli.start", *arguments],
        cwd=bad,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("mcld-anim: ")
    assert words in line
    assert listing(bad) == before
