"""Checkpoint keys: the published layout on our networks, and strict loading that names what does not fit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mcld_anim.core.errors import WeightsError
from mcld_anim.model.build import Mcld
from mcld_anim.model.reference_net import ReferenceNet
from mcld_anim.weights.strict import fitting

PUBLISHED_NETWORKS = {
    "denoising_unet": "denoiser.unet",
    "reference_unet": "reference_net.unet",
    "pose_guider": "pose_guider",
    "image_proj_model": "face_tokens",
    "vae": "vae",
    "image_encoder": "image_encoder",
}
"""The published files' names without suffix -> the network of `Mcld` that each fills."""

PUBLISHED_PARTS = tuple(PUBLISHED_NETWORKS)

_VAE_ATTENTION_RENAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Older autoencoder files (sd-vae-ft-mse) name the projections of the middle attention like this."""

_IMAGE_ENCODER_UNUSED = ("vision_model.embeddings.position_ids",)
"""A constant that older transformers versions wrote into the file."""


def load_published(mcld: Mcld, part: str, state: Mapping[str, Tensor]) -> None:
    """Load one published part into its network, key by key.

    Raises WeightsError naming every missing, unexpected or wrongly shaped key.
    """
    network, state = _published_network(mcld, part), published_state(mcld, part, state)
    network.load_state_dict(state)


def published_state(mcld: Mcld, part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One published part under the keys of its network: renamed, checked both ways, without what nothing reads.

    `mcld` may lie on the meta device. Raises WeightsError as `load_published` does.
    """
    unused: tuple[str, ...] = ()
    if part == "reference_unet":
        unused = unread_reference_keys(mcld.reference_net)
    elif part == "image_encoder":
        unused = _IMAGE_ENCODER_UNUSED
    elif part == "vae":
        state = {_rename_vae_key(key): value for key, value in state.items()}
    return fitting(_published_network(mcld, part), state, part, unused)


def _published_network(mcld: Mcld, part: str) -> nn.Module:
    if part not in PUBLISHED_NETWORKS:
        raise WeightsError(f"no published part is named {part!r}; there are: {', '.join(PUBLISHED_PARTS)}")
    return mcld.get_submodule(PUBLISHED_NETWORKS[part])


def unread_reference_keys(reference_net: ReferenceNet) -> tuple[str, ...]:
    """Patterns of the published keys behind the ReferenceNet's last norm1: nothing reads them."""
    last = reference_net.last_layer
    attention = last.removesuffix(".transformer_blocks.0")
    inside = ("attn1", "norm2", "attn2", "norm3", "ff")
    return (*(f"{last}.{part}.*" for part in inside), f"{attention}.proj_out.*")


def _rename_vae_key(key: str) -> str:
    parts = key.split(".")
    if "attentions" in parts and parts[-2] in _VAE_ATTENTION_RENAMES:
        parts[-2] = _VAE_ATTENTION_RENAMES[parts[-2]]
    return ".".join(parts)
