"""Cases j and k: metrics, and the preprocessing of a generated picture before it is measured."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np
import torch

from mcld_anim.metrics.faces import cosine_similarity, euclidean_distance
from mcld_anim.metrics.frechet import frechet_distance
from mcld_anim.metrics.pictures import psnr, ssim_256_published, ssim_published
from mcld_anim.metrics.published import evaluation_pictures, published_inception_input
from mcld_anim.parity.golden import Comparison, Golden, compare, replays
from mcld_anim.parity.network_cases import unit_planes

PICTURE_METRICS = 1e-4
COSINE_TOLERANCE = 1e-6
RELATIVE = 1e-4
DIFFERING_PIXELS = 1e-3


@replays("j_metrics*.safetensors", also=["j_metrics*.json", "j_metrics*.png"])
def metrics(golden: Golden, case: str) -> Iterator[Comparison]:
    """PSNR and both SSIM variants per size, face distances, the Frechet distance, the Inception input."""
    data, recorded = golden.tensors(case), golden.json(case)
    for size, expected in recorded.items():
        if not (isinstance(expected, dict) and "psnr" in expected):
            continue
        truth, predicted = (golden.picture(f"{case}.{kind}_{size}") for kind in ("gt", "pred"))
        for name, metric in (("psnr", psnr), ("ssim", ssim_published), ("ssim_256", ssim_256_published)):
            yield _value(f"{name} {size}", metric(predicted, truth), expected[name], PICTURE_METRICS)
            same = float(expected["identical_pictures"][name])
            yield Comparison(f"{name} of equal pictures", _difference(metric(truth, truth), same), PICTURE_METRICS)
    first, second = data["face_a"].numpy(), data["face_b"].numpy()
    face = recorded["face"]
    yield _value("face cosine", cosine_similarity(first, second), face["cosine"], COSINE_TOLERANCE)
    yield _relative("face euclidean", euclidean_distance(first, second), face["euclidean"])
    distance = frechet_distance(data["feat_real"].numpy(), data["feat_pred"].numpy())
    yield _relative("frechet", distance, recorded["frechet"])
    inception = published_inception_input(unit_planes([golden.picture(f"{case}.inception_picture")]))[0]
    yield compare("inception corner", inception[:, :8, :8], data["inception_input_corner_8x8"], 1e-5)
    yield compare("inception mean", inception.double().mean((1, 2)), data["inception_input_mean"], 1e-5)


@replays("k_postprocess*.safetensors", also=["k_postprocess*.json", "k_postprocess*.png"])
def postprocess(golden: Golden, case: str) -> Iterator[Comparison]:
    """The pipeline's output as saved bytes, at each size."""
    image = golden.tensors(case)["image"]
    prefix = f"{case}.out_"
    for file in sorted(path.stem for path in golden.cases.glob(f"{prefix}*.png")):
        saved = golden.picture(file)
        ours = evaluation_pictures(image, (saved.shape[0], saved.shape[1]))[0].permute(1, 2, 0)
        difference = (ours.int() - torch.from_numpy(saved.astype(np.int32))).abs()
        size = file.removeprefix(prefix)
        yield Comparison(f"levels {size}", float(difference.max()), 1)
        yield Comparison(f"share of differing values {size}", float((difference > 0).float().mean()), DIFFERING_PIXELS)


def _value(quantity: str, ours: float, theirs: float, tolerance: float) -> Comparison:
    return Comparison(quantity, _difference(ours, theirs), tolerance)


def _relative(quantity: str, ours: float, theirs: float) -> Comparison:
    return Comparison(f"{quantity}, relative", _difference(ours, theirs) / abs(theirs), RELATIVE)


def _difference(ours: float, theirs: float) -> float:
    """|ours - theirs|; 0 for two infinities (the PSNR of identical pictures)."""
    return 0.0 if ours == theirs else abs(ours - theirs) if abs(theirs) != inf else inf
