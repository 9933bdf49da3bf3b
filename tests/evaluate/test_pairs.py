"""`eval pairs`: matching by name, known figures, faces that are missing, weights that are missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mcld_anim.cli.main import app
from mcld_anim.core.arrays import Box, Iuv, Picture
from mcld_anim.core.errors import InputError, PictureError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.evaluate.judge import Judge
from mcld_anim.evaluate.pair_files import match_pairs
from mcld_anim.evaluate.pairs import PairsOptions, evaluate_pairs
from mcld_anim.metrics.frechet import frechet_distance
from mcld_anim.metrics.lpips import load_lpips
from mcld_anim.source.face import Face
from mcld_anim.synthetic.person import Rendering

SIZE = "256x176"


class MeanColours:
    """A face embedder for tests: a picture's mean colour. A picture without red shows no face."""

    name = "colours"
    scale = "cosine"
    threshold = 0.5

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        box: Box = (0.0, 0.0, 1.0, 1.0)
        mean = picture.reshape(-1, 3).mean(0).astype(np.float32)
        return Face(mean, box, self.name) if mean[0] > 0 else None


def judge_with(faces: MeanColours | None = None) -> Judge:
    return Judge(torch.device("cpu"), None, None, faces, {"lpips": "not here", "fid": "not here"})


def folder_of(root: Path, name: str, pictures: dict[str, np.ndarray]) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for file, picture in pictures.items():
        Image.fromarray(picture).save(folder / file)
    return folder


@pytest.fixture(scope="module")
def pictures(photo: Rendering, other_photo: Rendering) -> list[np.ndarray]:
    """Two people at 256x176."""
    return [np.asarray(Image.fromarray(one.picture).resize((176, 256))) for one in (photo, other_photo)]


def shifted(picture: np.ndarray) -> np.ndarray:
    return np.roll(picture, (3, 2), (0, 1))


def test_names_match_as_they_are_and_as_published(tmp_path: Path) -> None:
    grey = np.full((40, 40, 3), 90, np.uint8)
    made = folder_of(tmp_path, "made", dict.fromkeys(("a.png", "x_2_side_2_b.png", "c_2_nobody.png"), grey))
    targets = folder_of(tmp_path, "targets", dict.fromkeys(("a.jpg", "b.png", "left.png"), grey))
    sources = folder_of(tmp_path, "sources", dict.fromkeys(("a.png", "x_2_side.jpg"), grey))
    (made / ".a.partial-12.png").write_bytes(b"of a killed run")
    (targets / "._b.jpg").write_bytes(b"what a Mac leaves")
    found = match_pairs(made, targets, sources)
    assert [(one.name, one.target.name, one.source and one.source.name) for one in found.pairs] == [
        ("a", "a.jpg", "a.png"),
        ("x_2_side_2_b", "b.png", "x_2_side.jpg"),
    ]
    assert found.unmatched_generated == ("c_2_nobody",)
    assert found.unmatched_targets == ("left",)
    assert found.without_source == 0
    assert match_pairs(made, targets).pairs[1].source is None


def test_names_that_do_not_say_which_are_refused(tmp_path: Path) -> None:
    grey = np.full((40, 40, 3), 90, np.uint8)
    made = folder_of(tmp_path, "made", {"x_2_y_2_z.png": grey})
    targets = folder_of(tmp_path, "targets", {"z.png": grey, "y_2_z.png": grey})
    with pytest.raises(InputError, match=r"x and y_2_z or x_2_y and z"):
        match_pairs(made, targets)
    sources = folder_of(tmp_path, "sources", {"x.png": grey})
    assert match_pairs(made, targets, sources).pairs[0].target.name == "y_2_z.png"
    with pytest.raises(InputError, match="names must be equal"):
        match_pairs(sources, targets)
    Image.fromarray(grey).save(targets / "z.jpg")
    with pytest.raises(InputError, match=r"has z.jpg and z.png: keep one"):
        match_pairs(made, targets)


def test_equal_folders(tmp_path: Path, pictures: list[np.ndarray], judges: Path) -> None:
    folder = folder_of(tmp_path, "same", {"a.png": pictures[0], "b.png": pictures[1]})
    figures = evaluate_pairs(PairsOptions(generated=folder, target=folder, sizes=(SIZE,), face="none", device="cpu"))
    metrics = figures["sets"][SIZE]["metrics"]
    assert [metrics[key]["mean"] for key in ("ssim", "ssim_256", "lpips")] == pytest.approx([1, 1, 0])
    assert (metrics["psnr"]["mean"], metrics["psnr"]["infinite"]) == (None, 2)
    assert metrics["fid"]["mean"] == pytest.approx(0, abs=1e-3)  # square roots of eigenvalues that are rounding errors
    assert figures["missing"] == {}
    assert figures["sets"][SIZE]["squashed"] == 0


