"""The outputs of a batch, looked up by folder: ten thousand rows often share a few."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mcld_anim.batch.rows import Row
from mcld_anim.core.durable import MAX_NAME_BYTES
from mcld_anim.core.errors import ManifestError, OutputError
from mcld_anim.core.outputs import check_writable


class OutputNames:
    """The names that exist in each output folder, listed once."""

    def __init__(self) -> None:
        self._names: dict[Path, frozenset[str]] = {}

    def has(self, path: Path) -> bool:
        """Whether a file or folder of this path existed when its folder was listed."""
        return path.name in self._of(path.parent)

    def check_writable(self, rows: Sequence[Row]) -> None:
        """Refuse outputs that cannot be written: ManifestError with a line per row. A file is tried once per folder."""
        errors: list[str] = []
        tried: set[Path] = set()
        for row in rows:
            files = row.files.all
            long = any(len(os.fsencode(path.name)) > MAX_NAME_BYTES for path in files)
            folder = row.files.result.parent
            try:
                if long or folder not in tried or any(self.has(path) for path in files):
                    check_writable(row.files, row.options.overwrite)
                tried.add(folder)
            except OutputError as error:
                errors.append(f"{row.title}: {error}")
        if errors:
            raise ManifestError("\n".join(errors))

    def _of(self, folder: Path) -> frozenset[str]:
        if folder not in self._names:
            self._names[folder] = frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()
        return self._names[folder]
