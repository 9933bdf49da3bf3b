"""Checkpoint keys: the mapping from the published layout to our networks, and strict loading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.strict import checked_state

if TYPE_CHECKING:
    from mcld_anim.model.build import Mcld  # it imports diffusers, which takes seconds
    from mcld_anim.model.reference_net import ReferenceNet

PUBLISHED_NETWORKS = {
    "denoising_unet": "denoiser.unet",
    "reference_unet": "reference_net.unet",
    "pose_guider": "pose_guider",
    "image_proj_model": "face_tokens",
    "vae": "vae",
    "image_encoder": "image_encoder",
}
"""Stem of a published file's name -> the network of `Mcld` that it fills."""

PUBLISHED_PARTS = tuple(PUBLISHED_NETWORKS)

_VAE_ATTENTION_RENAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of the middle attention's projections in older autoencoder files (sd-vae-ft-mse) -> current names."""

_IMAGE_ENCODER_UNUSED = ("vision_model.embeddings.position_ids",)
"""Keys of a constant that older transformers versions saved."""


def load_published(mcld: Mcld, part: str, state: Mapping[str, Tensor]) -> None:
    """Load one published part into its network, key by key.

    Raises WeightsError naming every missing, unexpected or wrongly shaped key.
    """
    network, state = _published_network(mcld, part), published_state(mcld, part, state)
    network.load_state_dict(state)


def published_state(mcld: Mcld, part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One published part under its network's keys: renamed, checked both ways, without keys that are never read.

    `mcld` may be on the meta device. Raises WeightsError as `load_published` does.
    """
    unused: tuple[str, ...] = ()
    if part == "reference_unet":
        unused = unread_reference_keys(mcld.reference_net)
    elif part == "image_encoder":
        unused = _IMAGE_ENCODER_UNUSED
    elif part == "vae":
        state = {_rename_vae_key(key): value for key, value in state.items()}
    return checked_state(_published_network(mcld, part), state, part, unused)


def _published_network(mcld: Mcld, part: str) -> nn.Module:
    if part not in PUBLISHED_NETWORKS:
        raise WeightsError(f"no published part is named {part!r}; there are: {', '.join(PUBLISHED_PARTS)}")
    return mcld.get_submodule(PUBLISHED_NETWORKS[part])


def unread_reference_keys(reference_net: ReferenceNet) -> tuple[str, ...]:
    """Patterns of the published keys after the ReferenceNet's last norm1, whose outputs are never read."""
    last = reference_net.last_layer
    attention = last.removesuffix(".transformer_blocks.0")
    inside = ("attn1", "norm2", "attn2", "norm3", "ff")
    return (*(f"{last}.{part}.*" for part in inside), f"{attention}.proj_out.*")


def _rename_vae_key(key: str) -> str:
    parts = key.split(".")
    if "attentions" in parts and parts[-2] in _VAE_ATTENTION_RENAMES:
        parts[-2] = _VAE_ATTENTION_RENAMES[parts[-2]]
    return ".".join(parts)
