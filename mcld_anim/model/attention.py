"""The attention processors of the ReferenceNet and the denoiser, and their per-call contexts.

MCLD's mutual self-attention (Cao et al. 2025, section 3.2, after Animate Anyone): a denoiser layer attends to its own
tokens and to the reference features that enter the same layer of the ReferenceNet, in one feature space:
softmax(Q [K; K_ref]^T / sqrt(d)) [V; V_ref]. Its cross attention reads the tokens of its stage plus a separate face
branch (IP-Adapter's decoupled cross attention): attention(Q, K, V) + scale * attention(Q, K_face, V_face).

The modules hold no state: a call's inputs travel in the context passed through `cross_attention_kwargs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mcld_anim.model.attention_maps import AttentionRecord


class KeyValues(NamedTuple):
    """Projected keys and values of one attention layer, each (rows, heads, tokens, head width)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class ProjectedAppearance:
    """The source as the denoiser reads it: keys and values per attention layer, projected once.

    `rows` is 1 (every frame shows this source) or the number of conditional frames. The maps go from the name of a
    transformer block to its keys and values; a layer without an entry in `tokens` or `face` reads nothing there.
    """

    rows: int
    reference: Mapping[str, KeyValues]
    tokens: Mapping[str, KeyValues]
    face: Mapping[str, KeyValues]

    def with_face_weight(self, factor: float) -> ProjectedAppearance:
        """The same appearance with the face branch weighted by `factor`: its output is linear in the values."""
        if factor == 1:
            return self
        face = {layer: KeyValues(kv.keys, kv.values * factor) for layer, kv in self.face.items()}
        return replace(self, face=face)

    def with_token_weights(self, layer_weights: Mapping[str, Tensor]) -> ProjectedAppearance:
        """The same appearance with weighted tokens: of each layer (tokens,) factors on what its tokens add."""
        tokens = {
            layer: KeyValues(kv.keys, kv.values * layer_weights[layer].to(kv.values)[:, None])
            for layer, kv in self.tokens.items()
        }
        return replace(self, tokens=tokens)

    def select(self, rows: Tensor) -> ProjectedAppearance:
        """The given rows (int64 indices, may repeat), e.g. a source's row once per frame."""

        def pick(layers: Mapping[str, KeyValues]) -> dict[str, KeyValues]:
            return {layer: KeyValues(*(part.index_select(0, rows) for part in kv)) for layer, kv in layers.items()}

        return ProjectedAppearance(len(rows), pick(self.reference), pick(self.tokens), pick(self.face))


@dataclass(frozen=True)
class DenoiserContext:
    """One denoiser call: rows [0, unconditional_rows) are unconditional, the rest read `appearance` in order."""

    appearance: ProjectedAppearance
    unconditional_rows: int
    record: AttentionRecord | None = None  # of the last row


@dataclass(frozen=True)
class ReferenceContext:
    """One ReferenceNet call; each layer writes its features (rows, tokens, channels) under its name."""

    features: dict[str, Tensor] = field(default_factory=dict)


class ReferenceWriter:
    """Self attention of the ReferenceNet: writes its input to the context as reference features, then attends to it."""

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        context: ReferenceContext,
    ) -> Tensor:
        context.features[self.layer] = hidden_states
        return attend(attn, hidden_states, hidden_states)


class TokenCrossAttention:
    """Cross attention of the ReferenceNet: attends to the image tokens given to the network."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *,
        context: ReferenceContext,
    ) -> Tensor:
        return attend(attn, hidden_states, encoder_hidden_states)


class MutualSelfAttention:
    """Self attention of the denoiser: unconditional rows attend to their own tokens, the rest to [own; reference]."""

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        context: DenoiserContext,
    ) -> Tensor:
        start = context.unconditional_rows
        queries = split_heads(attn.to_q(hidden_states), attn.heads)
        own = project_key_values(attn.to_k, attn.to_v, hidden_states, attn.heads)
        reference = context.appearance.reference[self.layer]
        parts = []
        if start:
            parts.append(scaled_dot_product_attention(queries[:start], own.keys[:start], own.values[:start]))
        if start < len(queries):
            keys = _concat_tokens(own.keys[start:], reference.keys)
            values = _concat_tokens(own.values[start:], reference.values)
            if context.record is not None:
                context.record.self_attention(queries, own.keys, reference.keys)
            parts.append(scaled_dot_product_attention(queries[start:], keys, values))
        return project_out(attn, _concat_rows(parts))


class FocalCrossAttention(nn.Module):
    """Cross attention of the denoiser: the tokens of its stage, plus `scale` times the face branch.

    Unconditional rows have zero tokens. The key and value projections have no bias, so their attention is exactly zero.
    """

    def __init__(self, layer: str, width: int, token_dim: int, scale: float) -> None:
        super().__init__()
        self.layer = layer
        self.scale = scale
        self.to_k_ip = nn.Linear(token_dim, width, bias=False)
        self.to_v_ip = nn.Linear(token_dim, width, bias=False)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        context: DenoiserContext,
    ) -> Tensor:
        start = context.unconditional_rows
        queries = split_heads(attn.to_q(hidden_states[start:]), attn.heads)
        tokens = context.appearance.tokens.get(self.layer)
        face = context.appearance.face.get(self.layer)
        states = torch.zeros_like(queries) if tokens is None else _attend(queries, tokens)
        if face is not None:
            branch = self.scale * _attend(queries, face)
            if context.record is not None:
                context.record.face(states, branch)
            states = states + branch
        if context.record is not None and tokens is not None:
            context.record.tokens(queries, tokens.keys)
        if start:
            unconditional = states.new_zeros((start, *states.shape[1:]))
            states = _concat_rows([unconditional, states])
        return project_out(attn, states)


def attend(attn: Attention, hidden_states: Tensor, tokens: Tensor) -> Tensor:
    """Ordinary attention of (B, N, C) states to (B, M, D) tokens with the layer's projections; returns (B, N, C)."""
    queries = split_heads(attn.to_q(hidden_states), attn.heads)
    return project_out(attn, _attend(queries, project_key_values(attn.to_k, attn.to_v, tokens, attn.heads)))


def project_key_values(to_keys: nn.Module, to_values: nn.Module, tokens: Tensor, heads: int) -> KeyValues:
    """Project (B, N, D) tokens to keys and values, each (B, heads, N, head width)."""
    return KeyValues(split_heads(to_keys(tokens), heads), split_heads(to_values(tokens), heads))


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(B, N, heads * d) -> (B, heads, N, d)."""
    return rearrange(states, "batch tokens (heads d) -> batch heads tokens d", heads=heads)


def merge_heads(states: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, heads * d)."""
    return rearrange(states, "batch heads tokens d -> batch tokens (heads d)")


def project_out(attn: Attention, states: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, C) through the layer's output projection and dropout."""
    merged = merge_heads(states)
    for layer in attn.to_out:
        merged = layer(merged)
    return merged


def _attend(queries: Tensor, kv: KeyValues) -> Tensor:
    return scaled_dot_product_attention(queries, _expand_rows(kv.keys, queries), _expand_rows(kv.values, queries))


def _concat_tokens(own: Tensor, reference: Tensor) -> Tensor:
    return torch.cat([own, _expand_rows(reference, own)], dim=2)


def _expand_rows(states: Tensor, like: Tensor) -> Tensor:
    return states.expand(len(like), -1, -1, -1)


def _concat_rows(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
