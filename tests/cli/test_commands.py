"""The commands themselves: help, version, stdout and stderr, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import mcld_anim
import mcld_anim.batch.job
import mcld_anim.run.animate
import mcld_anim.run.transfer
from mcld_anim.cli.main import app
from mcld_anim.model.load import LoadedModels

MCLD_ANIM = [sys.executable, "-m", "mcld_anim.cli.start"]
VERBS = ("run", "pose", "batch", "densepose", "report", "texture", "doctor", "models", "train", "synth", "eval")
HEAVY = ("torch", "diffusers", "transformers", "av", "decord", "cv2", "scipy", "detectron2", "insightface")


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    small_models: LoadedModels,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    """Calls the command line in a folder of its own with small networks: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    monkeypatch.setattr("mcld_anim.run.cache.ready_densepose", lambda *_: "tiny")  # which tells nothing

    def call_with(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            app([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call_with


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time; began = time.perf_counter()\n"
        "from mcld_anim.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(heavy, file=sys.stderr)\n"
        "print(time.process_time(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, seconds = done.stderr.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 1  # processor time: the machine may be busy
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        app([verb, "--help"])
    assert not caught.value.code
    assert "Usage" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        app(["--version"])
    assert not caught.value.code
    assert capsys.readouterr().out == f"mcld-anim {mcld_anim.__version__}\n"


@pytest.mark.parametrize("arguments", [["fly"], ["run", "--wings"], ["run", "--steps", "many"], ["batch"]])
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err


def test_run_names_the_output_after_the_inputs_and_prints_it_last(call: Call, media: Path, tmp_path: Path) -> None:
    code, out, err = call("run", "-s", media / "person.png", "-d", media / "dance.mp4", "--steps", 1, "--batch-size", 4)
    assert code == 0, err
    assert out.splitlines()[-1] == "person_dance.mp4"
    assert (tmp_path / "person_dance.mp4").is_file()
    for stage in ("source", "driving poses", "frames"):
        assert stage in err
    assert "11/11" in err


def test_every_flag_of_run_is_taken(call: Call, media: Path, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("seed: 4\n")
    flags = "--fps 5 --start 0.1 --end 0.9 --max-frames 2 --audio none --model tiny --preset fast --steps 1"
    flags += " --sampler unipc --guidance 1.5 --guidance-interval 0.1:0.9 --noise mixed:0.5 --blend 0.3"
    flags += " --blending neighbour --framing track --pose-cleanup 0.2 --reuse-features 2"
    flags += " --min-face-similarity 0.2 --retries 1 --batch-size 2 --device cpu --dtype float32 --densepose tiny"
    flags += " --offline --face tiny --retarget limbs --crf 20 --side-by-side --background source"
    flags += " --overwrite --no-resume --config more.yaml -o x.mp4"
    code, out, err = call("run", "-s", media / "person.png", "-d", media / "dance.mp4", *flags.split())
    assert (code, out) == (0, "x.mp4\n"), err
    options = json.loads((tmp_path / "x.run.json").read_text())["options"]
    assert (options["seed"], options["fps"], options["max_frames"], options["noise"]) == (
        4,
        5.0,
        2,
        "mixed:0.5",
    )
    assert (options["retarget"], options["offline"], options["reuse_features"]) == ("limbs", True, 2)


def test_pose_prints_its_output(call: Call, media: Path, tmp_path: Path) -> None:
    code, out, err = call("pose", "-s", media / "person.png", "-p", media / "other.png", "--steps", "1")
    assert (code, out) == (0, "person_other.png\n"), err
    assert (tmp_path / "person_other.png").is_file()


def test_batch_says_how_it_went(call: Call, media: Path, tmp_path: Path) -> None:
    good = f"{media}/person.png,{media}/dance.mp4,a.mp4,1,3"
    (tmp_path / "jobs.csv").write_text(f"source,driving,output,steps,max_frames\n{good}\n")
    code, out, err = call("batch", "jobs.csv", "--output-dir", "out")
    assert (code, out.splitlines()[-1]) == (0, "out/batch.json"), err
    assert "1 done, 0 skipped, 0 failed" in err
    with (tmp_path / "jobs.csv").open("a") as stream:
        stream.write(f"{media}/room.png,{media}/dance.mp4,b.mp4,1,3\n")
    code, out, err = call("batch", "jobs.csv", "--output-dir", "out")
    assert code == 1
    assert "0 done, 1 skipped, 1 failed" in err
    assert "line 3: no person was found" in err


def test_a_bad_manifest_tells_every_line(call: Call, media: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("source,driving\nnone.png,none.mp4\n,none.mp4\n")
    code, out, err = call("batch", "jobs.csv", "--output-dir", "out")
    assert (code, out) == (3, "")
    assert [line.partition(": ")[2][:15] for line in err.splitlines()] == [
        "jobs.csv line 2",
        "jobs.csv line 3",
    ]
    assert not (tmp_path / "out").exists()


def test_what_is_to_be_done_at_the_end_is_done() -> None:
    """Although the process ends before its objects are freed."""
    code = (
        "import atexit, sys; atexit.register(lambda: print('at the end')); sys.argv = ['mcld-anim', '--version']\n"
        "from mcld_anim.cli.start import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"mcld-anim {mcld_anim.__version__}\nat the end\n"


def test_what_is_refused_is_refused_before_torch_is_imported(media: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['mcld-anim', 'run', '--source', sys.argv[1], '--driving', sys.argv[2]]\n"
        "from mcld_anim.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    given = [str(media / "nobody.png"), str(media / "dance.mp4")]
    done = subprocess.run(
        [sys.executable, "-c", code, *given], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "3 False\n"
    assert "nobody.png does not exist" in done.stderr


def test_interrupted_in_process_is_130(call: Call, media: Path, small_models: LoadedModels, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    small_models.mcld.denoiser.register_forward_hook(interrupt)
    code, out, err = call("run", "-s", media / "person.png", "-d", media / "dance.mp4", "-o", "new/x.mp4")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "mcld-anim: interrupted"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\n2 GiB"), "out of memory for a single frame"),
        (MemoryError(), "out of memory: close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out of memory: "),
        (OSError(28, "No space left on device", "/full/file"), "No space left on device: /full/file"),
    ],
)
def test_a_machine_that_is_too_small_gets_one_line(
    call: Call, media: Path, small_models: LoadedModels, tmp_path: Path, failure: Exception, words: str
) -> None:
    def fail(*_: object) -> None:
        raise failure

    small_models.mcld.denoiser.register_forward_hook(fail)
    code, _, err = call("run", "-s", media / "person.png", "-d", media / "dance.mp4", "-o", "new/x.mp4")
    assert code == 1
    *halved, line = err.splitlines()
    assert words in line
    assert all("frames at a time" in one for one in halved)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="a console's Ctrl-C cannot be sent to one process on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_synthesis_stops_cleanly(
    media: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arguments = ["run", "-s", media / "person.png", "-d", media / "dance.mp4", "-o", "new/x.mp4"]
    arguments += ["--steps", "500", "--batch-size", "1"]  # minutes of work
    process = subprocess.Popen(
        [*MCLD_ANIM, *map(str, arguments)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 400  # loading takes seconds, on a busy machine a minute
        while not list(tmp_path.glob("new/.*/new/*.csv")):  # opened when the first frame is about to be made
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
