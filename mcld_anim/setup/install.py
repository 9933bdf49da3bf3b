"""Install a training export into the package as the embedded model: `python -m mcld_anim.setup.install DIR`.

For this project's developers. Each file must hold half-precision tensors only; it is copied and entered in the table
with its checksum. The total stays within `MAX_BYTES`, a reasonable size for a package.
"""

from __future__ import annotations

import shutil
import sys
from math import prod
from pathlib import Path

import yaml
from safetensors import safe_open

from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.table import EMBEDDED_FOLDER, PARTS, TABLE_NAME

MAX_BYTES = 40_000_000
"""Size limit in bytes of all embedded files together."""


def install(export: Path) -> int:
    """Copy `export/<part>.safetensors` into the package and rewrite the table; return the total size in bytes."""
    sources = {part: export / f"{part}.safetensors" for part in PARTS}
    missing = [path.name for path in sources.values() if not path.is_file()]
    if missing:
        raise WeightsError(f"{export} lacks {', '.join(missing)}: export those parts from their trainings first")
    total = sum(path.stat().st_size for path in sources.values())
    if total > MAX_BYTES:
        raise WeightsError(f"the parts in {export} hold {total} bytes, at most {MAX_BYTES} may be embedded")
    rows = [_row(part, path) for part, path in sources.items()]
    EMBEDDED_FOLDER.mkdir(exist_ok=True)
    for path in sources.values():
        shutil.copyfile(path, EMBEDDED_FOLDER / path.name)
    (EMBEDDED_FOLDER / TABLE_NAME).write_text(yaml.safe_dump(rows, sort_keys=False), encoding="utf-8")
    return total


def _row(part: str, path: Path) -> dict[str, object]:
    with safe_open(path, framework="pt") as tensors:
        slices = [tensors.get_slice(key) for key in tensors.keys()]  # noqa: SIM118 - not a mapping
        wide = {piece.get_dtype() for piece in slices} & {"F32", "F64"}
        if wide:
            raise WeightsError(f"{path.name} holds {sorted(wide)} tensors; embedded weights are half precision")
        parameters = sum(prod(piece.get_shape()) for piece in slices)
    return {
        "part": part,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "parameters": parameters,
        "licence": "Apache-2.0",
        "origin": f"mcld-anim train, see MODEL_CARD.md ({part})",
    }


if __name__ == "__main__":
    print(f"{install(Path(sys.argv[1])) / 1e6:.1f} MB embedded")
