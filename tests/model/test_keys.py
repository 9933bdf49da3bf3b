"""Checkpoints load strictly: missing, unexpected and wrongly shaped keys are named."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mcld_anim.core.errors import WeightsError
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.keys import PUBLISHED_PARTS, load_published, unread_reference_keys

LAST = "up_blocks.1.attentions.1"


def published(mcld: Mcld) -> dict[str, dict[str, Tensor]]:
    """The state of a model's networks under the published names."""
    networks = (mcld.denoiser.unet, mcld.reference_net.unet, mcld.pose_guider, mcld.face_tokens, mcld.vae)
    states = [network.state_dict() for network in (*networks, mcld.image_encoder)]
    return dict(zip(PUBLISHED_PARTS, states, strict=True))


def test_every_part_loads_and_is_the_same_afterwards(mcld: Mcld) -> None:
    fresh = build_mcld(mcld.options)
    for part, state in published(mcld).items():
        load_published(fresh, part, state)
    for (name, ours), theirs in zip(fresh.named_parameters(), mcld.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


@pytest.mark.parametrize("part", PUBLISHED_PARTS)
def test_missing_unexpected_and_resized_keys_are_named(mcld: Mcld, part: str) -> None:
    state = published(mcld)[part]
    gone, resized = list(state)[1], list(state)[2]
    wrong = {key: value for key, value in state.items() if key != gone}
    wrong["conv_extra.weight"] = torch.zeros(1)
    wrong[resized] = torch.zeros(1, 2, 3, 4, 5)
    before = [parameter.clone() for parameter in mcld.parameters()]
    with pytest.raises(WeightsError) as caught:
        load_published(mcld, part, wrong)
    message = str(caught.value)
    assert f"missing {gone}" in message
    assert "unexpected conv_extra.weight" in message
    assert f"{resized} (1, 2, 3, 4, 5) instead of" in message
    assert part in message
    assert all(torch.equal(a, b) for a, b in zip(before, mcld.parameters(), strict=True))


def test_unread_reference_weights_may_be_there_but_nothing_else(mcld: Mcld) -> None:
    state = published(mcld)["reference_unet"]
    unread = {
        f"{LAST}.proj_out.weight": torch.zeros(8, 8, 1, 1),
        f"{LAST}.transformer_blocks.0.attn2.to_q.weight": torch.zeros(8, 8),
        f"{LAST}.transformer_blocks.0.ff.net.0.proj.bias": torch.zeros(64),
    }
    load_published(mcld, "reference_unet", state | unread)
    assert unread_reference_keys(mcld.reference_net)[-1] == f"{LAST}.proj_out.*"
    with pytest.raises(WeightsError, match=r"unexpected conv_out\.weight"):
        load_published(mcld, "reference_unet", state | {"conv_out.weight": torch.zeros(4, 8, 3, 3)})


def test_older_names_in_autoencoder_and_image_encoder_files(mcld: Mcld) -> None:
    from mcld_anim.model.vae import build_vae
    from mcld_anim.options.model import VaeOptions

    mcld.vae = build_vae(VaeOptions(1, 4, (8, 8, 8, 8), 1, 4))
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, value in mcld.vae.state_dict().items():
        for new, old in renamed.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        state[key] = value
    assert any(".proj_attn." in key for key in state)
    load_published(mcld, "vae", state)
    encoder = mcld.image_encoder.state_dict() | {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    load_published(mcld, "image_encoder", encoder)


def test_an_unknown_part_lists_the_known_ones(mcld: Mcld) -> None:
    with pytest.raises(WeightsError, match=r"motion_module.*denoising_unet"):
        load_published(mcld, "motion_module", {})
