"""The commands themselves: help, version, what is printed where, exit codes, Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mcld_anim.cli.main import app

import mcld_anim
import mcld_anim.animate
import mcld_anim.batch.job
import mcld_anim.transfer
from mcld_anim.cache import RunCache
from mcld_anim.weights.load import LoadedModels

MCLD_ANIM = [sys.executable, "-m", "mcld_anim.cli.main"]
VERBS = ("run", "pose", "batch", "densepose", "texture", "models", "train", "synth")
HEAVY = ("torch", "diffusers", "transformers", "av", "decord", "cv2", "scipy", "detectron2", "insightface")


@pytest.fixture
def call(
    small_models: LoadedModels,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):  # type: ignore[no-untyped-def]
    """Calls the command line in a folder of its own with small networks: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for story in (mcld_anim.animate, mcld_anim.transfer, mcld_anim.batch.job):
        monkeypatch.setattr(story, "RunCache", lambda folder, *_: RunCache(folder, lambda *_: small_models))

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


def test_run_names_the_output_after_the_inputs_and_prints_it_last(call, media: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = call(
        "run", "-s", media / "person.png", "-d", media / "dance.mp4", "--steps", 1, "--batch-size", 4
    )
    assert code == 0, err
    assert out.splitlines()[-1] == "person_dance.mp4"
    assert (tmp_path / "person_dance.mp4").is_file()
    for stage in ("source", "driving poses", "frames"):
        assert stage in err
    assert "11/11" in err


def test_every_flag_of_run_is_taken(call, media: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "more.yaml").write_text("seed: 4\n")
    flags = "--fps 5 --start 0.1 --end 0.9 --max-frames 2 --audio none --model tiny --preset fast --steps 1"
    flags += " --guidance 1.5 --noise mixed:0.5 --blend 0.3 --batch-size 2 --device cpu --dtype float32"
    flags += " --densepose tiny --face tiny --crf 20 --side-by-side --overwrite --config more.yaml -o x.mp4"
    code, out, err = call("run", "-s", media / "person.png", "-d", media / "dance.mp4", *flags.split())
    assert (code, out) == (0, "x.mp4\n"), err
    import json

    options = json.loads((tmp_path / "x.run.json").read_text())["options"]
    assert (options["seed"], options["fps"], options["max_frames"], options["noise"]) == (
        4,
        5.0,
        2,
        "mixed:0.5",
    )


def test_pose_prints_its_output(call, media: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = call("pose", "-s", media / "person.png", "-p", media / "other.png", "--steps", "1")
    assert (code, out) == (0, "person_other.png\n"), err
    assert (tmp_path / "person_other.png").is_file()


def test_batch_says_how_it_went(call, media: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
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


def test_a_bad_manifest_tells_every_line(call, media: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "jobs.csv").write_text("source,driving\nnone.png,none.mp4\n,none.mp4\n")
    code, out, err = call("batch", "jobs.csv", "--output-dir", "out")
    assert (code, out) == (3, "")
    assert [line.partition(": ")[2][:15] for line in err.splitlines()] == [
        "jobs.csv line 2",
        "jobs.csv line 3",
    ]
    assert not (tmp_path / "out").exists()


def test_interrupted_in_process_is_130(call, media: Path, small_models: LoadedModels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    small_models.mcld.denoiser.register_forward_hook(interrupt)
    code, out, err = call("run", "-s", media / "person.png", "-d", media / "dance.mp4", "-o", "new/x.mp4")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "mcld-anim: interrupted"
    assert not list(tmp_path.iterdir())
