"""Training of the diffusion model: image encoder, ReferenceNet, denoiser, Pose Guider and face tokens
together.

The autoencoder and the face embedder are frozen and their outputs prepared (`train.pairs`), or, for pairs of pictures
(`train.pair_list`), the latents are computed in the loss: batches are made on the CPU, ahead of the training. Each
step takes a few people, one source view of each and several target views, so that the ReferenceNet's pass is shared;
it begins with crops around the person, whose texture is still seen whole, and ends with whole frames.
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
from mcld_anim.train.diffusion_batch import Batch, Draws, Window, as_tensor, cut
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
from mcld_anim.train.pair_list import PreparedPairs
from mcld_anim.train.pairs import Examples, PreparedPeople, load_vae
from mcld_anim.train.parts import load_into, start_from_controlnet
from mcld_anim.train.preview import measure_people
from mcld_anim.train.views import PeopleViews, ViewsOptions

TRAINED_PARTS = ("image_encoder", "reference_net", "denoiser", "pose_guider", "face_tokens")


@dataclass(frozen=True)
class StageOptions:
    """One stretch of the training: what a batch is made of until `until` (part of the budget, 0..1) is
    reached."""

    until: float = 1.0
    people: int = 2
    views: int = 4
    """Target views of each person; the batch is people * views."""
    crop: int | None = None
    """Side of square crops of the target in pixels, a multiple of 8; nothing = whole frames. Prepared latents are
    cut; pictures are cut before they are encoded."""

    def __post_init__(self) -> None:
        if self.crop is not None and (self.crop <= 0 or self.crop % LATENT_STRIDE):
            raise ValueError(f"crop is {self.crop}, expected a positive multiple of {LATENT_STRIDE}")
        if self.people < 1 or self.views < 1:
            raise ValueError(f"people {self.people} and views {self.views} must be at least 1")


@dataclass(frozen=True)
class DiffusionTraining:
    """Everything a training of the diffusion model depends on."""

    model: str = "tiny"
    """Model configuration (name or path)."""
    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=60, ema_decay=0.999))
    data: ViewsOptions = field(default_factory=ViewsOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    stages: tuple[StageOptions, ...] = (StageOptions(),)
    frozen: tuple[str, ...] = ()
    """Names of networks or of parts of them (as "reference_net.unet.up_blocks.3") that are not trained."""
    gradient_checkpointing: bool = False
    """Recompute the networks' blocks in the backward pass: less memory, about a third more time."""
    condition_dropout: float = 0.1
    """Part of the samples that see neither reference features nor tokens, as guidance's unconditional
    rows."""
    image_dropout: float = 0.0
    """Part of the sources whose photo is blacked out before the image encoder (published: 0.1)."""
    embedding_noise: float = 0.0
    """Deviation of normal noise on the photo's CLIP embedding."""
    timestep_power: float = 1.0
    """Timesteps are drawn as u^power of the whole; below 1 favours the noisy ones, where pictures are
    decided."""
    head_crops: float = 0.3
    """Part of the crops that are centred near the head."""
    head_hint_dropout: float = 0.0
    """Part of the samples whose hint does not show the head, so that the face must come from its tokens."""
    measured_pairs: int = 64
    """Of a list of pairs, the last so many are for measuring only."""
    measured_people: int = 6
    measured_steps: int = 8
    """Sampling steps of the development measurement (guidance 1)."""


