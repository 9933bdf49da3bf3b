"""Routing of tokens to the stages of the denoiser."""

from __future__ import annotations

import pytest
import torch

from mcld_anim.model.focal import route_tokens

IMAGE, TEXTURE, FACE = torch.full((2, 1, 4), 1.0), torch.full((2, 1, 4), 2.0), torch.full((2, 3, 4), 3.0)


def content(tokens: torch.Tensor | None) -> list[int]:
    """Which condition each token of the first row is from: 1 image, 2 texture, 3 face."""
    return [] if tokens is None else tokens[0, :, 0].int().tolist()


@pytest.mark.parametrize(
    ("conditions", "aggregation", "down", "mid", "up", "face"),
    [
        (("image", "texture", "face"), "mfca", [1], [1, 2], [2], [3, 3, 3]),
        (("image", "texture", "face"), "concat", [1, 2], [1, 2], [1, 2], [3, 3, 3]),
        (("image",), "mfca", [1], [1], [], []),
        (("texture",), "mfca", [], [2], [2], []),
        (("texture", "face"), "concat", [2], [2], [2], [3, 3, 3]),
        (("face",), "mfca", [], [], [], [3, 3, 3]),
        ((), "mfca", [], [], [], []),
    ],
)
def test_routing(conditions, aggregation, down, mid, up, face) -> None:  # type: ignore[no-untyped-def]
    tokens = route_tokens(IMAGE, TEXTURE, FACE, conditions, aggregation)
    assert [content(part) for part in (tokens.down, tokens.mid, tokens.up, tokens.face)] == [
        down,
        mid,
        up,
        face,
    ]
    assert tokens.rows == (2 if conditions else None)


def test_stage_of_a_layer() -> None:
    tokens = route_tokens(IMAGE, TEXTURE, FACE)
    assert tokens.stage("down_blocks.0.attentions.0.transformer_blocks.0") is tokens.down
    assert tokens.stage("mid_block.attentions.0.transformer_blocks.0") is tokens.mid
    assert tokens.stage("up_blocks.1.attentions.0.transformer_blocks.0") is tokens.up
