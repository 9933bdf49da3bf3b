"""Edits in runs: with small networks in crops, and with real landmarks in the photo's own pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mcld_anim import Animator
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import write_picture
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import EditOptions, PoseOptions, RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.edited import edits_of, morph_shares
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result
from mcld_anim.run.transfer import transfer
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.samples import sample_photo
from mcld_anim.synthetic.views import draw_shots, person_background

SIZE = 256


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


@pytest.fixture
def edit(tmp_path: Path, media: Path, small_models: LoadedModels) -> Callable[..., Result]:
    """Edits person.png in crops into `tmp_path/out.png`."""

    def run(on_event: Callable[[Event], None] = lambda event: None, **change: Any) -> Result:
        given = {"source": media / "person.png", "steps": 2, "output": tmp_path / "out.png", "overwrite": True}
        cache = RunCache(tmp_path, load=lambda *_: small_models)
        return transfer(EditOptions(**{**given, **change}), cache, on_event=on_event)

    return run


def test_networks_get_other_clothes_another_face_and_paint(
    edit: Callable[..., Result], media: Path, tmp_path: Path
) -> None:
    other = media / "other.png"
    plain = load(edit(weights="face=1.0", save_texture=None).output)
    made = {
        "garment": load(edit(garment_from=(f"{other}:upper", f"{other}:lower")).output),
        "face": load(edit(face_from=other, save_texture=tmp_path / "face.png").output),
        "tint": load(edit(tint="all=#00ff00").output),
        "texture": load(edit(texture=tmp_path / "face.png").output),
        "morph": load(edit(morph_to=other).output),
        "weights": load(edit(weights="face=0,texture=3").output),
    }
    for name, picture in made.items():
        assert np.abs(picture - plain).mean() > 0.1, name
    assert load(tmp_path / "face.png").shape == (512, 512, 3)
    record = json.loads((tmp_path / "out.run.json").read_text())
    assert record["options"]["weights"] == "face=0,texture=3"


def test_networks_get_the_edits_on_all_photos_of_the_person(tmp_path: Path, small_models: LoadedModels) -> None:
    person, background = Person.from_seed(900_001), person_background(Person.from_seed(900_001), SIZE)
    (shot,), shown = draw_shots(person, 0, 1), []
    for name, turn in (("front", 0.0), ("back", np.pi)):
        shown.append(render(person, shot.pose.changed(turn=turn), shot.view, shot.light, background, SIZE))
        write_picture(tmp_path / f"{name}.png", shown[-1].picture)
    models = replace(small_models, pose_backend=type(small_models.pose_backend)(shown))  # type: ignore[call-arg]
    made, textures = [], []
    for more in ((), (tmp_path / "back.png",)):
        options = EditOptions(
            source=tmp_path / "front.png",
            more_sources=more,
            tint="all=#00ff00",
            save_texture=tmp_path / "texture.png",
            output=tmp_path / "out.png",
            overwrite=True,
            steps=2,
            densepose="tiny",
        )
        made.append(load(transfer(options, RunCache(tmp_path, load=lambda *_: models)).output))
        textures.append(load(tmp_path / "texture.png"))
    assert np.abs(made[1] - made[0]).mean() > 0.1
    seen = [texture.any(-1) for texture in textures]
    assert seen[1].sum() > 1.3 * seen[0].sum()
    assert (np.argmax(textures[1][seen[1] & ~seen[0]], axis=-1) == 1).mean() > 0.5  # the back is green, too


def test_attention_maps_lie_beside_the_picture(edit: Callable[..., Result], tmp_path: Path) -> None:
    edit(attention_maps=True)
    maps = load(tmp_path / "out.attention.png")
    assert maps.shape[1] == 4 * 64
    assert np.abs(maps[30:, :64] - maps[30:, 64:128]).mean() > 5


def test_a_clip_with_edits_starts_anew_when_they_change(
    media: Path, tmp_path: Path, small_models: LoadedModels
) -> None:
    other, moved = media / "other.png", tmp_path / "same.png"
    moved.write_bytes(other.read_bytes())
    given: dict[str, Any] = {
        "source": media / "person.png",
        "driving": media / "dance.mp4",
        "max_frames": 3,
        "steps": 1,
    }
    given |= {"output": tmp_path / "out.mp4", "batch_size": 1, "overwrite": True, "retarget": "off"}

    def stopping(count: int) -> Callable[[str, int, int | None], None]:
        def progress(stage: str, done: int, _total: int | None) -> None:
            if stage == "frames" and done == count:
                raise KeyboardInterrupt

        return progress

    def kinds(**change: Any) -> list[str]:
        told: list[str] = []
        cache = RunCache(tmp_path, load=lambda *_: small_models)
        with suppress(KeyboardInterrupt):
            animate(RunOptions(**{**given, **change}), cache, stopping(2), lambda event: told.append(event.kind))
        return told

    kinds(garment_from=f"{other}:upper")
    assert "resumed" in kinds(garment_from=f"{moved}:upper")  # by content, not by name
    assert "started_anew" in kinds(garment_from=f"{other}:lower")
    assert "started_anew" in kinds(garment_from=f"{other}:lower", weights="face=0.5")


def test_edits_are_known_by_content(media: Path, tmp_path: Path) -> None:
    other, moved = media / "other.png", tmp_path / "moved.png"
    moved.write_bytes(other.read_bytes())
    sums = Checksums()
    given = {"source": media / "person.png", "pose": media / "person.png"}
    plain, one, same, more = (
        PoseOptions(**given, **edit)  # type: ignore[arg-type]
        for edit in (
            {},
            {"garment_from": f"{other}:upper"},
            {"garment_from": (f"{moved}:upper",)},
            {"garment_from": f"{other}:all"},
        )
    )
    assert edits_of(plain, sums) == {}
    assert edits_of(one, sums) == edits_of(same, sums) != edits_of(more, sums)
    assert request_of(one, sums) == request_of(same, sums)
    assert len({request_of(options, sums) for options in (plain, one, more)}) == 3


def test_a_morph_goes_from_one_end_to_the_other() -> None:
    assert morph_shares(5) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert morph_shares(1) == (0.5,)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rendered people in full, a.png and b.png, and half of one."""
    folder = tmp_path_factory.mktemp("people")
    for name, seed in (("a", 900_003), ("b", 900_006)):
        write_picture(folder / f"{name}.png", sample_photo(seed, SIZE))
    write_picture(folder / "half.png", np.ascontiguousarray(sample_photo(900_006, SIZE)[: SIZE // 2, 64:-64]))
    return folder


@pytest.fixture
def photos(people: Path, blazepose_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Edits a.png in the photo; the picture as int, with the events in `told`."""
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
    animator = Animator(densepose="body", device="cpu", cache=False)

    def run(told: list[Event] | None = None, **given: Any) -> np.ndarray:
        sink = (lambda event: None) if told is None else told.append
        return animator.edit(people / "a.png", on_event=sink, **given).astype(int)

    return run


def test_in_the_photo_only_what_is_edited_changes(photos: Callable[..., Any], people: Path) -> None:
    told: list[Event] = []
    plain = photos(told, weights="face=0.5")
    assert "options_without_effect" in [event.kind for event in told]
    scaled = np.asarray(Image.open(people / "a.png").resize((512, 512), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(plain - scaled).mean() < 1.5  # it is the photo
    other = people / "b.png"
    changed = {
        "face": photos(face_from=other),
        "lower": photos(garment_from=f"{other}:lower"),
        "tint": photos(tint="upper=#10c020"),
    }
    rows = {name: np.abs(made - plain).mean((1, 2)) for name, made in changed.items()}
    head, chest, legs = slice(30, 85), slice(130, 200), slice(300, 420)
    assert rows["face"][head].mean() > 2 > 5 * rows["face"][legs].mean()
    assert rows["lower"][legs].mean() > 2 > 5 * rows["lower"][head].mean()
    assert rows["tint"][chest].mean() > 2 > 5 * rows["tint"][head].mean()
    edited = np.abs(changed["tint"] - plain).max(-1) > 40
    assert (np.argmax(changed["tint"][edited], axis=-1) == 1).mean() > 0.9  # green


def test_a_photo_that_does_not_show_a_garment_is_refused(photos: Callable[..., Any], people: Path) -> None:
    with pytest.raises(PoseError, match=r"--garment-from .*half\.png does not show the person's shoes"):
        photos(garment_from=f"{people / 'half.png'}:shoes")
