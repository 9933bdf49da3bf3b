"""Convert published weights to this project's files: keys checked both ways, written once as safetensors."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, get_args

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mcld_anim.core.archives import ArchiveError, check_members, copy_member, open_archive
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import OutputError, UsageError, WeightsError
from mcld_anim.model.choose import CONFIGURATION_NAME
from mcld_anim.model.keys import PUBLISHED_NETWORKS, published_state
from mcld_anim.options.load import to_mapping
from mcld_anim.options.model import ModelOptions
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.published import MODELS, PublishedFile, PublishedModel

if TYPE_CHECKING:
    from mcld_anim.model.build import Mcld  # it imports diffusers, which takes seconds

SavedDtype = Literal["float32", "float16", "bfloat16"]
BYTES_PER_NUMBER: Mapping[str, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
MOST_FACES_BYTES = 2_000_000_000
"""Most bytes of all files of an archive of face models; antelopev2 has 0.4 GB."""
MOST_GROWTH, SMALL = 20, 10_000_000
"""Most bytes of unpacked networks per byte of their archive, and how many are no harm. Weights hardly shrink."""
GENERIC_NAMES = ("model", "pytorch_model", "diffusion_pytorch_model")
"""File stems that every hub repository uses; the folder must tell which network it is."""


def check_saved_dtype(dtype: str) -> SavedDtype:
    """Return `dtype` if weights can be saved in it; raise UsageError otherwise."""
    for known in get_args(SavedDtype):
        if dtype == known:
            return known
    raise UsageError(f"--dtype {dtype} is not known; choose {', '.join(get_args(SavedDtype))}")


def network_file(part: str) -> str:
    """The file name of a published part in this project: that of the network it fills, as in the embedded model."""
    return f"{PUBLISHED_NETWORKS[part].partition('.')[0]}.safetensors"


def convert(
    source: Path,
    target: Path,
    options: ModelOptions,
    dtype: SavedDtype = "float32",
    on_file: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Convert a folder in the published layout, or one file of another network; return the files written."""
    if source.is_dir():
        return convert_model(source, target, options, dtype, on_file)
    if not source.is_file():
        raise UsageError(f"{source} does not exist: give a folder of checkpoints, a .pkl or .pth file or a .zip")
    if source.suffix == ".zip":
        return unpack_faces(source, target)
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} does not end in .safetensors: that is what a single weights file becomes")
    convert_arrays(source, target, dtype)
    return [target]


def convert_model(
    source: Path, target: Path, options: ModelOptions, dtype: SavedDtype, on_file: Callable[[str], None]
) -> list[Path]:
    """Convert the six checkpoints of a published or self-trained model into a folder for `--model`."""
    published = next(model for model in MODELS if model.use == "model")
    found = {file.part: find_local(file, published, source) for file in published.files}
    written = []
    for part, path in found.items():
        on_file(f"{part} from {path}")
        written.append(target / network_file(part))
        convert_part(path, part, options, written[-1], dtype)
    with _written(target / CONFIGURATION_NAME) as configuration:
        configuration.write_text(_as_yaml(options), encoding="utf-8")
    return written


def find_local(file: PublishedFile, model: PublishedModel, folder: Path) -> Path:
    """Find a part among the user's files by any of its published names, in the folder or below it."""
    for name in file.origin.names:
        base = name.rsplit("/", 1)[-1]
        candidates = [folder / name, folder / file.part / base]
        if base.partition(".")[0] not in GENERIC_NAMES:
            candidates += [folder / base, *sorted(folder.glob(f"**/{base}"))]
        for path in candidates:
            if path.is_file():
                return path
    if model.use == "faces":
        for path in (folder, folder / file.part, folder / file.part / file.part):
            if any(path.glob("*.onnx")):
                return path
    raise WeightsError(
        f"{folder} has no {' or '.join(file.origin.names)} for {file.part}: put it there (the VAE and the image "
        f"encoder in folders of their own, as in {file.part}/), or pull without --from"
    )


def convert_part(source: Path, part: str, options: ModelOptions, target: Path, dtype: SavedDtype = "float32") -> None:
    """Read one published checkpoint, check its keys against the model's, and write it to `target`."""
    state = published_state(_meta_model(options), part, read_tensors(source))
    inner = PUBLISHED_NETWORKS[part].partition(".")[2]
    prefix = f"{inner}." if inner else ""
    write_tensors(target, {prefix + key: value for key, value in state.items()}, dtype)


@lru_cache(maxsize=1)
def _meta_model(options: ModelOptions) -> Mcld:
    """The networks on the meta device: keys and shapes without memory."""
    from mcld_anim.model.build import build_mcld

    with torch.device("meta"):
        return build_mcld(options)


def convert_arrays(source: Path, target: Path, dtype: SavedDtype = "float32", kept: tuple[str, ...] = ()) -> None:
    """Convert a weights file of another network (DensePose's pickle) to safetensors with unchanged keys.

    `kept`: patterns of the keys that are written; none: all.
    """
    tensors = read_tensors(source)
    chosen = {key: value for key, value in tensors.items() if not kept or any(fnmatchcase(key, one) for one in kept)}
    write_tensors(target, chosen, dtype)


def write_tensors(target: Path, tensors: Mapping[str, Tensor], dtype: SavedDtype) -> None:
    """Write tensors as safetensors, atomically; floating-point ones in `dtype`."""
    wanted = getattr(torch, dtype)
    packed = {name: _packed(value, wanted) for name, value in tensors.items()}
    for name, value in packed.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{name} has values that are not finite in {dtype}: convert with --dtype float32")
    with _written(target) as path:
        save_file(packed, path)


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """`durable_file` that names the file if the disk is full."""
    try:
        with durable_file(target, overwrite=True) as path:
            yield path
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OutputError(f"{target} could not be written ({reason}): make room, or choose another folder") from error


def _packed(value: Tensor, wanted: torch.dtype) -> Tensor:
    """A contiguous tensor in the wanted dtype that owns its storage: safetensors writes no views."""
    value = (value.to(wanted) if value.is_floating_point() else value).contiguous()
    whole = value.untyped_storage().nbytes() == value.nbytes
    return value if whole else value.clone()


def unpack_faces(source: Path, folder: Path) -> list[Path]:
    """Unpack the ONNX files of an insightface archive or folder flat into `folder`.

    The published archive of antelopev2 has one folder level too many for insightface.
    """
    if source.is_dir():
        written = [folder / path.name for path in sorted(source.glob("*.onnx"))]
        for target in written:
            with _written(target) as path:
                shutil.copyfile(source / target.name, path)
        return written
    try:
        with open_archive(source) as zipped:
            entries = [entry for entry in zipped.infolist() if entry.filename.endswith(".onnx")]
            if len({PurePosixPath(entry.filename).name for entry in entries}) != len(entries):
                raise ArchiveError("two of its networks have one name")
            check_members(entries, min(MOST_FACES_BYTES, MOST_GROWTH * source.stat().st_size + SMALL))
            written = [_unpack(zipped, entry, folder) for entry in entries]
    except ArchiveError as error:
        raise WeightsError(f"{source} cannot be unpacked ({error}): download it again") from error
    if not written:
        raise WeightsError(f"{source} holds no .onnx file: it is not an archive of insightface models")
    return written


def _unpack(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> Path:
    """Unpack one archive entry under its base name only: its path could lead outside the folder."""
    target = folder / PurePosixPath(entry.filename).name
    with _written(target) as path, path.open("wb") as file:
        copy_member(zipped, entry, file)
    return target


def _as_yaml(options: ModelOptions) -> str:
    return yaml.safe_dump(to_mapping(options), sort_keys=False)
