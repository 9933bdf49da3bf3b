"""How much memory a model takes while it makes frames, counted on torch's meta device, where nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mcld_anim.model.attention import ProjectedAppearance
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.feature_reuse import FeatureReuse, Layers
from mcld_anim.model.focal import route_tokens
from mcld_anim.model.reference_net import ReferenceFeatures
from mcld_anim.options.model import ModelOptions

TIMESTEP = 500


@dataclass(frozen=True)
class Footprint:
    """Bytes in one number format, without what libraries and kernels need for themselves."""

    weights: int  # of all networks
    parts: Mapping[str, int]  # the same by network, the autoencoder's halves apart
    source: int  # of the encoded source
    step: int  # of a step of the denoiser for one frame, on top of both
    encode: int  # of encoding the texture, on top of the weights
    reference: int  # of the ReferenceNet, on top of the weights; its result counts as much as the source once more
    decode: int  # of decoding one frame, on top of weights and source

    def at(self, batch: int, decoded: int, offload: bool = False) -> int:
        """At the peak of a batch of frames, of which `decoded` are decoded at a time; `offload`: with one network at a
        time on the device."""
        step, decode = self.source + self.step * batch, self.source + self.decode * decoded
        if not offload:
            return self.weights + max(self.encode, step, decode)
        return max(
            *self.parts.values(),
            self.parts["vae_encoder"] + self.encode,
            self.parts["reference_net"] + self.reference,
            self.parts["denoiser"] + max(step, 2 * self.source),
            self.parts["vae_decoder"] + decode,
        )


@cache
@torch.no_grad()
def footprint(options: ModelOptions, dtype: torch.dtype, guided: bool, tile: int | None = None) -> Footprint:
    """The footprint of a model. `tile`: the side in latent pixels of the tiles in which pictures are decoded."""
    mcld = meta_model(options).to(dtype)
    appearance = meta_appearance(mcld)
    kept = [*appearance.reference.values(), *appearance.tokens.values(), *appearance.face.values()]
    latents = torch.ones(1, options.vae.latent_channels, *options.latent_size, dtype=dtype, device="meta")
    side = options.latent_size if tile is None else tuple(min(tile, side) for side in options.latent_size)
    tiled = latents.new_ones(1, options.vae.latent_channels, *side)
    return Footprint(
        weights=_bytes(mcld),
        parts=_parts(mcld),
        source=sum(leaf.nbytes for leaf in tree_leaves(kept) if isinstance(leaf, Tensor)),
        step=peak_bytes(denoiser_step(mcld, appearance, guided=guided)),
        encode=peak_bytes(lambda: mcld.vae.encode(latents.new_ones(1, 3, *options.texture_size))),
        reference=peak_bytes(lambda: meta_reference(mcld)),
        decode=peak_bytes(lambda: mcld.vae.decode(tiled)),
    )


def meta_model(options: ModelOptions) -> Mcld:
    """The networks without weights."""
    with torch.device("meta"):
        return build_mcld(options).eval()


def meta_appearance(mcld: Mcld) -> ProjectedAppearance:
    """An encoded source without numbers."""
    options, like = mcld.options, next(mcld.denoiser.parameters())
    width = options.unet.cross_attention_dim
    tokens, face = like.new_ones(1, 1, width), like.new_ones(1, options.face.num_tokens, width)
    return mcld.denoiser.project_source(
        meta_reference(mcld), route_tokens(tokens, tokens, face, options.conditions, options.aggregation)
    )


def meta_reference(mcld: Mcld) -> ReferenceFeatures:
    """Reference features without numbers."""
    options, like = mcld.options, next(mcld.reference_net.parameters())
    height, width = (side // 8 for side in options.texture_size)
    latents = like.new_ones(1, options.unet.in_channels, height, width)
    return mcld.reference_net(latents, like.new_ones(1, 1, options.unet.cross_attention_dim))


def denoiser_step(
    mcld: Mcld,
    appearance: ProjectedAppearance,
    frames: int = 1,
    guided: bool = True,
    reuse: FeatureReuse | None = None,
    layers: Layers | None = None,
) -> Callable[[], object]:
    """One evaluation of the denoiser for so many frames, guided: unconditional and conditional. Without weights it
    computes nothing. reuse, layers: see `Denoiser`."""
    options, like = mcld.options, next(mcld.denoiser.parameters())
    latents = like.new_ones(frames, options.unet.in_channels, *options.latent_size)
    pose = like.new_ones(frames, options.unet.block_out_channels[0], *options.latent_size)
    return lambda: mcld.denoiser(latents, TIMESTEP, pose, appearance, guided=guided, reuse=reuse, layers=layers)


def _parts(mcld: Mcld) -> dict[str, int]:
    """Bytes of each network's weights."""
    parts = {name: _bytes(part) for name, part in mcld.named_children() if name != "vae"}
    halves = {"vae_encoder": mcld.vae.encoding, "vae_decoder": mcld.vae.decoding}
    return parts | {name: sum(_bytes(part) for part in half if part is not None) for name, half in halves.items()}


def _bytes(network: nn.Module) -> int:
    return sum(weight.nbytes for weight in network.state_dict().values())


def peak_bytes(work: Callable[[], object]) -> int:
    """Bytes of the tensors that `work` makes and that live at the same time, at most. Attention counts as fused."""
    with _FusedAttention(), _Living() as living:
        result = work()
    del result
    return living.peak


class _FusedAttention(TorchFunctionMode):
    """Attention that makes nothing but its result, as the kernels do that are used for real tensors."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is functional.scaled_dot_product_attention:
            return torch.empty_like(args[0] if args else kwargs["query"])
        return function(*args, **(kwargs or {}))


class _Living(TorchDispatchMode):
    """Adds up the memory of results from when they are made until they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._living: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = set(self._storages((args, kwargs)))  # a view's own: of weights, or counted already
        for key, (reference, size) in self._storages(result).items():
            if key not in given:
                self._living.setdefault(key, (reference, size))
        self._living = {key: one for key, one in self._living.items() if not one[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._living.values()))
        return result

    @staticmethod
    def _storages(tree: Any) -> dict[int, tuple[StorageWeakRef, int]]:
        """Storages of the tensors in a tree by address, with their bytes."""
        storages = [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
        references = [(StorageWeakRef(storage), storage.nbytes()) for storage in storages]
        return {reference.cdata: (reference, size) for reference, size in references}
