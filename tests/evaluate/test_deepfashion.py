"""`eval deepfashion` on a miniature of the data set made of rendered people, in both of its published layouts."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from mcld_anim.cli.main import app
from mcld_anim.core.errors import InputError, PictureError, UsageError
from mcld_anim.evaluate import generated_pairs
from mcld_anim.evaluate.deepfashion import evaluate_deepfashion
from mcld_anim.evaluate.deepfashion_files import DeepFashion, flat_name
from mcld_anim.evaluate.generated_pairs import DeepFashionOptions
from mcld_anim.evaluate.judge import Judge
from mcld_anim.evaluate.pairs import PairsOptions, evaluate_pairs
from mcld_anim.metrics.frechet import frechet_distance
from mcld_anim.model.appearance import resized
from mcld_anim.model.build import build_mcld
from mcld_anim.model.choose import MCLD_PARTS
from mcld_anim.options.load import to_mapping
from mcld_anim.options.model import ModelOptions
from mcld_anim.pose.iuv_picture import encode_iuv
from mcld_anim.run.prepared_pictures import PairPreparationOptions, prepare_pairs
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.scene import Light, View, draw_background

VIEWS = ("1_front", "2_side", "3_back")
PEOPLE = {("WOMEN", "Dresses", "id_00000012"): 41, ("MEN", "Tees_Tanks", "id_00000080"): 42}
LISTED = [(0, 1), (0, 2), (3, 4), (4, 0)]
STEPS = 8


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("", "from", "to"), *((n, *pair) for n, pair in enumerate(pairs))])
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's layout (MEN, WOMEN), the published preparation's (test, train, test_densepose), and a list."""
    folder, names = tmp_path_factory.mktemp("fashion"), []
    for (gender, clothes, person), seed in PEOPLE.items():
        background = draw_background(np.random.default_rng(seed), 128, "plain")
        for number, view in enumerate(VIEWS):
            shown = render(
                Person.from_seed(seed),
                dance_pose(0.3 * number),
                View(zoom=0.8),
                Light(),
                background,
                128,
                supersample=1,
            )
            raw = folder / gender / clothes / person / f"0{number}_{view}.jpg"
            name = flat_name(raw.relative_to(folder))
            for path in (raw, folder / "test" / name):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(shown.picture).save(path, quality=95)
            iuv = folder / "test_densepose" / f"{Path(name).stem}.png"
            iuv.parent.mkdir(exist_ok=True)
            iuv.write_bytes(encode_iuv(shown.iuv))
            names.append(name)
    (folder / "train").mkdir()
    for number, name in enumerate(names[:3]):
        Image.open(folder / "test" / name).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
            folder / "train" / f"fashionWOMENx{number}.jpg"
        )
    write_pairs(folder / "deepfashion_utils" / "test.csv", [(names[one], names[other]) for one, other in LISTED])
    return folder


@pytest.fixture(scope="module")
def options(small_options: ModelOptions) -> ModelOptions:
    """The tiny model's structure at its smallest, for the embedded face embedder."""
    face = replace(small_options.face, embedding_dim=128)
    return replace(small_options, face=face, sampling=replace(small_options.sampling, steps=STEPS))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, options: ModelOptions) -> Path:
    """A folder for --model: random networks."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    mcld = build_mcld(options)
    for part in MCLD_PARTS:
        network = getattr(mcld, part)
        if network is not None:
            save_file(
                {key: value.contiguous() for key, value in network.state_dict().items()}, folder / f"{part}.safetensors"
            )
    (folder / "model.yaml").write_text(yaml.safe_dump(to_mapping(options)))
    return folder


def request(root: Path, model: Path, output: Path, **more) -> DeepFashionOptions:
    return DeepFashionOptions(root=root, output=output, model=str(model), face="none", device="cpu", **more)


def judge() -> Judge:
    return Judge(torch.device("cpu"), None, None, None, {})


def made_in(output: Path) -> dict[str, bytes]:
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in sorted(output.glob("generated/*/[!.]*"))}


@pytest.fixture(scope="module")
def whole(root: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of an uninterrupted run."""
    output = tmp_path_factory.mktemp("whole")
    result = evaluate_deepfashion(request(root, model, output), judge=judge())
    assert (result.made, result.done, result.total, result.refused) == (4, 4, 4, ())
    return output


