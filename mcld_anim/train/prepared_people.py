"""Rendered people prepared for the diffusion training: the outputs of the frozen networks, computed once.

Each person has the latents of every view and, for each source view, the texture latents, the pixels for its two CLIP
embeddings, the face embedding, and the latents of the warped source for every view. There is one `.npz` per person,
written under a temporary name and renamed, so preparation can resume, run in several processes, and continue during a
training.

Where there are too many latents to prepare (`train.prepared_pairs`), pictures replace them, and the loss encodes them
(`train.latents`). Everywhere, pictures are uint8 with channels last, and latents are float with channels first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mcld_anim.core.array_files import read_arrays
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.device import choose_device
from mcld_anim.core.errors import InputError, UsageError
from mcld_anim.model.appearance import resized
from mcld_anim.model.vae import LatentAutoencoder, build_vae
from mcld_anim.model.warped_source import WarpedSources
from mcld_anim.options.model import LATENT_STRIDE, ModelOptions, load_model_options
from mcld_anim.pose.condition import warped_source
from mcld_anim.source.background import without_person
from mcld_anim.source.clip import clip_pixels
from mcld_anim.source.face import load_face_backend
from mcld_anim.source.fill import complete_atlas
from mcld_anim.source.texture import source_texture
from mcld_anim.train.latents import encode_pictures
from mcld_anim.train.parts import load_into
from mcld_anim.train.views import PeopleViews

FaceEmbedder = Callable[[Picture, Iuv], "np.ndarray | None"]
FILE_NAME = "person_{:05d}.npz"
FILE_PATTERN = re.compile(r"person_(\d+)\.npz")


@dataclass(frozen=True, eq=False)
class PreparedPerson:
    """One person's views (V) and sources (S, the first views); C latent channels, h x w latent cells.

    Latents are float16 if read from a file, float32 from `with_latents`.
    """

    views: np.ndarray
    """(V, C, h, w): scaled latents of every view; or uint8 (V, H, W, 3): the RGB pictures themselves."""
    warped_sources: np.ndarray | None
    """(V, C + 1, h, w): the Pose Guider's input for view v, from source v modulo S; or uint8 (V, H, W, 4): its RGB, and
    255 where the colour was seen, 0 where it is filled in. None for models without warped sources."""
    textures: np.ndarray
    """(S, C, h_t, w_t): scaled latents of the UV texture; or uint8 (S, H_t, W_t, 3): its RGB picture."""
    photo_pixels: np.ndarray
    """float16 or float32 (S, 3, side, side): normalised CLIP input of the source picture."""
    texture_pixels: np.ndarray
    """float16 or float32 (S, 3, side, side): normalised CLIP input of the UV texture."""
    faces: np.ndarray
    """float32 (S, E): face embedding; zeros if the source shows no face."""

    def targets(self, source: int) -> list[int]:
        """The views whose warped sources come from this source."""
        return list(range(source, len(self.views), len(self.textures)))

    @classmethod
    def read(cls, path: Path) -> PreparedPerson:
        """Read a file written by `write`."""
        arrays = read_arrays(path)
        return cls(views=arrays.pop("latents"), warped_sources=arrays.pop("warped_sources", None), **arrays)

    def write(self, path: Path) -> None:
        """Write a file atomically. Its views must be latents."""
        partial = path.with_name(f".{path.stem}.partial-{os.getpid()}.npz")
        arrays = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        arrays["latents"] = arrays.pop("views")
        np.savez(partial, **{name: array for name, array in arrays.items() if array is not None})
        os.replace(partial, path)


@torch.no_grad()
def prepare_person(
    pictures: np.ndarray,
    iuvs: np.ndarray,
    sources: int,
    vae: LatentAutoencoder,
    options: ModelOptions,
    embed_face: FaceEmbedder,
) -> PreparedPerson:
    """Prepare one person from views (V, H, W, 3) uint8 and their IUVs; views 0..sources-1 are the sources."""
    textures, photo_pixels, texture_pixels, faces = [], [], [], []
    for picture, iuv in zip(pictures[:sources], iuvs[:sources], strict=True):
        texture = source_texture(picture, iuv, options.texture_fill)
        textures.append(encode_pictures(vae, [resized(texture, options.texture_size)])[0])
        photo_pixels.append(clip_pixels(picture, options.image_encoder)[0])
        texture_pixels.append(clip_pixels(texture, options.image_encoder)[0])
        face = embed_face(picture, iuv)
        faces.append(np.zeros(options.face.embedding_dim, np.float32) if face is None else face)
    warped = options.pose_guider.warped_source == "uv_warp"
    return PreparedPerson(
        views=_half(encode_pictures(vae, list(pictures))),
        warped_sources=_half(_warped_sources(pictures, iuvs, sources, vae)) if warped else None,
        textures=_half(torch.stack(textures)),
        photo_pixels=_half(torch.stack(photo_pixels)),
        texture_pixels=_half(torch.stack(texture_pixels)),
        faces=np.stack(faces).astype(np.float32),
    )


def _warped_sources(pictures: np.ndarray, iuvs: np.ndarray, sources: int, vae: LatentAutoencoder) -> Tensor:
    """The Pose Guider's input (V, C + 1, h, w) for every view v, from source v modulo `sources`."""
    warped: list[tuple[Picture, np.ndarray]] = [(pictures[0], np.empty(0))] * len(pictures)
    for source in range(sources):
        whole, valid = complete_atlas(pictures[source], iuvs[source])
        background = without_person(pictures[source], iuvs[source])
        for view in range(source, len(pictures), sources):
            warped[view] = warped_source(whole, valid, iuvs[view], background)
    colours, validity = zip(*warped, strict=True)
    return WarpedSources.stack(colours, validity, list(iuvs), next(vae.parameters())).encode(vae)


