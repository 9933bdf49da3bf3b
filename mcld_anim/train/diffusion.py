"""Joint training of the diffusion model: image encoder, ReferenceNet, denoiser, Pose Guider and face tokens.

The autoencoder and the face embedder are frozen. Their outputs are prepared once (`train.prepared_people`). For pairs
of pictures (`train.prepared_pairs`) the latents are computed in the loss instead, because batches are made on the CPU
ahead of the training. Each step takes a few people, one source view and several target views of each, so that views
share the ReferenceNet's pass. Training begins with crops around the person, with the whole texture as reference, and
ends with whole frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mcld_anim.core.arrays import HEAD_PARTS, Iuv
from mcld_anim.core.errors import UsageError
from mcld_anim.model.attention import ProjectedAppearance
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.focal import route_tokens
from mcld_anim.model.vae import LatentAutoencoder
from mcld_anim.options.model import LATENT_STRIDE, load_model_options
from mcld_anim.pose.condition import network_condition
from mcld_anim.sampling.schedule import add_noise, make_scheduler, velocity
from mcld_anim.train.diffusion_batch import Batch, Draws, Window, as_tensor, crop_planes
from mcld_anim.train.loop import LoopOptions, device_of
from mcld_anim.train.loss import (
    LossOptions,
    LossTerms,
    denoising_loss,
    face_cells,
    person_cells,
    signal_to_noise,
    with_noise_offset,
)
from mcld_anim.train.parts import load_into, start_from_controlnet
from mcld_anim.train.prepared_pairs import PreparedPairs
from mcld_anim.train.prepared_people import Examples, PreparedPeople, load_vae
from mcld_anim.train.preview import measure_people
from mcld_anim.train.views import PeopleViews, ViewsOptions

TRAINED_PARTS = ("image_encoder", "reference_net", "denoiser", "pose_guider", "face_tokens")


@dataclass(frozen=True)
class StageOptions:
    """One stage of the training, and the composition of its batches."""

    until: float = 1.0
    """Progress (0..1 of the budget) at which the stage ends."""
    people: int = 2
    views: int = 4
    """Number of target views per person; the batch size is people * views."""
    crop: int | None = None
    """Side of the square target crops, in pixels, a multiple of 8; None = whole frames. Prepared latents are cropped
    as latents; pictures are cropped before they are encoded."""

    def __post_init__(self) -> None:
        if self.crop is not None and (self.crop <= 0 or self.crop % LATENT_STRIDE):
            raise ValueError(f"crop is {self.crop}, expected a positive multiple of {LATENT_STRIDE}")
        if self.people < 1 or self.views < 1:
            raise ValueError(f"people {self.people} and views {self.views} must be at least 1")


@dataclass(frozen=True)
class DiffusionTrainingOptions:
    """Options of the diffusion model's training."""

    model: str = "tiny"
    """Model configuration (name or path)."""
    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=60, ema_decay=0.999))
    data: ViewsOptions = field(default_factory=ViewsOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    stages: tuple[StageOptions, ...] = (StageOptions(),)
    frozen: tuple[str, ...] = ()
    """Names of the networks, or parts of networks ("reference_net.unet.up_blocks.3"), that are not trained."""
    gradient_checkpointing: bool = False
    """Whether to recompute the networks' blocks in the backward pass: less memory, about a third more time."""
    condition_dropout: float = 0.1
    """Fraction of the samples without reference features and tokens, like the unconditional rows of classifier-free
    guidance."""
    image_dropout: float = 0.0
    """Fraction of the sources whose photo is blacked out before the image encoder (published: 0.1)."""
    embedding_noise: float = 0.0
    """Standard deviation of Gaussian noise on the photo's CLIP embedding."""
    timestep_power: float = 1.0
    """Exponent p of the timestep distribution: t = T u^p with u uniform. Below 1 it favours the noisy steps, where
    pictures are decided."""
    head_crops: float = 0.3
    """Fraction of the crops centred near the head."""
    head_warp_dropout: float = 0.0
    """Fraction of the samples whose warped source hides the head, so that the face must come from the face tokens."""
    measured_pairs: int = 64
    """Number of pairs, the last of a list, that are only for measuring."""
    measured_people: int = 6
    measured_steps: int = 8
    """Sampling steps of the development measurement (guidance 1)."""


class DiffusionTask:
    """The networks, their batches and their evaluation (a `train.loop.Task`)."""

    def __init__(
        self,
        options: DiffusionTrainingOptions,
        people: Examples,
        vae: LatentAutoencoder,
        sheets: Path | None = None,
        start_from: Path | None = None,
        controlnet: Path | None = None,
    ) -> None:
        self.options, self.model = options, load_model_options(options.model)
        self.people, self.vae, self.sheets = people, vae, sheets
        torch.manual_seed(options.loop.seed)
        self.mcld = build_mcld(self.model)
        start_from_warped_source(self.mcld)
        if controlnet is not None:
            start_from_controlnet(self.mcld.pose_guider, controlnet)
        self.network: nn.Module = nn.ModuleDict({part: getattr(self.mcld, part) for part in TRAINED_PARTS})
        if start_from is not None:
            load_into(self.network, start_from)
        if options.gradient_checkpointing:
            self.mcld.denoiser.enable_gradient_checkpointing()
            self.mcld.reference_net.enable_gradient_checkpointing()
        for name in options.frozen:
            self.network.get_submodule(name).requires_grad_(False)
        schedule = self.model.training_schedule or self.model.schedule
        self.alphas = make_scheduler(schedule).alphas_cumprod
        self.measurements = 0

    def batch(self, rng: np.random.Generator, progress: float) -> Batch:
        """A random batch of the current stage."""
        stage = next(s for s in self.options.stages if progress <= s.until or s is self.options.stages[-1])
        return self.draw(rng, stage)

    def loss(self, batch: Batch, rng: np.random.Generator, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch at random timesteps. The frozen autoencoder moves to the networks' device."""
        terms = self.step_loss(batch, rng)
        return terms.total, {"plain": terms.plain.detach().mean(), "face": terms.face.detach().mean()}

    def step_loss(self, batch: Batch, rng: np.random.Generator) -> LossTerms:
        """Add noise, predict v, and compare."""
        device = device_of(self.network)
        draws, alphas = self._draws(rng, batch).to(device), self.alphas.to(device)
        noise, timesteps = draws.noise, draws.timesteps
        batch = batch.to(device).encoded(self.vae.to(device))  # only the first call moves the autoencoder
        appearance = encode_appearance(self.mcld, batch, draws.embedding_noise).select(batch.source_rows)
        warped = batch.warped_sources if self.model.pose_guider.warped_source == "uv_warp" else None
        features = self.mcld.pose_guider(network_condition(batch.iuv, self.model.pose_guider), warped)
        noisy = add_noise(batch.targets, noise, timesteps, alphas)
        predicted = self.mcld.denoiser(noisy, timesteps, features, appearance, dropped=draws.dropped)
        size = (noise.shape[2], noise.shape[3])
        return denoising_loss(
            predicted,
            velocity(batch.targets, noise, timesteps, alphas),
            signal_to_noise(alphas, timesteps),
            face_cells(batch.iuv[..., 0], size),
            self.options.loss,
            person_cells(batch.iuv[..., 0], size),
        )

    def _draws(self, rng: np.random.Generator, batch: Batch) -> Draws:
        """Draw the random numbers of a step."""
        options, rows = self.options, len(batch.targets)
        cells = [side // LATENT_STRIDE for side in batch.iuv.shape[1:3]]
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        noise = torch.randn((rows, self.model.vae.latent_channels, *cells), generator=generator)
        offset = torch.randn((*noise.shape[:2], 1, 1), generator=generator)
        # Stratified: one timestep from each of B equal parts, which steadies the loss.
        share = (np.arange(rows) + rng.random(rows)) / rows
        steps = len(self.alphas)
        timesteps = torch.from_numpy((steps * rng.permutation(share) ** options.timestep_power).astype(np.int64))
        embedding_shape = (len(batch.photo_pixels), 1, self.model.image_encoder.projection_dim)
        return Draws(
            noise=with_noise_offset(noise, offset, options.loss.noise_offset),
            timesteps=timesteps.clamp(max=steps - 1),
            dropped=torch.from_numpy(rng.random(rows) < options.condition_dropout),
            embedding_noise=options.embedding_noise * torch.randn(embedding_shape, generator=generator),
        )

    def draw(self, rng: np.random.Generator, stage: StageOptions) -> Batch:
        """A random batch of training people."""
        if rng.integers(200) == 0:
            self.people.refresh()
        numbers = rng.choice(self.people.training, stage.people, replace=len(self.people.training) < stage.people)
        sources: dict[str, list[np.ndarray]] = {name: [] for name in ("photo", "texture_pixels", "texture", "face")}
        targets: dict[str, list[np.ndarray]] = {name: [] for name in ("view", "warped_source", "iuv")}
        headless = []
        for number in numbers:
            person = self.people.person(int(number))
            source = int(rng.integers(len(person.textures)))
            blackout = rng.random() < self.options.image_dropout
            sources["photo"].append(person.photo_pixels[source] * (not blackout))
            sources["texture_pixels"].append(person.texture_pixels[source])
            sources["texture"].append(person.textures[source])
            sources["face"].append(person.faces[source])
            seen = person.targets(source)
            for view in rng.choice(seen, stage.views, replace=stage.views > len(seen)):
                iuv = self.people.pose(int(number), int(view))
                window = self._window(rng, iuv, stage.crop)
                targets["view"].append(crop_planes(person.views[view], window))
                targets["iuv"].append(crop_planes(iuv, window))
                if person.warped_sources is not None:
                    targets["warped_source"].append(crop_planes(person.warped_sources[view], window))
                headless.append(
                    person.warped_sources is not None and bool(rng.random() < self.options.head_warp_dropout)
                )
        return Batch(
            photo_pixels=as_tensor(sources["photo"]),
            texture_pixels=as_tensor(sources["texture_pixels"]),
            textures=as_tensor(sources["texture"]),
            faces=as_tensor(sources["face"])[:, None],
            source_rows=torch.arange(stage.people).repeat_interleave(stage.views),
            targets=as_tensor(targets["view"]),
            warped_sources=as_tensor(targets["warped_source"]) if targets["warped_source"] else None,
            headless=torch.tensor(headless),
            iuv=as_tensor(targets["iuv"]),
        )

    def _window(self, rng: np.random.Generator, iuv: Iuv, crop: int | None) -> Window | None:
        """A random window around the person for `crop_planes`; None without cropping."""
        if crop is None:
            return None
        part = iuv[..., 0]
        wanted = np.isin(part, HEAD_PARTS) if rng.random() < self.options.head_crops else part > 0
        points = np.argwhere(wanted if wanted.any() else np.ones_like(wanted))
        middle = points[rng.integers(len(points))] + rng.integers(-crop // 4, crop // 4 + 1, 2)
        first = np.clip((middle - crop // 2) // LATENT_STRIDE, 0, (np.array(part.shape) - crop) // LATENT_STRIDE)
        return Window(int(first[0]), int(first[1]), crop // LATENT_STRIDE)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """PSNR (dB) on development people at full size; also writes a contact sheet if `sheets` is set."""
        assert isinstance(network, nn.ModuleDict)
        self.people.refresh()
        sheet = None
        if self.sheets is not None:
            self.sheets.mkdir(parents=True, exist_ok=True)
            sheet = self.sheets / f"sheet_{self.measurements:03d}.png"
            self.measurements += 1
        return measure_people(
            networks=network,
            vae=self.vae,
            model=self.model,
            people=self.people,
            count=self.options.measured_people,
            steps=self.options.measured_steps,
            guidance=1.0,
            sheet=sheet,
        )

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        """The averaged networks; keys are prefixed with the part's name."""
        return dict(network.state_dict()), {"network": "diffusion", "parts": list(TRAINED_PARTS)}


def load_examples(
    options: DiffusionTrainingOptions,
    vae: Path,
    data: Path | None,
    prepared: Path | None,
    pairs: Path | None,
    images: Path | None,
) -> tuple[Examples, LatentAutoencoder]:
    """The training examples: rendered people (`data`, `prepared`), or a list of `pairs` and its `images`."""
    model = load_model_options(options.model)
    autoencoder = load_vae(model, vae)
    if pairs is not None and images is not None and data is None and prepared is None:
        return PreparedPairs(pairs, images, model, options.measured_pairs), autoencoder
    if data is not None and prepared is not None and pairs is None and images is None:
        people = PreparedPeople(prepared, PeopleViews(data, options.data))
        people.check_model(model)
        return people, autoencoder
    raise UsageError("give --data and --prepared for rendered people, or --pairs and --images for a list of pairs")


def encode_appearance(
    mcld: Mcld, batch: Batch, embedding_noise: Float[Tensor, "sources 1 width"]
) -> ProjectedAppearance:
    """Attention keys and values of the P sources of an encoded batch, with gradient; the noise is added to the photos'
    CLIP embeddings."""
    image = mcld.image_encoder(pixel_values=batch.photo_pixels).image_embeds[:, None]
    texture = mcld.image_encoder(pixel_values=batch.texture_pixels).image_embeds[:, None]
    image = image + embedding_noise.to(image.dtype)
    face = mcld.face_tokens(batch.faces)
    model = mcld.options
    tokens = route_tokens(image, texture, face, model.conditions, model.aggregation)
    return mcld.denoiser.project_source(mcld.reference_net(batch.textures, image), tokens)


def start_from_warped_source(mcld: Mcld) -> None:
    """Initialise a fresh Pose Guider so that it passes on the warped source's latents unchanged.

    They fill the first feature channels, and their negatives the next ones. Later layers can use them at once, because
    silu(x) - silu(-x) = x undoes the activations.
    """
    convolution = mcld.pose_guider.warp_in
    if convolution is None:
        return
    channels = mcld.options.vae.latent_channels
    with torch.no_grad():
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        middle = convolution.kernel_size[0] // 2
        for output in range(convolution.out_channels):
            sign = 1.0 if output // (channels + 1) % 2 == 0 else -1.0
            convolution.weight[output, output % (channels + 1), middle, middle] = sign