def test_names_are_those_of_the_published_lists(root: Path) -> None:
    path = Path("WOMEN/Dresses/id_00000012/00_1_front.jpg")
    assert flat_name(path) == "fashionWOMENDressesid0000001200_1front.jpg"
    data = DeepFashion.open(root)
    assert data.listed == root / "deepfashion_utils" / "test.csv"
    first = data.pairs(1)[0]
    assert (first.source, first.name) == (
        flat_name(path),
        "fashionWOMENDressesid0000001200_1front_2_fashionWOMENDressesid0000001201_2side",
    )
    assert data.picture(first.source) == root / "test" / first.source
    assert [path.name for path in data.training()] == [f"fashionWOMENx{n}.jpg" for n in range(3)]


def test_results_are_measured_as_by_eval_pairs(root: Path, model: Path, whole: Path) -> None:
    result = evaluate_deepfashion(request(root, model, whole), judge=judge())
    assert result.made == 0
    assert len(made_in(whole)) == 8
    assert Image.open(next(whole.glob("generated/256/*.png"))).size == (176, 256)
    assert Image.open(next(whole.glob("generated/512/*.png"))).size == (352, 512)
    asked = PairsOptions(generated=whole / "generated", target=root / "test", face="none", device="cpu")
    expected = evaluate_pairs(asked, on_event=lambda event: None, judge=judge())["sets"]
    assert result.figures is not None
    for size in ("256x176", "512x352"):
        assert result.figures["sets"][size]["pairs"] == 4
        assert sorted(result.figures["sets"][size]["rows"], key=str) == sorted(expected[size]["rows"], key=str)