def prepare_missing(
    views: PeopleViews,
    people: Sequence[int],
    folder: Path,
    sources: int,
    vae: LatentAutoencoder,
    options: ModelOptions,
    embed_face: FaceEmbedder,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Prepare those `people` that `folder` lacks; returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for number, person in enumerate(people):
        path = folder / FILE_NAME.format(person)
        if not path.exists():
            seen = [views.view(person, view) for view in range(views.views)]
            pictures, iuvs = np.stack([one[0] for one in seen]), np.stack([one[1] for one in seen])
            prepare_person(pictures, iuvs, sources, vae, options, embed_face).write(path)
            made += 1
        on_person(number + 1, len(people))
    return made


@dataclass(frozen=True)
class PeoplePreparationOptions:
    """Options of `mcld-anim train prepare`."""

    data: Path  # shards of `synth data`
    output: Path
    vae: Path  # weights of `train autoencoder`
    face: Path  # weights of `train face`
    model: str = "tiny"  # model configuration, name or path
    people: str = "0:100"  # see `parse_people`
    sources: int = 2  # number of leading views that serve as source photos
    device: str = "cpu"
    threads: int = 1  # CPU threads

    def __post_init__(self) -> None:
        parse_people(self.people)


def parse_people(text: str) -> list[int]:
    """People numbers of "FIRST:END[:STEP],..."; END is excluded."""
    numbers: list[int] = []
    for span in text.split(","):
        try:
            bounds = [int(bound) for bound in span.split(":")]
            numbers += range(*bounds) if len(bounds) > 1 else bounds
        except (ValueError, TypeError) as error:
            raise UsageError(f"--people {span!r}: expected FIRST:END or FIRST:END:STEP") from error
    return numbers


def prepare_people(
    options: PeoplePreparationOptions, on_person: Callable[[int, int], None] = lambda done, total: None
) -> int:
    """Prepare the people whose shard exists and whose file does not; returns their number.

    Sets the CPU threads of this process.
    """
    torch.set_num_threads(options.threads)
    device, model = choose_device(options.device), load_model_options(options.model)
    autoencoder = load_vae(model, options.vae).to(device)
    backend = load_face_backend("tiny", device, weights=options.face)
    assert backend is not None

    def embed(picture: Picture, iuv: Iuv) -> np.ndarray | None:
        found = backend.largest(picture, iuv)
        return None if found is None else found.embedding

    views = PeopleViews(options.data)
    rendered = {*views.training, *views.development}
    wanted = [person for person in parse_people(options.people) if person in rendered]
    return prepare_missing(views, wanted, options.output, options.sources, autoencoder, model, embed, on_person)


def load_vae(options: ModelOptions, weights: Path) -> LatentAutoencoder:
    """The frozen autoencoder of a model configuration, with weights from a file."""
    vae = build_vae(options.vae)
    load_into(vae, weights)
    return vae.eval().requires_grad_(False)


@runtime_checkable
class Examples(Protocol):
    """Training examples; `training` and `development` hold the people's numbers."""

    training: list[int]
    development: list[int]

    def refresh(self) -> None:
        """Add people that have been prepared since."""

    def person(self, number: int) -> PreparedPerson:
        """The arrays of one person. It may run in a worker process, so it must not touch any device."""

    def source(self, number: int, source: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of one of a person's sources, (H, W, 3) uint8."""

    def target(self, number: int, view: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of one of a person's views, (H, W, 3) uint8."""

    def pose(self, number: int, view: int) -> Iuv:
        """The IUV of `target` only."""


class PreparedPeople:
    """The prepared people in a folder; `views` decides which of them are development people."""

    def __init__(self, folder: Path, views: PeopleViews) -> None:
        self.folder, self.views = folder, views
        self.refresh()

    def refresh(self) -> None:
        """Add people that have been prepared since."""
        self.views.refresh()
        found = [FILE_PATTERN.fullmatch(path.name) for path in self.folder.glob("person_*.npz")]
        prepared = {int(match[1]) for match in found if match}
        self.training = [person for person in self.views.training if person in prepared]
        self.development = [person for person in self.views.development if person in prepared]
        if not self.training:
            raise InputError(f"{self.folder} holds no prepared training person: run `mcld-anim train prepare` first")

    def source(self, number: int, source: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of one of a person's sources."""
        return self.views.view(number, source)

    def target(self, number: int, view: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of one of a person's views."""
        return self.views.view(number, view)

    def pose(self, number: int, view: int) -> Iuv:
        """The IUV of one of a person's views."""
        return self.views.view(number, view)[1]

    def person(self, number: int) -> PreparedPerson:
        """The arrays of one person."""
        return PreparedPerson.read(self.folder / FILE_NAME.format(number))

    def check_model(self, model: ModelOptions) -> None:
        """InputError if the people were prepared for a model of another kind."""
        person = self.person(self.training[0])
        expected = tuple(side // LATENT_STRIDE for side in model.texture_size)
        textures = person.textures.shape[2:]
        if textures != expected:
            problem = (
                f"with texture latents of {textures[0]}x{textures[1]}, {model.name} has {expected[0]}x{expected[1]}"
            )
        elif model.pose_guider.warped_source == "uv_warp" and person.warped_sources is None:
            problem = f"without warped sources, {model.name} has one"
        else:
            return
        raise InputError(
            f"{self.folder} was prepared for another model ({problem}): "
            "run `mcld-anim train prepare --model` with this one and another --output"
        )


def with_latents(person: PreparedPerson, vae: LatentAutoencoder) -> PreparedPerson:
    """The same person with float32 latents instead of pictures."""

    def latents(planes: np.ndarray) -> np.ndarray:
        return planes if planes.dtype != np.uint8 else encode_pictures(vae, list(planes)).cpu().numpy()

    warped = None if person.warped_sources is None else latents(person.warped_sources)
    return replace(person, views=latents(person.views), warped_sources=warped, textures=latents(person.textures))


def _half(values: Tensor) -> np.ndarray:
    return values.half().cpu().numpy()
