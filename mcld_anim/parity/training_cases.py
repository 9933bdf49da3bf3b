"""Case g: one training step, from pictures and noise to losses and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from mcld_anim.core.arrays import Iuv
from mcld_anim.model.build import Mcld
from mcld_anim.model.focal import route_tokens
from mcld_anim.parity.golden import Comparison, Golden, compare, replays
from mcld_anim.parity.network_cases import unit_planes
from mcld_anim.pose.condition import pose_image
from mcld_anim.sampling.schedule import add_noise, make_scheduler, velocity
from mcld_anim.train.loss import LossOptions, LossTerms, denoising_loss, face_cells, signal_to_noise

PREDICTION = 2e-4
PREDICTION_FLOAT16_FEATURES = 1e-3
LOSS = 1e-4
GRADIENT = 2e-3
NOISY = 1e-5

_NETWORKS = {
    "denoising_unet": "denoiser.unet",
    "reference_unet": "reference_net.unet",
    "pose_guider": "pose_guider",
    "image_proj_model": "face_tokens",
}
"""Published name of every trained network -> its name in `Mcld`."""


@dataclass(frozen=True)
class Step:
    """The inputs of one step for our functions: one frame per row."""

    data: dict[str, Tensor]
    poses: Tensor
    face_mask: Tensor
    snr: Tensor
    noisy_latents: Tensor
    target: Tensor
    options: LossOptions


@replays("g_training*.safetensors", also=["g_training*.json", "g_training*_inputs.*.png"])
def training_step(golden: Golden, case: str) -> Iterator[Comparison]:
    """Schedule, face mask, weights, predictions with and without reference, losses and gradients."""
    data, recorded = golden.tensors(case), golden.json(case)
    step = _step(golden, case, data, recorded)
    yield from _compare_inputs(golden, case, step, recorded)
    mcld = golden.mcld
    mcld.zero_grad(set_to_none=True)  # other cases share these networks
    with torch.no_grad():
        yield compare(
            "model_pred, bank float32",
            _predict(mcld, step, None),
            _frames(data, "model_pred_bank_float32"),
            PREDICTION,
        )
        yield from _compare_without_reference(mcld, step, recorded)
    predicted = _predict(mcld, step, torch.float16)
    yield compare("model_pred, bank float16", predicted, _frames(data, "model_pred"), PREDICTION_FLOAT16_FEATURES)
    terms = _loss(step, predicted)
    yield from _compare_losses(terms, data, recorded)
    terms.total.backward()
    yield from _compare_gradients(mcld, data, recorded)
    mcld.zero_grad(set_to_none=True)


def _step(golden: Golden, case: str, data: dict[str, Tensor], recorded: dict[str, Any]) -> Step:
    schedule = golden.options.training_schedule or golden.options.schedule
    alphas = make_scheduler(schedule).alphas_cumprod
    latents, noise = _frames(data, "latents"), _frames(data, "noise")
    poses = unit_planes(golden.pictures(f"{case}_inputs.pose_"))
    labels = (poses[:, 2] * 255).round().to(torch.uint8)  # plane 2 is the part index, resized as a picture
    return Step(
        data=data,
        poses=poses,
        face_mask=face_cells(labels, (latents.shape[2], latents.shape[3])),
        snr=signal_to_noise(alphas, data["timesteps"]),
        noisy_latents=add_noise(latents, noise, data["timesteps"], alphas),
        target=velocity(latents, noise, data["timesteps"], alphas),
        options=LossOptions(snr_gamma=recorded["snr_gamma"]),
    )


def _compare_inputs(golden: Golden, case: str, step: Step, recorded: dict[str, Any]) -> Iterator[Comparison]:
    data = step.data
    iuvs = [picture for name, picture in _pictures(golden, f"{case}_inputs.iuv_")]
    for number, iuv in enumerate(iuvs):
        resized = pose_image(iuv, (step.poses.shape[2], step.poses.shape[3]))
        yield compare(f"pose picture {number}", resized, step.poses[number], 0)
    yield compare("face_mask", step.face_mask, data["face_mask"], 0)
    cells = torch.tensor([int(mask.sum()) for mask in step.face_mask])
    yield compare("face_mask_cells", cells, torch.tensor(recorded["face_mask_cells"]), 0)
    yield compare("snr, relative", step.snr / data["snr"].clamp(min=1e-9), (data["snr"] > 0).float(), LOSS)
    yield compare("noisy_latents", step.noisy_latents[:1], _frames(data, "noisy_latents_sample_0"), NOISY)
    yield compare("target", step.target[:1], _frames(data, "target_sample_0"), NOISY)


def _compare_without_reference(mcld: Mcld, step: Step, recorded: dict[str, Any]) -> Iterator[Comparison]:
    """The published step with condition dropout: no reference features, but all tokens."""
    predicted = _predict(mcld, step, None, reference=False)
    expected = _frames(step.data, "model_pred_uncond_sample_0")
    yield compare("model_pred without reference", predicted[:1], expected, PREDICTION)
    yield _relative("loss without reference", _loss(step, predicted).total, recorded["loss_uncond"])


def _compare_losses(terms: LossTerms, data: dict[str, Tensor], recorded: dict[str, Any]) -> Iterator[Comparison]:
    yield _relative("loss", terms.total, data["loss"])
    yield _relative("loss weights", terms.weights, data["loss_weights"])
    yield _relative("loss1 per sample", terms.plain, data["loss1_per_sample"])
    yield _relative("loss2 per sample", terms.face, data["loss2_per_sample"])
    yield _relative("loss1 mean", terms.plain.mean(), recorded["loss1_mean"])
    yield _relative("loss2 mean", terms.face.mean(), recorded["loss2_mean"])


def _compare_gradients(mcld: Mcld, data: dict[str, Tensor], recorded: dict[str, Any]) -> Iterator[Comparison]:
    """Recorded gradients, the gradient norm per network, and the parameters without a gradient."""
    for published, ours in _NETWORKS.items():
        network = mcld.get_submodule(ours)
        reached = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        prefix = f"grad.{published}."
        for key in (key for key in data if key.startswith(prefix)):
            expected, found = data[key].double(), reached[key.removeprefix(prefix)].double()
            gap = (found - expected).norm() / expected.norm()
            yield Comparison(f"{key}, relative L2", float(gap), GRADIENT)
        norm = torch.stack([grad.double().norm() for grad in reached.values()]).norm()
        yield _relative(f"gradient norm {published}", norm, recorded["gradient_norm"][published], GRADIENT)
        without = {name for name, _ in network.named_parameters()} - reached.keys()
        expected_without = set(recorded["gradient_norm"][f"{published}_parameters_without_gradient"])
        # Where the published network has parameters that are never read, ours has no module.
        yield Comparison(f"parameters without gradient {published}", len(without - expected_without), 0)
        yield Comparison(f"unread parameters {published}", len(expected_without & reached.keys()), 0)


def _predict(mcld: Mcld, step: Step, dtype: torch.dtype | None, reference: bool = True) -> Tensor:
    """v of all samples; without `reference`, every layer reads zero reference tokens."""
    data = step.data
    image = data["image_embeds"]
    tokens = route_tokens(image, data["texture_embeds"], mcld.face_tokens(data["face_emb"]))
    features = mcld.reference_net(data["ref_latents"], image)
    if not reference:
        features = {layer: states[:, :0] for layer, states in features.items()}
    appearance = mcld.denoiser.project_source(features, tokens, reference_dtype=dtype)
    pose_features = mcld.pose_guider(step.poses)
    return cast("Tensor", mcld.denoiser(step.noisy_latents, data["timesteps"], pose_features, appearance))


def _loss(step: Step, predicted: Tensor) -> LossTerms:
    return denoising_loss(predicted, step.target, step.snr, step.face_mask, step.options)


def _frames(data: dict[str, Tensor], key: str) -> Tensor:
    """(B, C, 1, h, w) as recorded -> (B, C, h, w)."""
    return data[key][:, :, 0]


def _pictures(golden: Golden, prefix: str) -> Iterator[tuple[str, Iuv]]:
    """The recorded part pictures in the order I, U, V; there may be fewer than samples."""
    for path in sorted(golden.cases.glob(f"{prefix}*.png")):
        yield path.stem, golden.picture(path.stem)


def _relative(quantity: str, ours: Tensor, theirs: Tensor | float, tolerance: float = LOSS) -> Comparison:
    """Compare by the largest difference relative to the recorded value."""
    expected = torch.as_tensor(theirs, dtype=torch.float64)
    gap = (ours.detach().double() - expected).abs() / expected.abs().clamp(min=1e-12)
    return Comparison(f"{quantity}, relative", float(gap.max()), tolerance)
