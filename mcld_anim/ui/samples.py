"""The sample photos and the sample dance, for a first result without a file of one's own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A photo and a driving video."""

    label: str
    photo: Path
    driving: Path


def samples_in(folder: Path) -> list[Sample]:
    """The samples, copied into a folder that the page may serve."""
    folder.mkdir()
    for name in ("astronaut.jpg", "person.png", "dance.mp4"):
        with resources.as_file(resources.files("mcld_anim.samples") / name) as path:
            shutil.copyfile(path, folder / name)
    dance = folder / "dance.mp4"
    return [
        Sample("Sample: a portrait and a dance", folder / "astronaut.jpg", dance),
        Sample("Sample: a rendered person and a dance", folder / "person.png", dance),
    ]
