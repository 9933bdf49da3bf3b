"""Reference features are the self attention inputs of an ordinary UNet with the same weights."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from mcld_anim.model.build import Mcld


def test_features_are_the_norm1_outputs_of_the_plain_unet(mcld: Mcld) -> None:
    options = mcld.options.unet
    plain = UNet2DConditionModel(
        in_channels=options.in_channels,
        out_channels=options.out_channels,
        block_out_channels=options.block_out_channels,
        down_block_types=options.down_block_types,
        up_block_types=options.up_block_types,
        layers_per_block=options.layers_per_block,
        attention_head_dim=options.heads,
        cross_attention_dim=options.cross_attention_dim,
        norm_num_groups=options.norm_num_groups,
    ).eval()
    missing, unexpected = plain.load_state_dict(mcld.reference_net.unet.state_dict(), strict=False)
    assert not unexpected
    assert all(key.startswith(("conv_", "up_blocks.1.attentions.1.")) for key in missing)

    entered: dict[str, Tensor] = {}
    for name, module in plain.named_modules():
        if name.endswith(".norm1") and "transformer_blocks" in name:
            layer = name.removesuffix(".norm1")
            module.register_forward_hook(lambda _m, _i, out, layer=layer: entered.__setitem__(layer, out))
    latents, tokens = torch.randn(2, 4, 8, 8), torch.randn(2, 1, 16)
    with torch.no_grad():
        plain(latents, 0, encoder_hidden_states=tokens)
        features = mcld.reference_net(latents, tokens)
    assert features.keys() == entered.keys()
    for layer, expected in entered.items():
        torch.testing.assert_close(features[layer], expected, atol=1e-5, rtol=1e-5)


def test_the_source_embedding_matters(mcld: Mcld) -> None:
    latents, tokens = torch.randn(1, 4, 8, 8), torch.randn(1, 1, 16)
    last = mcld.reference_net.last_layer
    with torch.no_grad():
        change = mcld.reference_net(latents, tokens)[last] - mcld.reference_net(latents, 2 * tokens)[last]
    assert change.abs().max() > 1e-3
