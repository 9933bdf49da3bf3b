"""Training of the detail decoder on frames that a trained diffusion model generates of prepared people."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.metrics.pictures import GAUSSIAN_RADIUS, GAUSSIAN_SIGMA, psnr, ssim
from mcld_anim.model.build import build_mcld
from mcld_anim.model.detail import DetailDecoder
from mcld_anim.model.warped_source import WarpedSources
from mcld_anim.options.load import to_mapping
from mcld_anim.options.model import load_model_options
from mcld_anim.pose.condition import warped_source
from mcld_anim.source.background import without_person
from mcld_anim.source.fill import complete_atlas
from mcld_anim.train.autoencoder import reconstruction_loss, to_network
from mcld_anim.train.diffusion import TRAINED_PARTS
from mcld_anim.train.loop import LoopOptions, device_of
from mcld_anim.train.parts import load_into
from mcld_anim.train.prepared_people import PreparedPeople, PreparedPerson, load_vae
from mcld_anim.train.preview import generate, to_pictures
from mcld_anim.train.views import PeopleViews, ViewsOptions


@dataclass(frozen=True)
class DetailTrainingOptions:
    """Options of the detail decoder's training."""

    model: str = "tiny"
    """Model configuration (name or path) whose `detail` is trained."""
    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=45))
    data: ViewsOptions = field(default_factory=ViewsOptions)
    views: int = 3
    """Number of frames in each batch, all of one person."""
    steps: tuple[int, ...] = (1, 2, 4)
    """Numbers of sampling steps; each batch is generated with one of them, drawn at random."""
    person_weight: float = 4.0
    """Weight of a pixel inside the person; 1 outside."""
    square_weight: float = 4.0
    gradient_weight: float = 0.25
    similarity_weight: float = 0.15
    """Weight of 1 - SSIM, which uses the same pixel weights."""
    measured_people: int = 8

    def __post_init__(self) -> None:
        if self.views < 1 or not self.steps or min(self.steps) < 1:
            raise ValueError(f"views {self.views} and steps {self.steps} must be at least 1")


@dataclass(frozen=True, eq=False)
class FrameRequest:
    """Frames that the diffusion model generates: views of one person from one of its sources."""

    person: PreparedPerson
    source: int
    views: list[int]
    iuvs: list[Iuv]
    warped_sources: list[tuple[Picture, np.ndarray]]  # per view: colours, and where they are known
    truths: np.ndarray  # (F, H, W, 3) uint8
    steps: int
    seed: int


@dataclass(frozen=True)
class Frames:
    """The decoder's inputs for F frames, and its targets."""

    decoded: Tensor  # (F, 3, H, W) in [-1, 1]
    warped_sources: WarpedSources
    truths: Tensor  # (F, 3, H, W) in [-1, 1]


