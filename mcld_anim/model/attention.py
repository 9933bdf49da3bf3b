"""The attention processors of the ReferenceNet and the denoiser, and what they are handed per call.

MCLD's mutual self-attention (Cao et al. 2025, section 3.2, after Animate Anyone): a denoiser layer attends
to its own tokens and to those that enter the same layer of the ReferenceNet, which live in one space:
softmax(Q [K; K_ref]^T / sqrt(d)) [V; V_ref]. Its cross attention sees the tokens of its stage plus a separate
face branch (IP-Adapter's decoupled cross attention): attention(Q, K, V) + scale * attention(Q, K_face,
V_face).

Nothing is kept in the modules: a call's inputs travel in the context object given as
`cross_attention_kwargs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class KeysValues(NamedTuple):
    """Projected keys and values of one attention layer, each (rows, heads, tokens, head width)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class AppearanceKeys:
    """All that the denoiser reads of a source: keys and values per attention layer, projected once.

    `rows` is 1 (every frame shows this source) or the number of conditional frames. The maps go from the
    name of a transformer block to its keys; a layer without an entry in `tokens` or `face` has nothing to
    see there.
    """

    rows: int
    reference: Mapping[str, KeysValues]
    tokens: Mapping[str, KeysValues]
    face: Mapping[str, KeysValues]

    def with_face_weight(self, factor: float) -> AppearanceKeys:
        """The face branch with `factor` times its weight: its output is linear in the values."""
        if factor == 1:
            return self
        face = {layer: KeysValues(kv.keys, kv.values * factor) for layer, kv in self.face.items()}
        return replace(self, face=face)

    def select(self, rows: Tensor) -> AppearanceKeys:
        """The appearances of the given row numbers (int64, may repeat), e.g. one per frame of each source."""

        def pick(layers: Mapping[str, KeysValues]) -> dict[str, KeysValues]:
            return {layer: KeysValues(*(part.index_select(0, rows) for part in kv)) for layer, kv in layers.items()}

        return AppearanceKeys(len(rows), pick(self.reference), pick(self.tokens), pick(self.face))


@dataclass(frozen=True)
class DenoiserContext:
    """One denoiser call: rows [0, plain_rows) are unconditional, the rest see `appearance` in order."""

    appearance: AppearanceKeys
    plain_rows: int


@dataclass(frozen=True)
class ReferenceContext:
    """One ReferenceNet call; each layer puts what it hands over, (rows, tokens, channels), under its name."""

    features: dict[str, Tensor] = field(default_factory=dict)


class HandOver:
    """Self attention of the ReferenceNet: hands over the states that enter it, then attends to them."""

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
    """Cross attention of the ReferenceNet: the picture tokens given to the network as a whole."""

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
    """Self attention of the denoiser: plain rows see their own tokens, the others [own; reference]."""

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
        plain = context.plain_rows
        queries = split_heads(attn.to_q(hidden_states), attn.heads)
        own = project(attn.to_k, attn.to_v, hidden_states, attn.heads)
        reference = context.appearance.reference[self.layer]
        parts = []
        if plain:
            parts.append(scaled_dot_product_attention(queries[:plain], own.keys[:plain], own.values[:plain]))
        if plain < len(queries):
            keys = _append_tokens(own.keys[plain:], reference.keys)
            values = _append_tokens(own.values[plain:], reference.values)
            parts.append(scaled_dot_product_attention(queries[plain:], keys, values))
        return project_out(attn, _join_rows(parts))


class FocalCrossAttention(nn.Module):
    """Cross attention of the denoiser: the tokens of its stage, plus `scale` times the face branch.

    Plain rows have zero tokens. Keys and values have no bias, so what they would read is exactly zero.
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
        plain = context.plain_rows
        queries = split_heads(attn.to_q(hidden_states[plain:]), attn.heads)
        tokens = context.appearance.tokens.get(self.layer)
        face = context.appearance.face.get(self.layer)
        seen = torch.zeros_like(queries) if tokens is None else _read(queries, tokens)
        if face is not None:
            seen = seen + self.scale * _read(queries, face)
        if plain:
            nothing = seen.new_zeros((plain, *seen.shape[1:]))
            seen = _join_rows([nothing, seen])
        return project_out(attn, seen)


def attend(attn: Attention, hidden_states: Tensor, tokens: Tensor) -> Tensor:
    """Ordinary attention of (B, N, C) states to (B, M, D) tokens with the layer's projections: (B, N, C)."""
    queries = split_heads(attn.to_q(hidden_states), attn.heads)
    return project_out(attn, _read(queries, project(attn.to_k, attn.to_v, tokens, attn.heads)))


def project(to_keys: nn.Module, to_values: nn.Module, tokens: Tensor, heads: int) -> KeysValues:
    """Keys and values of (B, N, D) tokens, each (B, heads, N, head width)."""
    return KeysValues(split_heads(to_keys(tokens), heads), split_heads(to_values(tokens), heads))


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(B, N, heads * d) -> (B, heads, N, d)."""
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


def project_out(attn: Attention, states: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, C) through the layer's output projection and dropout."""
    merged = states.transpose(1, 2).flatten(2)
    for layer in attn.to_out:
        merged = layer(merged)
    return merged


def _read(queries: Tensor, kv: KeysValues) -> Tensor:
    return scaled_dot_product_attention(queries, _match_rows(kv.keys, queries), _match_rows(kv.values, queries))


def _append_tokens(own: Tensor, reference: Tensor) -> Tensor:
    return torch.cat([own, _match_rows(reference, own)], dim=2)


def _match_rows(states: Tensor, like: Tensor) -> Tensor:
    return states.expand(len(like), -1, -1, -1)


def _join_rows(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
