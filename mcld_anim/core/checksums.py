"""SHA-256 of inputs, which identifies them by content instead of by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mcld_anim.core.bounded_files import UnboundedError, check_regular
from mcld_anim.core.errors import InputError


class Checksums:
    """Caches checksums: a file is read once while its size and modification time stay the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: Path) -> str:
        """SHA-256 of a file, or of the names and contents of a folder's files, as lower-case hex."""
        try:
            if path.is_dir():
                return self._of_folder(path)
            check_regular(path)
            status = path.stat()
            key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
            if key not in self._known:
                self._known[key] = file_sha256(path)
            return self._known[key]
        except UnboundedError as error:
            raise InputError(f"{path} cannot be read ({error}): give a file or a folder") from error
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from error

    def of_all(self, paths: Iterable[Path]) -> dict[str, str]:
        """The same of several files or folders, by their paths as text."""
        return {str(path): self.of(path) for path in paths}

    def _of_folder(self, folder: Path) -> str:
        digest = hashlib.sha256()
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(folder).as_posix()}\0{self.of(file)}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