def test_shifted_pictures_have_the_reference_librarys_figures(
    tmp_path: Path, pictures: list[np.ndarray], judges: Path
) -> None:
    targets = folder_of(tmp_path, "targets", {"a.png": pictures[0], "b.png": pictures[1]})
    made = folder_of(tmp_path, "made", {"a.png": shifted(pictures[0]), "b.png": shifted(pictures[1])})
    training = folder_of(tmp_path, "training", {f"{i}.png": np.roll(pictures[0], 9 * i, 0) for i in range(3)})
    options = PairsOptions(generated=made, target=targets, training=training, sizes=(SIZE,), face="none", device="cpu")
    figures = evaluate_pairs(options)["sets"][SIZE]
    unit = [(shifted(one) / 255, one / 255) for one in pictures]
    lpips, judge = load_lpips(), Judge.load(torch.device("cpu"), "none", lambda event: None)
    for number, (generated, target) in enumerate(unit):
        row = figures["rows"][number]
        assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(target, generated, data_range=1))
        published = structural_similarity(target, generated, data_range=1, win_size=51, channel_axis=-1)
        assert row["ssim"] == pytest.approx(published)
        planes = [torch.from_numpy(one).permute(2, 0, 1)[None].float() for one in (generated, target)]
        assert row["lpips"] == pytest.approx(float(lpips(*planes)[0]))
    real = np.concatenate([judge.features(np.roll(pictures[0], 9 * i, 0)) for i in range(3)])
    generated = np.concatenate([judge.features(shifted(one)) for one in pictures])
    assert figures["metrics"]["fid"]["mean"] == pytest.approx(frechet_distance(real, generated), rel=1e-6)
    assert (figures["fid_reference"], figures["fid_reference_pictures"]) == ("training set", 3)
    psnrs = [row["psnr"] for row in figures["rows"]]
    interval = figures["metrics"]["psnr"]
    assert interval["mean"] == pytest.approx(np.mean(psnrs))
    assert (interval["low"], interval["high"]) == pytest.approx((min(psnrs), max(psnrs)))  # of two, both ends are drawn


def test_pairs_without_a_face_are_counted(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    faceless = pictures[0].copy()
    faceless[..., 0] = 0
    made = folder_of(tmp_path, "made", {"a.png": pictures[0], "b.png": pictures[1], "c.png": faceless})
    targets = folder_of(tmp_path, "t", {"a.png": pictures[0], "b.png": faceless, "c.png": pictures[1]})
    sources = folder_of(tmp_path, "s", {"a.png": pictures[1], "b.png": pictures[1]})
    told: list[Event] = []
    options = PairsOptions(generated=made, target=targets, source=sources, sizes=(SIZE,))
    figures = evaluate_pairs(options, on_event=told.append, judge=judge_with(MeanColours()))["sets"][SIZE]
    assert figures["faces"] == {
        "generated_without_face": 1,
        "target_without_face": 1,
        "pairs_without_target_similarity": 2,
        "source_without_face": 0,
        "pairs_without_source_similarity": 0,
    }
    metrics = figures["metrics"]
    assert (metrics["face_target_cosine"]["count"], metrics["face_source_cosine"]["count"]) == (1, 2)
    assert metrics["face_target_cosine"]["mean"] == pytest.approx(1)
    assert metrics["face_target_euclidean"]["mean"] == pytest.approx(0)
    colours = [one.reshape(-1, 3).mean(0) for one in pictures]
    distance = np.linalg.norm(colours[0] - colours[1]) / 2  # the other pair shows one person twice
    assert metrics["face_source_euclidean"]["mean"] == pytest.approx(distance, rel=1e-5)
    assert figures["without_source"] == 1
    assert [event.message for event in told] == [f"{SIZE}: 1 pairs without a source"]


def test_folders_of_both_sizes_are_used_as_published(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    large = np.asarray(Image.fromarray(pictures[0]).resize((352, 512)))
    made, targets = tmp_path / "made", tmp_path / "targets"
    folder_of(made, "256", {"s_2_a.png": pictures[0]})
    folder_of(made, "512", {"s_2_a.png": large})
    folder_of(targets, "256", {"s_2_a.png": pictures[0]})
    folder_of(targets, "512", {"s_2_a.png": 255 - large})
    sets = evaluate_pairs(PairsOptions(generated=made, target=targets), judge=judge_with())["sets"]
    assert sets["256x176"]["metrics"]["psnr"]["infinite"] == 1
    assert sets["512x352"]["metrics"]["psnr"]["mean"] < 20


def test_the_command_prints_figures_and_says_what_is_missing(
    tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    targets = folder_of(tmp_path, "targets", {"a.png": pictures[0]})
    made = folder_of(tmp_path, "made", {"a.png": shifted(pictures[0])})
    arguments = ["--generated", made, "--target", targets, "--size", SIZE, "--face", "none", "--device", "cpu"]
    with pytest.raises(SystemExit) as caught:
        app(["eval", "pairs", *map(str, arguments), "--json", str(tmp_path / "figures.json")])
    assert not caught.value.code
    out = " ".join(capsys.readouterr().out.split())
    figures = json.loads((tmp_path / "figures.json").read_text(), parse_constant=pytest.fail)
    psnr = figures["sets"][SIZE]["metrics"]["psnr"]
    assert f"PSNR↑ {psnr['mean']:.3f} " in out
    assert "LPIPS↓ not measured" in out
    assert "LPIPS: its weights are not here: run `mcld-anim models pull lpips`" in out
    assert set(figures["missing"]) == {"lpips", "fid"}
    assert psnr["low"] is None  # one pair has no interval


def test_bad_input_is_refused_before_networks_are_loaded(
    tmp_path: Path, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judge, "load", lambda *_: pytest.fail("networks are loaded"))
    targets = folder_of(tmp_path, "targets", {"a.png": pictures[0]})
    torn = folder_of(tmp_path, "torn", {})
    (torn / "a.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="not a picture"):
        evaluate_pairs(PairsOptions(generated=torn, target=targets))
    with pytest.raises(InputError, match="is no folder"):
        evaluate_pairs(PairsOptions(generated=targets, target=tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"--training .* holds no picture"):
        evaluate_pairs(PairsOptions(generated=targets, target=targets, training=tmp_path))
    with pytest.raises(UsageError, match="--size"):
        PairsOptions(generated=targets, target=targets, sizes=("64x64",))
