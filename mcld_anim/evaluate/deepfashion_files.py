"""DeepFashion's In-shop Clothes Retrieval pictures and the pair lists of pose transfer, in their published layouts.

A root holds the pictures as their archive has them, MEN and WOMEN with folders of clothes and people, or as the
published preparation copies them, `train` and `test` with names made of the whole path. Lists name pictures in the
second way: WOMEN/Dresses/id_00000012/02_1_front.jpg is fashionWOMENDressesid0000001202_1front.jpg.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mcld_anim.core.errors import InputError
from mcld_anim.core.tables import read_text
from mcld_anim.evaluate.pair_files import SEPARATOR, is_picture
from mcld_anim.run.prepared_pictures import read_pairs

PAIR_LISTS = ("test.csv", "fashion-resize-pairs-test.csv", "fasion-pairs-test.csv", "fashion-pairs-test.csv")
"""Names of published lists of test pairs, with the columns from,to."""
LIST_FOLDERS = (".", "deepfashion_utils", "data")
GENDERS = ("MEN", "WOMEN")
RAW_FOLDERS = (".", "img_highres")
"""Where MEN and WOMEN lie in a root."""
TRAINING_LIST = "train.lst"
"""Names of the training set's pictures, one a line."""
PREFIX = "fashion"


@dataclass(frozen=True)
class Pair:
    """One pair of the list."""

    number: int  # in the list, from 0: the noise depends on it
    source: str
    target: str

    @property
    def name(self) -> str:
        """The published name of its result, without suffix."""
        return f"{_stem(self.source)}{SEPARATOR}{_stem(self.target)}"


@dataclass(frozen=True)
class DeepFashion:
    """A data set's folder."""

    root: Path
    listed: Path  # the list of pairs

    @classmethod
    def open(cls, root: Path, pairs: Path | None = None) -> DeepFashion:
        """The data set with a list, or with the first published one that its folder holds."""
        if not root.is_dir():
            raise InputError(f"--root {root} is no folder: give the one that holds test, or MEN and WOMEN")
        places = [root / folder / name for folder in LIST_FOLDERS for name in PAIR_LISTS]
        found = pairs or next((path for path in places if path.is_file()), None)
        if found is None:
            raise InputError(f"--root {root} holds no list of pairs ({', '.join(PAIR_LISTS)}): give one with --pairs")
        return cls(root, found)

    def pairs(self, most: int | None = None) -> tuple[Pair, ...]:
        """The first `most` pairs of the list (None: all)."""
        named = read_pairs(self.listed)[:most]
        if not named:
            raise InputError(f"{self.listed} lists no pair")
        return tuple(Pair(number, *names) for number, names in enumerate(named))

    def picture(self, name: str) -> Path:
        """The file of a listed picture. InputError says where it was looked for."""
        for folder in ("test", "train", "."):
            path = self.root / folder / name
            if path.is_file():
                return path
        if name in self._raw:
            return self._raw[name]
        raise InputError(f"{name} of {self.listed} is neither in {self.root}/test or train, nor below MEN or WOMEN")

    def training(self) -> list[Path]:
        """The pictures of the training set: in `train`, or named by `train.lst`; none if neither is there."""
        folder = self.root / "train"
        if folder.is_dir():
            return sorted(path for path in folder.iterdir() if is_picture(path))
        lists = [self.root / place / TRAINING_LIST for place in LIST_FOLDERS]
        names_file = next((path for path in lists if path.is_file()), None)
        if names_file is None:
            return []
        try:
            names = sorted({line.strip() for line in read_text(names_file).splitlines() if line.strip()})
        except (ValueError, OSError) as error:
            raise InputError(f"{names_file} cannot be read as a list of pictures: {error}") from error
        return [self.picture(name) for name in names]

    def iuv_folder(self) -> Path | None:
        """The published folder of the test pictures' IUV; None if it is not there."""
        folder = self.root / "test_densepose"
        return folder if folder.is_dir() else None

    @cached_property
    def _raw(self) -> dict[str, Path]:
        """The archive's pictures by the names of the lists."""
        found = {}
        for place in RAW_FOLDERS:
            for gender in GENDERS:
                for path in sorted((self.root / place / gender).rglob("*")):
                    if is_picture(path):
                        found[flat_name(path.relative_to(self.root / place))] = path
        return found


def flat_name(path: Path) -> str:
    """The name in the lists of a picture at GENDER/CLOTHES/id_PERSON/VIEW_NUMBER_SIDE.jpg."""
    *folders, person, file = path.parts
    view, _, side = file.partition("_")
    return PREFIX + "".join(folders) + person.replace("_", "") + (f"{view}_{side.replace('_', '')}" if side else view)


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix().replace("/", "")
