"""`mcld-anim models pull`: fetch a published model's files, check them, and convert each once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    find_given,
    network_file,
    unpack_faces,
)
from mcld_anim.setup.fetch import Progress, cached, fetch
from mcld_anim.weights.published import HubFile, PublishedFile, PublishedModel, published_model
from mcld_anim.weights.store import Pulled, add_to_record, model_folder, need_space, problem, read_record

DOWNLOADS = "downloads"
"""Below a model's folder: what is being fetched. A file is deleted there once it is converted."""
EMBEDDER = "glintr100.onnx"
"""Of antelopev2, the file that makes the embeddings."""


@dataclass(frozen=True)
class PullRequest:
    """What is to be fetched, and how it is kept."""

    name: str
    dtype: SavedDtype = "float32"  # of the converted diffusion model
    from_folder: Path | None = None  # files the user has already, instead of downloads
    accept_licences: bool = False
    options: ModelOptions | None = None  # the architecture, where it is not the name's own
    folder: Path | None = None  # where it is kept, where that is not its own place


Confirm = Callable[[str], bool]
"""Shows the licences that forbid commercial use and asks whether to go on."""


def pull(
    request: PullRequest,
    confirm: Confirm,
    on_file: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Fetch and convert what is missing; returns the model's folder. Files that are there and whole stay."""
    model = published_model(request.name)
    folder = request.folder or model_folder(model.name)
    record = read_record(folder)
    missing = [file for file in model.files if problem(folder, record.get(file.part))]
    if not missing:
        on_file(f"{model.name} is complete in {folder}")
        return folder
    given = _given(missing, model, request.from_folder)
    ask_for_licences(model, missing, request.accept_licences, confirm)
    need_space(folder, space_needed(missing, given, request.dtype) - _downloaded(folder), model.name)
    for file in missing:
        source = given.get(file.part)
        on_file(f"{file.part} from {source or file.origin}")
        path = source or fetch(file.origin, folder / DOWNLOADS / file.part, progress)
        keep(file, path, folder, request, record.get(file.part))
        if source is None:
            shutil.rmtree(folder / DOWNLOADS / file.part, ignore_errors=True)
    shutil.rmtree(folder / DOWNLOADS, ignore_errors=True)
    return folder


def ask_for_licences(model: PublishedModel, files: Sequence[PublishedFile], accepted: bool, confirm: Confirm) -> None:
    """Show what may not be used commercially; UsageError where the user does not agree."""
    lines = [f"  {file.part}: {file.licence} ({file.origin})" for file in files if not file.commercial]
    if not lines or accepted:
        return
    text = f"{model.name} has files whose licence forbids or does not grant commercial use:\n" + "\n".join(lines)
    if not confirm(text):
        raise UsageError(f"{model.name} was not fetched: agree, or give --accept-licences if you have read them")


def _given(files: Sequence[PublishedFile], model: PublishedModel, folder: Path | None) -> dict[str, Path]:
    """What need not be downloaded, by part: the user's own files, else what the hub's cache holds."""
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"--from {folder} is not a folder: give the one that holds the downloaded files")
        return {file.part: find_given(file, model, folder) for file in files}
    found = {file.part: cached(file.origin) for file in files if isinstance(file.origin, HubFile)}
    return {part: path for part, path in found.items() if path is not None}


def space_needed(files: Sequence[PublishedFile], given: dict[str, Path], dtype: SavedDtype) -> int:
    """Bytes for all converted files and for the largest download: each is deleted once it is converted."""
    largest = max((file.about_bytes for file in files if file.part not in given), default=0)
    kept = sum(file.parameters * BYTES_PER_NUMBER[dtype] or file.about_bytes for file in files)
    return largest + kept


def _downloaded(folder: Path) -> int:
    """Bytes that an earlier pull has left of its last file."""
    return sum(path.stat().st_size for path in (folder / DOWNLOADS).rglob("*") if path.is_file())


def keep(file: PublishedFile, source: Path, folder: Path, request: PullRequest, known: Pulled | None) -> None:
    """Check a file against what is known of it, convert it into `folder`, and record it."""
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
            f"published anew, run `mcld-anim models remove {request.name}` first"
        )
    written = write_files(file, source, folder, request)
    target = _main_file(written)
    more = {path.name: Checksums().of(path) for path in written if path != target}
    digest = Checksums().of(target)
    add_to_record(
        folder,
        file.part,
        Pulled(target.name, target.stat().st_size, digest, size, checksum, str(file.origin), more),
    )


def write_files(file: PublishedFile, source: Path, folder: Path, request: PullRequest) -> list[Path]:
    """A published file as this project keeps it."""
    model = published_model(request.name)
    if model.use == "model":
        target = folder / network_file(file.part)
        options = request.options or load_model_options(model.configuration)
        convert_part(source, file.part, options, target, request.dtype)
        return [target]
    if model.use == "faces":
        return unpack_faces(source, folder)
    if model.use == "densepose":
        target = folder / f"{file.part}.safetensors"
        convert_arrays(source, target)
        return [target]
    target = folder / f"{file.part}.torchscript"
    return [_copy(source, target)]


def _copy(source: Path, target: Path) -> Path:
    with durable_file(target, overwrite=True) as path:
        shutil.copyfile(source, path)
    return target


def _main_file(written: Sequence[Path]) -> Path:
    """The embedder of face models, otherwise the only file."""
    return next((path for path in written if path.name == EMBEDDER), written[0])


def _size(source: Path) -> int:
    paths = source.glob("*.onnx") if source.is_dir() else [source]
    return sum(path.stat().st_size for path in paths)
