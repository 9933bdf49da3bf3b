"""Encoding of the source, computed once and then passed on: `encode_source`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mcld_anim.core.arrays import AnySizeIuv, AnySizePicture, Atlas, AtlasMask, Iuv, Picture, SizedPicture, Texture
from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.core.pixels import to_signed
from mcld_anim.core.tensors import placed
from mcld_anim.model.attention import ProjectedAppearance
from mcld_anim.model.build import Mcld
from mcld_anim.model.focal import FocalTokens, route_tokens
from mcld_anim.model.reference_net import ReferenceFeatures
from mcld_anim.options.edits import Weights
from mcld_anim.options.model import ModelOptions
from mcld_anim.source.background import without_person
from mcld_anim.source.clip import clip_pixels
from mcld_anim.source.face import Face
from mcld_anim.source.fill import complete_atlas
from mcld_anim.source.joined_photos import joined_source
from mcld_anim.source.texture import source_texture


@dataclass(frozen=True, eq=False)
class SourceAppearance:
    """One source photo, encoded for one model."""

    picture: Picture
    """The photo at the model's frame size."""
    iuv: AnySizeIuv
    """The given IUV, at the photo's own size."""
    texture: Texture
    atlas: Atlas
    """The complete atlas for `pose.condition.warped_source`."""
    valid: AtlasMask
    """Which texels of `atlas` the photo shows."""
    background: Picture
    """`picture` without the person, at the model's frame size."""
    face: Face | None
    """The face of the condition; without one the model got the published zero vector."""
    image_embedding: Float[Tensor, "1 1 dim"]
    texture_embedding: Float[Tensor, "1 1 dim"]
    tokens: FocalTokens
    reference: ReferenceFeatures
    projected: ProjectedAppearance
    """Keys and values of reference and tokens, the denoiser's only input from the source."""

    def at(self, _index: int) -> SourceAppearance:
        """The appearance in a frame."""
        return self

    def projected_at(self, _indices: Sequence[int]) -> ProjectedAppearance:
        """`projected` for a batch of frames."""
        return self.projected


@dataclass(frozen=True, eq=False)
class Worn:
    """What an edited person shows, instead of what their photo does."""

    picture: Picture
    """The photo with the edits, for the image embedding; at the photo's size."""
    texture: Texture
    atlas: Atlas
    """Complete, see `SourceAppearance`."""
    valid: AtlasMask


@torch.no_grad()
def encode_source(
    picture: Picture,
    iuv: Iuv,
    mcld: Mcld,
    face: Face | None = None,
    reference_dtype: torch.dtype | None = None,
    more: Sequence[tuple[Picture, Iuv]] = (),
    worn: Worn | None = None,
) -> SourceAppearance:
    """Encode a source photo (H, W, 3) uint8 RGB with its IUV of the same size.

    The photo is squashed to the model's frame size, as published, so crop it to that aspect ratio first. Every network
    runs once.
    face: the photo's, for the face condition; None: the published zero vector.
    reference_dtype: see `Denoiser.project_source`.
    more: other photos of the person with their IUV. Texture and atlas are joined from all; the rest is the first's.
    worn: what is encoded instead of the photos' texture and atlas.
    """
    if not iuv[..., 0].any():
        raise PoseError("no person was found in the source photo: use a photo of one person, best in full length")
    options = mcld.options
    if worn is None and more:
        worn = Worn(picture, *joined_source([(picture, iuv), *more], options.texture_fill))
    elif worn is None:
        worn = Worn(picture, source_texture(picture, iuv, options.texture_fill), *complete_atlas(picture, iuv))
    image_embedding, texture_embedding = embed_pictures(mcld, [resized(worn.picture, options.frame_size), worn.texture])
    face_tokens = encode_face(mcld, face) if "face" in options.conditions else None
    tokens = route_tokens(image_embedding, texture_embedding, face_tokens, options.conditions, options.aggregation)
    latents = encode_pixels(mcld, resized(worn.texture, options.texture_size))
    with mcld.using(mcld.reference_net):
        reference = mcld.reference_net(latents, image_embedding)
    with mcld.using(mcld.denoiser):
        projected = mcld.denoiser.project_source(reference, tokens, reference_dtype)
    return SourceAppearance(
        picture=resized(picture, options.frame_size),
        iuv=iuv,
        texture=worn.texture,
        atlas=worn.atlas,
        valid=worn.valid,
        background=resized(without_person(picture, iuv), options.frame_size),
        face=face,
        image_embedding=image_embedding,
        texture_embedding=texture_embedding,
        tokens=tokens,
        reference=reference,
        projected=projected,
    )


@torch.no_grad()
def with_face(source: SourceAppearance, face: Face, mcld: Mcld) -> SourceAppearance:
    """`source` with the face tokens of another face; everything else is reused."""
    options = mcld.options
    embeddings = source.image_embedding, source.texture_embedding
    tokens = route_tokens(*embeddings, encode_face(mcld, face), options.conditions, options.aggregation)
    with mcld.using(mcld.denoiser):
        projected = mcld.denoiser.project_source(source.reference, tokens)
    return replace(source, face=face, tokens=tokens, projected=projected)


def with_weights(source: SourceAppearance, weights: Weights, options: ModelOptions) -> SourceAppearance:
    """`source` with factors on what each condition adds: the lambda of the paper's aggregation (section 3.3).

    Attention is linear in its values, so these have the factors; in the middle block the two tokens share one softmax,
    which does not change.
    """
    image = torch.full((1, source.image_embedding.shape[1], 1), weights.image)
    texture = torch.full((1, source.texture_embedding.shape[1], 1), weights.texture)
    stages = route_tokens(image, texture, None, options.conditions, options.aggregation)
    factors = {layer: stage[0, :, 0] for layer in source.projected.tokens if (stage := stages.stage(layer)) is not None}
    projected = source.projected.with_token_weights(factors).with_face_weight(weights.face)
    return replace(source, projected=projected)


def resized(picture: Picture, size: tuple[int, int]) -> SizedPicture:
    """`picture` squashed to (height, width) by Pillow's bicubic filter, as published."""
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def embed_pictures(mcld: Mcld, pictures: Sequence[AnySizePicture]) -> list[Float[Tensor, "1 1 dim"]]:
    """CLIP embedding of each picture, as one token."""
    pixels = torch.cat([clip_pixels(picture, mcld.options.image_encoder) for picture in pictures])
    with mcld.using(mcld.image_encoder):
        embeddings = mcld.image_encoder(placed(pixels, mcld.like)).image_embeds
    return list(embeddings[:, None].split(1))


def encode_face(mcld: Mcld, face: Face | None) -> Float[Tensor, "1 tokens dim"]:
    """Face tokens of a face, or of the published zero vector without one."""
    size = mcld.options.face.embedding_dim
    embedding = np.zeros(size, np.float32) if face is None else face.embedding
    if embedding.shape != (size,):
        raise UsageError(
            f"the face embedding has {len(embedding)} numbers, the model {mcld.options.name} takes {size}: "
            f"choose --face {'tiny' if size == 128 else 'insightface'}"
        )
    with mcld.using(mcld.face_tokens):
        return mcld.face_tokens(placed(torch.from_numpy(embedding)[None, None], mcld.like))


def encode_pixels(mcld: Mcld, picture: Picture) -> Float[Tensor, "1 channels height_8 width_8"]:
    """Scaled latents of one picture (the posterior's mean, no noise)."""
    pixels = placed(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None], mcld.like)
    with mcld.using(*mcld.vae.encoding):
        return mcld.vae.encode(to_signed(pixels))
