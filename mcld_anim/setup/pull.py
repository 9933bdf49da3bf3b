"""`mcld-anim models pull`: fetch a published model's files, check them, and convert each once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.setup.convert import (
    BYTES_PER_NUMBER,
    SavedDtype,
    convert_arrays,
    convert_part,
    find_local,
    network_file,
    unpack_faces,
)
from mcld_anim.setup.fetch import ByteProgress, fetch, find_cached
from mcld_anim.setup.patience import PATIENT, Patience
from mcld_anim.weights.origins import HubFile, Origin
from mcld_anim.weights.published import PublishedFile, PublishedModel, published_model
from mcld_anim.weights.store import PulledFile, add_to_record, check_free_space, find_problem, model_folder, read_record

DOWNLOADS = "downloads"
"""Subfolder of a model's folder for files being downloaded. Each is deleted once it is converted."""
ARCHIVES = "archives"
"""Subfolder of the downloads for packages and bundles that hold several files. Deleted at the end of the pull."""
ANTELOPE_EMBEDDER = "glintr100.onnx"
"""The file of antelopev2 that computes embeddings."""


@dataclass(frozen=True)
class PullOptions:
    """What to fetch and how to store it."""

    name: str
    dtype: SavedDtype = "float32"  # of the converted diffusion model
    from_folder: Path | None = None  # files the user already has, instead of downloads
    accept_licences: bool = False
    architecture: ModelOptions | None = None  # None: the published model's own
    folder: Path | None = None  # where to store the model; None: its folder in `models_folder()`
    patience: Patience = PATIENT  # of its downloads

    def __post_init__(self) -> None:
        published_model(self.name)


Confirm = Callable[[str], bool]
"""Shows the licences that do not grant commercial use and asks whether to proceed."""


def pull(
    options: PullOptions,
    confirm: Confirm,
    on_file: Callable[[str], None] = lambda text: None,
    progress: ByteProgress = lambda done, total: None,
) -> Path:
    """Fetch and convert missing or damaged files; return the model's folder. Intact files are kept.

    Of several processes that pull a model into the same folder, one does and the others wait for it.
    """
    model = published_model(options.name)
    folder = options.folder or model_folder(model.name)
    missing = _missing(model.files, folder)
    if missing:
        with _alone(folder):
            missing = _missing(missing, folder)  # another process may have fetched them meanwhile
            try:
                _pull(model, missing, folder, options, confirm, on_file, progress)
            except OSError as error:
                raise WeightsError(
                    f"{model.name} is not complete in {folder} ({error.strerror or error}): make room there, or set "
                    "MCLD_ANIM_HOME to another folder; the same command fetches what is missing"
                ) from error
            finally:
                _drop_archives(folder)
    if not missing:
        on_file(f"{model.name} is complete in {folder}")
    return folder


