"""Build all networks of MCLD in one expression."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from mcld_anim.model.denoiser import Denoiser
from mcld_anim.model.detail import DetailDecoder
from mcld_anim.model.face_tokens import Resampler
from mcld_anim.model.offload import Offload
from mcld_anim.model.pose_guider import PoseGuider
from mcld_anim.model.reference_net import ReferenceNet
from mcld_anim.model.vae import LatentAutoencoder, build_vae
from mcld_anim.options.model import ImageEncoderOptions, ModelOptions


class Mcld(nn.Module):
    """The networks of one model and the options they were built from. They are called one by one, within `using`."""

    def __init__(
        self,
        options: ModelOptions,
        vae: LatentAutoencoder,
        image_encoder: CLIPVisionModelWithProjection,
        reference_net: ReferenceNet,
        denoiser: Denoiser,
        pose_guider: PoseGuider,
        face_tokens: Resampler,
        detail: DetailDecoder | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.vae = vae
        self.image_encoder = image_encoder
        self.reference_net = reference_net
        self.denoiser = denoiser
        self.pose_guider = pose_guider
        self.face_tokens = face_tokens
        self.detail = detail
        self.offload: Offload | None = None  # None: every network stays where it is

    @property
    def like(self) -> Tensor:
        """An empty tensor in the networks' dtype, on the device where they compute."""
        weight = next(self.denoiser.parameters())
        return torch.empty(0, dtype=weight.dtype, device=self.offload.device if self.offload else weight.device)

    @contextmanager
    def using(self, *parts: nn.Module | None) -> Iterator[None]:
        """Within, these networks are on the device where they compute."""
        if self.offload is None:
            yield
            return
        with self.offload.using(*(part for part in parts if part is not None)):
            yield


def build_mcld(options: ModelOptions) -> Mcld:
    """All networks with newly initialised weights, in training mode (torch's default).

    Under `torch.device("meta")` it takes no memory, which suffices for counting parameters.
    """
    unet = options.unet
    return Mcld(
        options=options,
        vae=build_vae(options.vae),
        image_encoder=build_image_encoder(options.image_encoder),
        reference_net=ReferenceNet(unet),
        denoiser=Denoiser(unet, face_scale=options.face.scale),
        pose_guider=PoseGuider(options.pose_guider, width=unet.block_out_channels[0], latent_channels=unet.in_channels),
        face_tokens=Resampler(options.face, output_dim=unet.cross_attention_dim),
        detail=None if options.detail is None else DetailDecoder(options.detail),
    )


def build_image_encoder(options: ImageEncoderOptions) -> CLIPVisionModelWithProjection:
    """The CLIP image encoder; `image_embeds` of (B, 3, S, S) normalised pixels are (B, D)."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            image_size=options.image_size,
            patch_size=options.patch_size,
            hidden_size=options.hidden_size,
            intermediate_size=options.intermediate_size,
            num_hidden_layers=options.num_hidden_layers,
            num_attention_heads=options.num_attention_heads,
            projection_dim=options.projection_dim,
            hidden_act=options.hidden_act,
            layer_norm_eps=options.layer_norm_eps,
        )
    )
