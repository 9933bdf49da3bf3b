"""What the diffusion training reads: per person everything that costs time, computed once with the frozen
networks.

For each person: the latents of every view, and for each source view its texture latents, the pixels its two
CLIP embeddings are made of, its face embedding, and the hint latents towards every view. One `.npz` per
person, written under a temporary name and renamed: preparing resumes where it was, runs in several processes
side by side, and a training may start while it still goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.errors import InputError
from mcld_anim.model.hint import Hints
from mcld_anim.model.vae import LatentAutoencoder, build_vae
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.pose.condition import hint_picture
from mcld_anim.source.appearance import resized
from mcld_anim.source.clip import clip_pixels
from mcld_anim.source.face import load_face_backend
from mcld_anim.source.fill import hint_atlas
from mcld_anim.source.plate import background_plate
from mcld_anim.source.texture import source_texture
from mcld_anim.train.parts import load_into
from mcld_anim.train.views import PeopleViews

FaceEmbedder = Callable[[Picture, Iuv], "np.ndarray | None"]
FILE_NAME = "person_{:05d}.npz"
FILE_PATTERN = re.compile(r"person_(\d+)\.npz")


@dataclass(frozen=True)
class PreparedPerson:
    """One person's views (V) and sources (S, the first views); C latent channels, h x w latent cells."""

    latents: np.ndarray
    """float16 (V, C, h, w): scaled latents of every view."""
    hints: np.ndarray
    """float16 (V, C + 1, h, w): the Pose Guider's hint towards view v, from source v modulo S; (V, 0, h, w) for
    models without hints."""
    textures: np.ndarray
    """float16 (S, C, h, w): scaled latents of the UV texture."""
    photo_pixels: np.ndarray
    """float16 (S, 3, side, side): normalised CLIP input of the source picture."""
    texture_pixels: np.ndarray
    """float16 (S, 3, side, side): normalised CLIP input of the UV texture."""
    faces: np.ndarray
    """float32 (S, E): face embedding; zeros where the source shows no face."""

    def targets(self, source: int) -> list[int]:
        """The views whose hint was made from this source."""
        return list(range(source, len(self.latents), len(self.textures)))


@torch.no_grad()
def prepare_person(
    pictures: np.ndarray,
    iuvs: np.ndarray,
    sources: int,
    vae: LatentAutoencoder,
    options: ModelOptions,
    embed_face: FaceEmbedder,
) -> PreparedPerson:
    """Everything of one person from the views (V, H, W, 3) uint8 and their IUV; views 0..sources-1 are
    sources."""
    textures, photo_pixels, texture_pixels, faces = [], [], [], []
    hints: list[tuple[Picture, np.ndarray]] = [(pictures[0], np.empty(0))] * len(pictures)
    for source in range(sources):
        picture, iuv = pictures[source], iuvs[source]
        whole, valid = hint_atlas(picture, iuv)
        plate = background_plate(picture, iuv)
        for view in range(source, len(pictures), sources):
            hints[view] = hint_picture(whole, valid, iuvs[view], plate)
        texture = source_texture(picture, iuv, options.texture_fill)
        textures.append(encode_pictures(vae, [resized(texture, options.texture_size)])[0])
        photo_pixels.append(clip_pixels(picture, options.image_encoder)[0])
        texture_pixels.append(clip_pixels(texture, options.image_encoder)[0])
        face = embed_face(picture, iuv)
        faces.append(np.zeros(options.face.embedding_dim, np.float32) if face is None else face)
    like = next(vae.parameters())
    hint_planes = Hints.stack([hint for hint, _ in hints], [valid for _, valid in hints], list(iuvs), like)
    return PreparedPerson(
        latents=_half(encode_pictures(vae, list(pictures))),
        hints=_half(hint_planes.encode(vae)),
        textures=_half(torch.stack(textures)),
        photo_pixels=_half(torch.stack(photo_pixels)),
        texture_pixels=_half(torch.stack(texture_pixels)),
        faces=np.stack(faces).astype(np.float32),
    )


def prepare(
    views: PeopleViews,
    people: Sequence[int],
    folder: Path,
    sources: int,
    vae: LatentAutoencoder,
    options: ModelOptions,
    embed_face: FaceEmbedder,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the files of those `people` that `folder` lacks; returns how many were made."""
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for number, person in enumerate(people):
        path = folder / FILE_NAME.format(person)
        if not path.exists():
            seen = [views.view(person, view) for view in range(views.views)]
            pictures, iuvs = np.stack([one[0] for one in seen]), np.stack([one[1] for one in seen])
            _write(path, prepare_person(pictures, iuvs, sources, vae, options, embed_face))
            made += 1
        on_person(number + 1, len(people))
    return made


def prepare_folder(
    data: Path,
    output: Path,
    vae: Path,
    face: Path,
    model: str,
    people: Sequence[int],
    sources: int,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """`prepare` with weights from files; people whose shard is not there yet are left out."""
    options = load_model_options(model)
    autoencoder, backend = load_vae(options, vae), load_face_backend("tiny", weights=face)
    assert backend is not None

    def embed(picture: Picture, iuv: Iuv) -> np.ndarray | None:
        found = backend.largest(picture, iuv)
        return None if found is None else found.embedding

    views = PeopleViews(data)
    there = {*views.training, *views.development}
    wanted = [person for person in people if person in there]
    return prepare(views, wanted, output, sources, autoencoder, options, embed, on_person)


def load_vae(options: ModelOptions, weights: Path) -> LatentAutoencoder:
    """The frozen autoencoder of a model configuration with weights from a file."""
    vae = build_vae(options.vae)
    load_into(vae, weights)
    return vae.eval().requires_grad_(False)


class Examples(Protocol):
    """People to learn from; `training` and `development` are their numbers."""

    training: list[int]
    development: list[int]

    def refresh(self) -> None:
        """Take up people that have been prepared since."""

    def person(self, number: int) -> PreparedPerson:
        """The arrays of one person."""

    def source(self, number: int, source: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of one of a person's sources, (H, W, 3) uint8."""

    def target(self, number: int, view: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of one of a person's views, (H, W, 3) uint8."""


class PreparedPeople:
    """The prepared people in a folder; which of them are development people is the views' matter."""

    def __init__(self, folder: Path, views: PeopleViews) -> None:
        self.folder, self.views = folder, views
        self.refresh()

    def refresh(self) -> None:
        """Take up people that have been prepared since."""
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

    def person(self, number: int) -> PreparedPerson:
        """The arrays of one person."""
        with np.load(self.folder / FILE_NAME.format(number)) as arrays:
            return PreparedPerson(**{field.name: arrays[field.name] for field in fields(PreparedPerson)})


def encode_pictures(vae: LatentAutoencoder, pictures: Sequence[Picture]) -> torch.Tensor:
    """Scaled latents (B, C, h, w) of uint8 RGB pictures of one size."""
    like = next(vae.parameters())
    return vae.encode(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(like) / 127.5 - 1)


def _half(values: torch.Tensor) -> np.ndarray:
    return values.half().cpu().numpy()


def _write(path: Path, person: PreparedPerson) -> None:
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}.npz")
    np.savez(partial, **{field.name: getattr(person, field.name) for field in fields(PreparedPerson)})
    os.replace(partial, path)
