"""Options of `run` and `pose`: precedence, and the messages of refusals."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.options.load import from_mapping, to_mapping
from mcld_anim.options.model import SamplingDefaults, load_model_options
from mcld_anim.options.preset import PRESETS
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import PoseOptions, RunOptions
from mcld_anim.sampling.settings import sampling_settings

GIVEN = {"source": Path("a.png"), "driving": Path("b.mp4")}


def test_flags_win_over_the_file_which_wins_over_the_preset(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("steps: 7\npreset: fast\nseed: 3\n")
    options = resolve_options(RunOptions, {**GIVEN, "config": config, "seed": 9, "guidance": None})
    assert (options.preset, options.steps, options.seed) == ("fast", 7, 9)
    settings = sampling_settings(options, load_model_options("mcld_sd15"))
    assert (settings.steps, settings.guidance) == (7, 1.0)  # from fast.yaml: a flag of None was not given


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_complete_and_its_own(preset: str) -> None:
    options = resolve_options(RunOptions, {**GIVEN, "preset": preset})
    assert options.preset == preset
    assert from_mapping(RunOptions, to_mapping(options), "copy") == options


def test_guidance_may_be_on_in_a_part_of_the_steps() -> None:
    given = RunOptions(**GIVEN, guidance=3.0, guidance_interval="0.2:.8", sampler="unipc")  # type: ignore[arg-type]
    settings = sampling_settings(given, load_model_options("mcld_sd15"))
    assert [settings.guidance_at(level) for level in (0.1, 0.2, 0.5, 0.8, 0.9)] == [1, 3, 3, 3, 1]
    assert settings.sampler == "unipc"


def test_features_are_reused_only_where_it_is_asked_for() -> None:
    model = load_model_options("mcld_sd15")
    assert sampling_settings(RunOptions(**GIVEN), model).reuse_features == 1  # type: ignore[arg-type]
    for number, options in ((2, {"preset": "fast"}), (1, {"preset": "fast", "reuse_features": 1})):
        assert sampling_settings(resolve_options(RunOptions, {**GIVEN, **options}), model).reuse_features == number
    given = resolve_options(RunOptions, {**GIVEN, "reuse_features": 3})
    assert sampling_settings(given, model).reuse_features == 3
    with pytest.raises(UsageError, match="--reuse-features 0"):
        RunOptions(**GIVEN, reuse_features=0)  # type: ignore[arg-type]


def test_presets_scale_the_steps_of_any_model() -> None:
    model = load_model_options("mcld_sd15")
    steps = [
        sampling_settings(resolve_options(RunOptions, {**GIVEN, "preset": preset}), model).steps for preset in PRESETS
    ]
    assert steps == [10, 20, 40]
    given = resolve_options(RunOptions, {**GIVEN, "preset": "best", "steps": 7})
    assert sampling_settings(given, model).steps == 7
    direct = [sampling_settings(RunOptions(**GIVEN, preset=preset), model) for preset in PRESETS]  # type: ignore[arg-type]
    assert [one.steps for one in direct] == steps
    changed = replace(RunOptions(**GIVEN, preset="fast"), preset="best")  # type: ignore[arg-type]
    assert sampling_settings(changed, model) == direct[2]
    least = resolve_options(RunOptions, {**GIVEN, "step_scale": 0.1})
    assert sampling_settings(least, replace(model, sampling=SamplingDefaults(steps=2))).steps == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 3}, "unknown key stepz.*allowed keys.*steps"),
        ({"steps": 0}, "--steps 0 is out of range.*between 1 and 1000"),
        ({"steps": "ten"}, "steps: got 'ten', expected int"),
        ({"guidance": float("nan")}, "--guidance nan"),
        ({"guidance_interval": "0.8:0.2"}, "--guidance-interval 0.8:0.2"),
        ({"guidance_interval": "0.1"}, "--guidance-interval 0.1"),
        ({"guidance_interval": "0:1.5"}, "--guidance-interval 0:1.5"),
        ({"sampler": "euler"}, "sampler.*euler"),
        ({"seed": -1}, "--seed -1"),
        ({"device": "tpu"}, "tpu"),
        ({"dtype": "int8"}, "int8"),
        ({"model": ""}, "--model is empty; give auto, tiny, mcld-sd15 or a folder"),
        ({"face": "opencv"}, "opencv"),
        ({"retarget": "arms"}, "arms"),
        ({"retarget": "scale", "background": "driving"}, "--retarget scale.*--background driving.*--retarget limbs"),
        ({"preset": "ultra"}, "--preset ultra is not known; choose fast, balanced, best"),
        ({"fps": "fast"}, "fps"),
        ({"fps": 0.0}, "--fps 0"),
        ({"start": -1.0}, "--start -1"),
        ({"start": 2.0, "end": 1.0}, "--end 1 is not after --start 2"),
        ({"max_frames": 0}, "--max-frames 0"),
        ({"noise": "mixed"}, "--noise mixed is not known"),
        ({"noise": "mixed:0"}, "--noise mixed:0"),
        ({"noise": "mixed:-1"}, "--noise mixed:-1"),
        ({"blend": 1.0}, "--blend 1"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"crf": 52}, "--crf 52"),
        ({"audio_codec": "mp3"}, "mp3"),
        ({"audio": ""}, "--audio is empty"),
        ({"densepose": ""}, "--densepose is empty"),
        ({"driving": None}, "--driving is missing"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_options(RunOptions, {**GIVEN, **change})
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("stepz: 3", "mine.yaml: unknown key stepz"),
        ("- a\n- b", "expected a mapping"),
        ("steps: [", "not readable as YAML"),
        ("steps: lots", "steps: got 'lots'"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str, words: str) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(content)
    with pytest.raises(UsageError) as caught:
        resolve_options(RunOptions, {**GIVEN, "config": config})
    assert re.search(words, str(caught.value)), str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        resolve_options(RunOptions, {**GIVEN, "config": tmp_path / "none.yaml"})


def test_paths_that_are_read_are_known() -> None:
    options = resolve_options(RunOptions, {**GIVEN, "audio": "song.mp3", "densepose": "poses.zip"})
    assert set(options.inputs) == {Path("a.png"), Path("b.mp4"), Path("song.mp3"), Path("poses.zip")}
    assert set(resolve_options(RunOptions, GIVEN).inputs) == {Path("a.png"), Path("b.mp4")}


def test_pose_wants_its_iuv_under_pose() -> None:
    with pytest.raises(UsageError, match="--pose"):
        resolve_options(PoseOptions, {"source": Path("a"), "pose": Path("b"), "densepose": "poses.zip"})


def test_options_need_no_heavy_package() -> None:
    code = "import sys, mcld_anim.options.run, mcld_anim.options.resolve; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