def test_the_archives_own_layout_gives_the_same_pictures(root: Path, model: Path, whole: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    for name in ("MEN", "WOMEN"):
        shutil.copytree(root / name, bare / "img_highres" / name)
    shutil.copytree(root / "test_densepose", bare / "test_densepose")
    pairs = root / "deepfashion_utils" / "test.csv"
    result = evaluate_deepfashion(request(bare, model, tmp_path / "out", pairs=pairs, max_pairs=2), judge=judge())
    assert (result.made, result.total) == (2, 2)
    ours, theirs = made_in(tmp_path / "out"), made_in(whole)
    assert len(ours) == 4
    assert ours.items() <= theirs.items()
    (bare / "data").mkdir()
    (bare / "data" / "train.lst").write_text("fashionMENTees_Tanksid0000008002_3back.jpg\n")
    (picture,) = DeepFashion.open(bare, pairs).training()
    assert picture == bare / "img_highres" / "MEN" / "Tees_Tanks" / "id_00000080" / "02_3_back.jpg"


def test_shards_make_the_same_pictures_and_conditions_may_be_prepared_before(
    root: Path, model: Path, whole: Path, options: ModelOptions, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    listed = root / "deepfashion_utils" / "test.csv"
    iuv = str(root / "test_densepose")
    prepare_pairs(PairPreparationOptions(listed, root / "test", prepared, options, iuv, "tiny"))
    stamps = {path: path.stat().st_mtime_ns for path in prepared.glob("pictures/*")}
    assert len(stamps) == 5
    output = tmp_path / "out"
    for shard, made in (("2/2", 2), ("1/2", 2), ("1/2", 0)):
        part = evaluate_deepfashion(request(root, model, output, prepared=prepared, shard=shard))
        assert (part.made, part.figures) == (made, None)
    assert made_in(output) == made_in(whole)
    assert {path: path.stat().st_mtime_ns for path in prepared.glob("pictures/*")} == stamps
    assert not (output / "prepared").exists()
    with pytest.raises(UsageError, match="--shard 3/2"):
        request(root, model, output, shard="3/2")


def test_a_killed_run_goes_on(root: Path, model: Path, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "mcld_anim.cli.start",
        "eval",
        "deepfashion",
        "--root",
        str(root),
        "-o",
        str(output),
    ]
    command += ["--model", str(model), "--face", "none", "--device", "cpu"]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not list(output.glob("generated/512/[!.]*.png")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = made_in(output)
    assert 2 <= len(before) < 8
    result = evaluate_deepfashion(request(root, model, output), judge=judge())
    assert 1 <= result.made < 4
    assert made_in(output) == made_in(whole)


def test_pictures_made_otherwise_are_not_mixed(root: Path, model: Path, whole: Path) -> None:
    with pytest.raises(InputError, match="holds pictures of another steps, seed"):
        evaluate_deepfashion(request(root, model, whole, steps=STEPS + 1, seed=7))


def test_pairs_that_cannot_be_made_are_counted(root: Path, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(root / "test", broken / "test")
    shutil.copytree(root / "test_densepose", broken / "test_densepose")
    names = sorted(path.stem for path in (root / "test").iterdir())
    (broken / "test_densepose" / f"{names[0]}.png").write_bytes(encode_iuv(np.zeros((128, 128, 3), np.uint8)))
    (broken / "test_densepose" / f"{names[1]}.png").unlink()
    listed = [(f"{names[0]}.jpg", f"{names[2]}.jpg"), (f"{names[2]}.jpg", f"{names[1]}.jpg")]
    listed.append((f"{names[3]}.jpg", f"{names[4]}.jpg"))
    write_pairs(broken / "test.csv", listed)
    result = evaluate_deepfashion(request(broken, model, tmp_path / "out"), on_event=lambda event: None, judge=judge())
    assert (result.made, result.total) == (1, 3)
    assert [reason.split(": ")[0] for reason in result.refused] == [
        f"{names[0]}_2_{names[2]}",
        f"{names[2]}_2_{names[1]}",
    ]
    assert "shows no person" in result.refused[0]
    assert result.figures is not None
    assert result.figures["refused"] == list(result.refused)


def test_bad_data_is_refused_before_the_model_is_loaded(
    root: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generated_pairs, "load_mcld", lambda *_: pytest.fail("the model is loaded"))
    with pytest.raises(InputError, match="holds no list of pairs"):
        evaluate_deepfashion(request(tmp_path, model, tmp_path / "out"))
    absent = write_pairs(tmp_path / "absent.csv", [("nobody.jpg", "noone.jpg")])
    with pytest.raises(InputError, match=r"nobody.jpg .* is neither in"):
        evaluate_deepfashion(request(root, model, tmp_path / "out", pairs=absent))
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "nobody.jpg").write_bytes(b"nothing")
    with pytest.raises(PictureError, match="not a picture"):
        evaluate_deepfashion(request(tmp_path, model, tmp_path / "out", pairs=absent))
    assert not (tmp_path / "out").exists()


def test_the_command_measures_against_the_training_set(
    root: Path,
    model: Path,
    whole: Path,
    tmp_path: Path,
    judges: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    shutil.copytree(whole, output)
    flags = ["--root", root, "-o", output, "--model", model, "--face", "none", "--device", "cpu", "--max-pairs", 2]

    def measured(name: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as caught:
            app(["eval", "deepfashion", *map(str, flags), "--json", str(tmp_path / name)])
        assert not caught.value.code
        return json.loads((tmp_path / name).read_text())

    first = measured("first.json")
    monkeypatch.setattr("mcld_anim.evaluate.deepfashion.add_pictures", lambda *_: pytest.fail("read again"))
    assert measured("second.json")["sets"] == first["sets"]
    told = capsys.readouterr()
    assert "0 pairs generated now, 2 of 2 are, 0 refused" in told.err
    assert "FID against 3 pictures (training set)" in " ".join(told.out.split())
    network = Judge.load(torch.device("cpu"), "none", lambda event: None)
    shown = [np.asarray(Image.open(path)) for path in sorted((root / "train").iterdir())]
    real = np.concatenate([network.features(resized(one, (256, 176))) for one in shown])
    names = [row["name"] for row in first["sets"]["256x176"]["rows"]]
    pictures = [np.asarray(Image.open(output / "generated" / "256" / f"{name}.png")) for name in names]
    generated = np.concatenate([network.features(one) for one in pictures])
    found = first["sets"]["256x176"]["metrics"]["fid"]["mean"]
    assert found == pytest.approx(frechet_distance(real, generated), rel=1e-6)