def _missing(files: Sequence[PublishedFile], folder: Path) -> list[PublishedFile]:
    """The files that are missing or damaged."""
    record = read_record(folder)
    return [file for file in files if find_problem(folder, record.get(file.part))]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from pulling into `folder`; a process that is killed lets go of it."""
    from huggingface_hub.utils import WeakFileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock")
        lock.touch()
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written ({error}): set MCLD_ANIM_HOME to a folder of yours") from error
    with WeakFileLock(lock):
        yield


def _pull(
    model: PublishedModel,
    missing: Sequence[PublishedFile],
    folder: Path,
    options: PullOptions,
    confirm: Confirm,
    on_file: Callable[[str], None],
    progress: ByteProgress,
) -> None:
    """Fetch, convert and record the missing files."""
    record = read_record(folder)
    local = _local_files(missing, model, options.from_folder)
    confirm_licences(model, missing, options.accept_licences, confirm)
    check_free_space(folder, space_needed(missing, local, options.dtype) - _downloaded(folder), model.name)
    for file in missing:
        source = local.get(file.part)
        on_file(f"{file.part} from {source or file.origin}")
        origin, path = (file.origin, source) if source else fetch_anywhere(file, folder, options, on_file, progress)
        chosen = file if origin is file.origin else replace(file, origin=origin, sha256=file.sha256_elsewhere)
        convert_and_record(chosen, path, folder, options, record.get(file.part))
        if source is None:
            shutil.rmtree(folder / DOWNLOADS / file.part, ignore_errors=True)
    shutil.rmtree(folder / DOWNLOADS, ignore_errors=True)


def _drop_archives(folder: Path) -> None:
    """Delete packages and bundles; unfinished downloads stay for the next pull."""
    for path in (folder / DOWNLOADS / ARCHIVES).glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif ".incomplete" not in path.name:
            path.unlink()


def fetch_anywhere(
    file: PublishedFile,
    folder: Path,
    options: PullOptions,
    on_file: Callable[[str], None],
    progress: ByteProgress,
) -> tuple[Origin, Path]:
    """A file from its origin or, where that fails, from its other one; which of them, and where it lies now."""
    place, archives = folder / DOWNLOADS / file.part, folder / DOWNLOADS / ARCHIVES
    try:
        return file.origin, fetch(file.origin, place, progress, options.patience, archives)
    except WeightsError as error:
        if file.elsewhere is None:
            raise
        on_file(f"{error}; {file.part} from {file.elsewhere}")
        return file.elsewhere, fetch(file.elsewhere, place, progress, options.patience, archives)


def confirm_licences(model: PublishedModel, files: Sequence[PublishedFile], accepted: bool, confirm: Confirm) -> None:
    """Show the files that may not be used commercially; raise UsageError if the user declines."""
    lines = [f"  {file.part}: {file.licence} ({file.origin})" for file in files if not file.commercial]
    if not lines or accepted:
        return
    text = f"{model.name} has files whose licence forbids or does not grant commercial use:\n" + "\n".join(lines)
    if not confirm(text):
        raise UsageError(f"{model.name} was not fetched: agree, or give --accept-licences if you have read them")


def _local_files(files: Sequence[PublishedFile], model: PublishedModel, folder: Path | None) -> dict[str, Path]:
    """Files that need no download, by part: the user's own, or those in the hub's cache."""
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"--from {folder} is not a folder: give the one that holds the downloaded files")
        return {file.part: find_local(file, model, folder) for file in files}
    found = {file.part: find_cached(file.origin) for file in files if isinstance(file.origin, HubFile)}
    return {part: path for part, path in found.items() if path is not None}


def space_needed(files: Sequence[PublishedFile], local: dict[str, Path], dtype: SavedDtype) -> int:
    """Bytes for all converted files and the largest download: each download is deleted once it is converted."""
    largest = max((file.estimated_bytes for file in files if file.part not in local), default=0)
    kept = sum(file.parameters * BYTES_PER_NUMBER[dtype] or file.estimated_bytes for file in files)
    return largest + kept


def _downloaded(folder: Path) -> int:
    """Bytes of unfinished downloads that an earlier pull left behind."""
    return sum(path.stat().st_size for path in (folder / DOWNLOADS).rglob("*") if path.is_file())


def convert_and_record(
    file: PublishedFile, source: Path, folder: Path, options: PullOptions, known: PulledFile | None
) -> None:
    """Check a file against the table and its record (`known`), convert it into `folder`, and record it."""
    size, checksum = _size(source), Checksums().of(source)
    if file.sha256 is not None and checksum != file.sha256:
        raise WeightsError(
            f"{file.part}: {source} is not the published file (SHA-256 {checksum}, expected {file.sha256}): "
            "delete it and pull again"
        )
    if known is not None and (size, checksum) != (known.source_bytes, known.source_sha256):
        raise WeightsError(
            f"{file.part}: {source} is not the file that was pulled before ({size} bytes, SHA-256 "
            f"{checksum[:16]}..., expected {known.source_bytes} bytes, {known.source_sha256[:16]}...): if it was "
            f"published anew, run `mcld-anim models remove {options.name}` first"
        )
    written = write_files(file, source, folder, options)
    target = _main_file(written)
    more = {path.name: Checksums().of(path) for path in written if path != target}
    digest = Checksums().of(target)
    add_to_record(
        folder,
        file.part,
        PulledFile(target.name, target.stat().st_size, digest, size, checksum, str(file.origin), more),
    )


def write_files(file: PublishedFile, source: Path, folder: Path, options: PullOptions) -> list[Path]:
    """Convert a published file to this project's format; return the files written."""
    model = published_model(options.name)
    if model.use == "model":
        target = folder / network_file(file.part)
        architecture = options.architecture or load_model_options(model.configuration)
        convert_part(source, file.part, architecture, target, options.dtype)
        return [target]
    if model.use == "faces":
        return unpack_faces(source, folder)
    if model.use == "densepose":
        target = folder / f"{file.part}.safetensors"
        convert_arrays(source, target)
        return [target]
    if model.use == "metric" and source.suffix == ".pth":
        target = folder / f"{file.part}.safetensors"
        convert_arrays(source, target, kept=file.kept)
        return [target]
    target = folder / f"{file.part}.{'tflite' if model.use == 'body' else 'torchscript'}"
    return [_copy(source, target)]


def _copy(source: Path, target: Path) -> Path:
    with durable_file(target, overwrite=True) as path:
        shutil.copyfile(source, path)
    return target


def _main_file(written: Sequence[Path]) -> Path:
    """The file whose size and checksum head the record: a face model's embedder, otherwise the only file."""
    return next((path for path in written if path.name == ANTELOPE_EMBEDDER), written[0])


def _size(source: Path) -> int:
    paths = source.glob("*.onnx") if source.is_dir() else [source]
    return sum(path.stat().st_size for path in paths)
