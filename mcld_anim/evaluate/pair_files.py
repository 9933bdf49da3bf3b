"""Which picture belongs to which: generated, target and source by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcld_anim.core.errors import InputError

SIZES = {"256x176": (256, 176), "512x352": (512, 352)}
"""Height and width of the published evaluation's pictures."""
SEPARATOR = "_2_"
"""Between the names of source and target in the published names of results, SOURCE_2_TARGET.png."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})


@dataclass(frozen=True)
class PairFiles:
    """The pictures of one pair."""

    name: str  # of the generated picture, without suffix
    generated: Path
    target: Path
    source: Path | None  # None: not given, or not found


@dataclass(frozen=True)
class Matching:
    """The pairs of two or three folders, and what has no partner."""

    pairs: tuple[PairFiles, ...]
    unmatched_generated: tuple[str, ...]  # names without a target
    unmatched_targets: tuple[str, ...]  # names that no generated picture belongs to
    without_source: int  # pairs; 0 if no sources are given


def size_folder(folder: Path, size: str) -> Path:
    """The folder of a size's pictures: 256 or 512 as published, else `folder` itself."""
    own = folder / size.split("x")[0]
    return own if own.is_dir() else folder


def is_picture(path: Path) -> bool:
    """Whether a file is named as a picture. Hidden ones are left over from killed programs, or describe others."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def pictures_by_name(folder: Path, what: str) -> dict[str, Path]:
    """The pictures of a folder by name without suffix. InputError without any, or if two have one name."""
    if not folder.is_dir():
        raise InputError(f"{what} {folder} is no folder: give one that holds pictures")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_picture(path):
            continue
        if path.stem in found:
            raise InputError(f"{what} {folder} has {found[path.stem].name} and {path.name}: keep one of a name")
        found[path.stem] = path
    if not found:
        raise InputError(f"{what} {folder} holds no picture (nor a folder 256 or 512 that does)")
    return found


def match_pairs(generated: Path, target: Path, source: Path | None = None) -> Matching:
    """Match pictures of equal names, and SOURCE_2_TARGET with TARGET and SOURCE.

    InputError if nothing matches, or if a name can be taken apart in several ways that all fit.
    """
    made, targets = pictures_by_name(generated, "--generated"), pictures_by_name(target, "--target")
    sources = {} if source is None else pictures_by_name(source, "--source")
    pairs, lonely, used = [], [], set()
    for name, path in made.items():
        found = _partners(name, targets, sources)
        if found is None:
            lonely.append(name)
            continue
        used.add(found[1])
        pairs.append(PairFiles(name, path, targets[found[1]], sources.get(found[0])))
    if not pairs:
        raise InputError(
            f"no picture of {generated} has a target in {target}: names must be equal, as a.png and a.jpg, or like "
            f"SOURCE{SEPARATOR}TARGET.png; {generated} begins with {next(iter(made))}, {target} with "
            f"{next(iter(targets))}"
        )
    missing = 0 if source is None else sum(pair.source is None for pair in pairs)
    return Matching(tuple(pairs), tuple(lonely), tuple(sorted(targets.keys() - used)), missing)


def _partners(name: str, targets: Mapping[str, Path], sources: Mapping[str, Path]) -> tuple[str, str] | None:
    """The names of a generated picture's source and target; None without a target."""
    parts = name.split(SEPARATOR)
    splits = [(SEPARATOR.join(parts[:at]), SEPARATOR.join(parts[at:])) for at in range(1, len(parts))]
    if name in targets:
        known = [one for one in splits if one[0] in sources]
        return (name if name in sources or not known else known[0][0]), name
    fitting = [one for one in splits if one[1] in targets]
    best = [one for one in fitting if one[0] in sources] or fitting
    if len(best) > 1:
        ways = " or ".join(f"{first} and {second}" for first, second in best)
        raise InputError(f"{name} could be of {ways}: rename its target as it, or give --source")
    return best[0] if best else None
