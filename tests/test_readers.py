"""Everything that reads a file of a user does so in one of a few places, which set limits: a new reader is found here.

The table names each function that reads or decodes, and the only files that may call it. `core.bounded_files`,
`core.tables`, `core.plain_data`, `core.pictures`, `core.archives`, `core.array_files`, `video.container` and
`weights.pickles` read for all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OWN = (
    *("mcld_anim/weights/table.py", "mcld_anim/options/load.py"),
    *("mcld_anim/report/page.py", "mcld_anim/report/index_page.py"),
)
"""Files that read what is installed with them."""

READERS: dict[str, tuple[str, ...]] = {
    "Image.open": (
        *("mcld_anim/core/pictures.py", "mcld_anim/core/photo_formats.py", "mcld_anim/video/animated_webp.py"),
        *("mcld_anim/parity/golden.py", "mcld_anim/parity/source_cases.py"),
    ),
    "cv2.imread": (),
    "cv2.imreadmulti": (),
    "cv2.VideoCapture": (),
    # The others decode what they packed themselves.
    "cv2.imdecode": (
        "mcld_anim/pose/iuv_picture.py",
        "mcld_anim/train/body_augment.py",
        "mcld_anim/pose/followed_body.py",
        "mcld_anim/batch/thumbnail.py",
    ),
    "np.load": ("mcld_anim/core/array_files.py", "mcld_anim/body/rig.py", "mcld_anim/run/border.py"),
    "np.fromfile": (),
    "json.load": (),
    # The others read what they wrote, of a size or with a checksum that they check.
    "json.loads": (
        *("mcld_anim/core/plain_data.py", "mcld_anim/train/record.py", "mcld_anim/batch/record.py"),
        *("mcld_anim/core/disk_cache.py", "mcld_anim/core/folder_lock.py", "mcld_anim/run/frame_log.py"),
    ),
    "yaml.load": (),
    "yaml.safe_load": ("mcld_anim/weights/table.py",),
    "yaml.compose": (),
    "yaml.parse": ("mcld_anim/core/plain_data.py",),
    "pickle.load": (),
    "pickle.loads": (),
    "torch.load": ("mcld_anim/weights/pickles.py",),
    "torch.jit.load": ("mcld_anim/pose/torchscript_backend.py", "mcld_anim/metrics/video_distance.py"),
    "zipfile.ZipFile": ("mcld_anim/core/archives.py", "mcld_anim/batch/thumbnail.py"),
    "tarfile.open": ("mcld_anim/setup/package_files.py",),
    "gzip.open": ("mcld_anim/body/build.py",),
    "av.open": (),
    "pyav().open": ("mcld_anim/video/container.py", "mcld_anim/video/join.py"),
    "load_file": (),
    "safe_open": ("mcld_anim/weights/trained.py", "mcld_anim/setup/install.py"),
    # The last reads what the system says of this process.
    ".read_text": (*OWN, "mcld_anim/synthetic/dataset.py", "mcld_anim/setup/fetch.py", "mcld_anim/core/device.py"),
    ".read_bytes": ("mcld_anim/core/disk_cache.py",),
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) of every call that only reads; a method's name begins with a dot."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        writes = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mode")]
        if any(isinstance(mode, ast.Constant) and str(mode.value)[:1] in "wax" for mode in writes):
            continue
        yield ast.unparse(node.func), node
        if isinstance(node.func, ast.Attribute) and f".{node.func.attr}" in READERS:
            yield f".{node.func.attr}", node


def sources() -> list[Path]:
    return [path for folder in ("mcld_anim", "cli") for path in sorted((ROOT / folder).rglob("*.py"))]


def found_readers(text: str) -> set[str]:
    return {name for name, _ in calls(ast.parse(text)) if name in READERS}


def test_files_are_read_in_known_places_only() -> None:
    wrong = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        wrong += [f"{name} calls {reader}" for reader in found_readers(path.read_text()) if name not in READERS[reader]]
    assert not wrong, f"read with limits instead, see the top of this file: {wrong}"


def test_the_table_has_no_reader_that_is_gone() -> None:
    for reader, names in READERS.items():
        for name in names:
            assert reader in found_readers((ROOT / name).read_text()), (reader, name)


@pytest.mark.parametrize(
    "line",
    [
        "Image.open(path)",
        "cv2.imread(str(path))",
        "json.loads(path.read_text())",
        "yaml.safe_load(stream)",
        "zipfile.ZipFile(path)",
        "pyav().open(name)",
        "path.read_bytes()",
    ],
)
def test_a_new_reader_is_found(line: str) -> None:
    assert found_readers(f"def f(path):\n    with {line} as x:\n        return x\n")
    assert not found_readers("zipfile.ZipFile(path, 'w'); pyav().open(name, 'w'); path.write_text('')")


def test_pictures_are_opened_in_promised_formats_only() -> None:
    for path in sources():
        for name, call in calls(ast.parse(path.read_text())):
            if name == "Image.open":
                assert "formats" in {word.arg for word in call.keywords}, path