class DetailTask:
    """The detail decoder, its batches and its evaluation (a `train.loop.Task`)."""

    def __init__(
        self,
        options: DetailTrainingOptions,
        data: Path,
        prepared: Path,
        vae: Path,
        weights: Path,
        start_from: Path | None,
    ) -> None:
        self.options, self.model = options, load_model_options(options.model)
        if self.model.detail is None:
            raise UsageError(f"the model {options.model} has no detail decoder: add `detail` to its configuration")
        self.people = PreparedPeople(prepared, PeopleViews(data, options.data))
        self.vae = load_vae(self.model, vae)
        mcld = build_mcld(self.model)
        self.diffusion = nn.ModuleDict({part: getattr(mcld, part) for part in TRAINED_PARTS})
        load_into(self.diffusion, weights)
        self.diffusion.eval().requires_grad_(False)
        torch.manual_seed(options.loop.seed)
        self.network: nn.Module = DetailDecoder(self.model.detail).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start_from is not None:
            load_into(self.network, start_from)

    def batch(self, rng: np.random.Generator, progress: float) -> FrameRequest:
        """Random views of one random person."""
        number = int(self.people.training[int(rng.integers(len(self.people.training)))])
        person = self.people.person(number)
        source = int(rng.integers(len(person.textures)))
        seen = person.targets(source)
        views = [int(view) for view in rng.choice(seen, min(self.options.views, len(seen)), replace=False)]
        return self.request(
            number, person, source, views, int(rng.choice(self.options.steps)), int(rng.integers(2**31))
        )

    def request(
        self, number: int, person: PreparedPerson, source: int, views: list[int], steps: int, seed: int
    ) -> FrameRequest:
        """The request for views of person `number` from one of its sources."""
        seen = [self.people.target(number, view) for view in views]
        photo, iuv = self.people.source(number, source)
        atlas, valid = complete_atlas(photo, iuv)
        background = without_person(photo, iuv)
        return FrameRequest(
            person=person,
            source=source,
            views=views,
            iuvs=[iuv for _, iuv in seen],
            warped_sources=[warped_source(atlas, valid, target, background) for _, target in seen],
            truths=np.stack([picture for picture, _ in seen]),
            steps=steps,
            seed=seed,
        )

    def loss(self, batch: FrameRequest, rng: np.random.Generator, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance between the decoder's frames and the truth."""
        frames = self.frames(batch)
        made = self._finish(self.network, frames).float()
        weight = 1.0 + (self.options.person_weight - 1.0) * frames.warped_sources.person
        weight = weight / weight.mean()
        with torch.autocast(made.device.type, enabled=False):  # SSIM's variances are small differences of large numbers
            distance = reconstruction_loss(
                made, frames.truths, weight, self.options.square_weight, self.options.gradient_weight
            )
            similarity = (weight * similarity_map(made, frames.truths)).mean()
        total = distance + self.options.similarity_weight * (1.0 - similarity)
        return total, {"distance": distance.detach(), "similarity": similarity.detach()}

    @torch.no_grad()
    def frames(self, request: FrameRequest) -> Frames:
        """The frames that the diffusion model generates, with warped sources and truths, on the network's device."""
        device = device_of(self.network)
        networks, vae = self.diffusion.to(device), self.vae.to(device)
        latents = generate(
            networks,
            self.model,
            request.person,
            request.iuvs,
            request.views,
            request.steps,
            1.0,
            source=request.source,
            seed=request.seed,
        )
        pictures, known = zip(*request.warped_sources, strict=True)
        return Frames(
            decoded=vae.decode(latents),
            warped_sources=WarpedSources.stack(pictures, known, request.iuvs, latents),
            truths=to_network(torch.from_numpy(request.truths).to(device)),
        )

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """PSNR (dB) and SSIM inside development people: of the decoder's input, its output and the warped source."""
        numbers = self.people.development or self.people.training
        spread = np.linspace(0, len(numbers) - 1, min(self.options.measured_people, len(numbers)))
        metrics: dict[str, list[float]] = {}
        for number in (numbers[int(k)] for k in spread):
            prepared = self.people.person(number)
            views = prepared.targets(0)[-2:]
            frames = self.frames(self.request(number, prepared, 0, views, self.model.sampling.steps, seed=0))
            made = {
                "finished": self._finish(network, frames),
                "decoded": frames.decoded,
                "warped_source": frames.warped_sources.pictures,
            }
            truths, masks = to_pictures(frames.truths), frames.warped_sources.person[:, 0].cpu().numpy() > 0
            for name, pictures in made.items():
                for picture, truth, mask in zip(to_pictures(pictures), truths, masks, strict=True):
                    metrics.setdefault(f"{name}_psnr", []).append(psnr(picture, truth, mask))
                    metrics.setdefault(f"{name}_ssim", []).append(ssim(picture, truth, mask))
        return {name: float(np.mean(values)) for name, values in metrics.items()}

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        return dict(network.state_dict()), {"network": "detail", "options": to_mapping(self.model.detail)}

    @staticmethod
    def _finish(network: nn.Module, frames: Frames) -> Tensor:
        warped = frames.warped_sources
        return network(frames.decoded, warped.pictures, warped.validity, warped.person)


def similarity_map(
    first: Float[Tensor, "batch 3 height width"], second: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch 1 height width"]:
    """SSIM of pictures in [-1, 1] around every pixel, mean over colours: a differentiable `metrics.pictures.ssim`."""
    offsets = torch.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1, dtype=first.dtype, device=first.device)
    line = torch.exp(-0.5 * (offsets / GAUSSIAN_SIGMA) ** 2)
    line = (line / line.sum()).repeat(3, 1)

    def window(planes: Tensor) -> Tensor:
        down = functional.conv2d(planes, line[:, None, :, None], padding=(GAUSSIAN_RADIUS, 0), groups=3)
        return functional.conv2d(down, line[:, None, None, :], padding=(0, GAUSSIAN_RADIUS), groups=3)

    first, second = (first + 1) / 2, (second + 1) / 2
    mean_1, mean_2 = window(first), window(second)
    variances = window(first * first) - mean_1**2 + window(second * second) - mean_2**2
    covariance = window(first * second) - mean_1 * mean_2
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2) / ((mean_1**2 + mean_2**2 + c1) * (variances + c2))
    return similarity.mean(1, keepdim=True)
