"""Face tokens: a Perceiver Resampler from one face embedding to the tokens of the denoiser's face branch.

Parameter names follow IP-Adapter, as in the published checkpoint.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mcld_anim.model.attention import merge_heads, split_heads
from mcld_anim.options.model import FaceTokenOptions


class PerceiverAttention(nn.Module):
    """Latent queries attend to [input tokens; the latents themselves]."""

    def __init__(self, dim: int, dim_head: int, heads: int) -> None:
        super().__init__()
        inner = dim_head * heads
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, inner * 2, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, tokens: Tensor, latents: Tensor) -> Tensor:
        """tokens (B, N, dim), latents (B, T, dim) -> (B, T, dim), without the residual."""
        tokens, latents = self.norm1(tokens), self.norm2(latents)
        keys, values = self.to_kv(torch.cat([tokens, latents], dim=1)).chunk(2, dim=-1)
        queries, keys, values = (split_heads(part, self.heads) for part in (self.to_q(latents), keys, values))
        states = scaled_dot_product_attention(queries, keys, values)
        return self.to_out(merge_heads(states))


class Resampler(nn.Module):
    """(B, 1, E) face embedding -> (B, T, D) face tokens."""

    def __init__(self, options: FaceTokenOptions, output_dim: int) -> None:
        super().__init__()
        dim = options.dim
        self.latents = nn.Parameter(torch.randn(1, options.num_tokens, dim) / dim**0.5)
        self.proj_in = nn.Linear(options.embedding_dim, dim)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(dim, options.dim_head, options.heads),
                    _feed_forward(dim, options.ff_mult),
                ]
            )
            for _ in range(options.depth)
        )
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)

    def forward(self, embedding: Float[Tensor, "batch 1 embedding"]) -> Float[Tensor, "batch tokens dim"]:
        """Tokens of one face per row. A missing face is the zero embedding, whose tokens are not zero."""
        latents = self.latents.expand(len(embedding), -1, -1)
        tokens = self.proj_in(embedding)
        for layer in self.layers:
            attention, feed_forward = cast("nn.ModuleList", layer)
            latents = latents + attention(tokens, latents)
            latents = latents + feed_forward(latents)
        return self.norm_out(self.proj_out(latents))


def _feed_forward(dim: int, mult: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, dim * mult, bias=False),
        nn.GELU(),
        nn.Linear(dim * mult, dim, bias=False),
    )