class DiffusionTask:
    """The networks, their batches and their measures (a `train.loop.Task`)."""

    def __init__(
        self,
        options: DiffusionTraining,
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
        start_from_hint(self.mcld)
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
        """A random batch of the stage that the training has come to."""
        stage = next(s for s in self.options.stages if progress <= s.until or s is self.options.stages[-1])
        return self.draw(rng, stage)

    def loss(self, batch: Batch, rng: np.random.Generator, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch at random timesteps. The frozen autoencoder follows the networks to their device."""
        terms = self.step_loss(batch, rng)
        return terms.total, {"plain": terms.plain.detach().mean(), "face": terms.face.detach().mean()}

    def step_loss(self, batch: Batch, rng: np.random.Generator) -> LossTerms:
        """Add noise, predict v, compare."""
        device = device_of(self.network)
        draws, alphas = self._draws(rng, batch).to(device), self.alphas.to(device)
        noise, timesteps = draws.noise, draws.timesteps
        batch = batch.to(device).encoded(self.vae.to(device))  # the autoencoder moves once, then it is there
        appearance = encode_appearance(self.mcld, batch, draws.embedding_noise).select(batch.source_rows)
        hints = batch.hints if self.model.pose_guider.hint == "uv_warp" else None
        features = self.mcld.pose_guider(network_condition(batch.iuv, self.model.pose_guider), hints)
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
        """The random numbers of a step."""
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
        targets: dict[str, list[np.ndarray]] = {name: [] for name in ("view", "hint", "iuv")}
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
                targets["view"].append(cut(person.views[view], window))
                targets["iuv"].append(cut(iuv, window))
                if person.hints is not None:
                    targets["hint"].append(cut(person.hints[view], window))
                headless.append(person.hints is not None and bool(rng.random() < self.options.head_hint_dropout))
        return Batch(
            photo_pixels=as_tensor(sources["photo"]),
            texture_pixels=as_tensor(sources["texture_pixels"]),
            textures=as_tensor(sources["texture"]),
            faces=as_tensor(sources["face"])[:, None],
            source_rows=torch.arange(stage.people).repeat_interleave(stage.views),
            targets=as_tensor(targets["view"]),
            hints=as_tensor(targets["hint"]) if targets["hint"] else None,
            headless=torch.tensor(headless),
            iuv=as_tensor(targets["iuv"]),
        )

    def _window(self, rng: np.random.Generator, iuv: Iuv, crop: int | None) -> Window | None:
        """Where to `cut`: nowhere, or around the person."""
        if crop is None:
            return None
        part = iuv[..., 0]
        wanted = np.isin(part, HEAD_PARTS) if rng.random() < self.options.head_crops else part > 0
        points = np.argwhere(wanted if wanted.any() else np.ones_like(wanted))
        middle = points[rng.integers(len(points))] + rng.integers(-crop // 4, crop // 4 + 1, 2)
        first = np.clip((middle - crop // 2) // LATENT_STRIDE, 0, (np.array(part.shape) - crop) // LATENT_STRIDE)
        return Window(int(first[0]), int(first[1]), crop // LATENT_STRIDE)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """PSNR (dB) on development people at full size; writes a sheet of pictures where asked to."""
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
        """The averaged networks, keys prefixed with the part's name."""
        return dict(network.state_dict()), {"network": "diffusion", "parts": list(TRAINED_PARTS)}


def load_examples(
    options: DiffusionTraining,
    vae: Path,
    data: Path | None,
    prepared: Path | None,
    pairs: Path | None,
    images: Path | None,
) -> tuple[Examples, LatentAutoencoder]:
    """The people to learn from, either rendered ones (`data`, `prepared`) or a list of `pairs` and its `images`."""
    model = load_model_options(options.model)
    autoencoder = load_vae(model, vae)
    if pairs is not None and images is not None and data is None and prepared is None:
        return PreparedPairs(pairs, images, model, options.measured_pairs), autoencoder
    if data is not None and prepared is not None and pairs is None and images is None:
        return PreparedPeople(prepared, PeopleViews(data, options.data)), autoencoder
    raise UsageError("give --data and --prepared for rendered people, or --pairs and --images for a list of pairs")


def encode_appearance(
    mcld: Mcld, batch: Batch, embedding_noise: Float[Tensor, "sources 1 width"]
) -> ProjectedAppearance:
    """The P sources of an encoded batch as keys and values, with gradient; the noise is added to the photos' CLIP
    embeddings."""
    image = mcld.image_encoder(pixel_values=batch.photo_pixels).image_embeds[:, None]
    texture = mcld.image_encoder(pixel_values=batch.texture_pixels).image_embeds[:, None]
    image = image + embedding_noise.to(image.dtype)
    face = mcld.face_tokens(batch.faces)
    model = mcld.options
    tokens = route_tokens(image, texture, face, model.conditions, model.aggregation)
    return mcld.denoiser.project_source(mcld.reference_net(batch.textures, image), tokens)


def start_from_hint(mcld: Mcld) -> None:
    """Let a fresh Pose Guider hand the hint's latents on unchanged, in the first feature channels and negated
    in the next, so that what follows can use them at once: silu(x) - silu(-x) = x undoes the activations.
    """
    convolution = mcld.pose_guider.hint_in
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
