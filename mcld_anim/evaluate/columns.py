"""The metrics of `eval pairs`, `deepfashion`, `video` and `compare`: titles, units, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mcld_anim.metrics.bootstrap import Estimate


@dataclass(frozen=True)
class Column:
    """One metric as tables show it."""

    title: str
    form: str  # of its numbers, as in `format`
    higher: bool  # whether more is better

    def shown(self, metric: Mapping[str, Any] | None) -> str:
        """A metric's mean with its interval; "-" where it was not measured."""
        if metric is None:
            return "-"
        if metric["mean"] is None:
            return f"inf ({metric['infinite']} equal)" if metric["infinite"] else "-"
        mean = format(metric["mean"], self.form)
        if metric["low"] is None:
            return mean
        return f"{mean} [{metric['low']:{self.form}}, {metric['high']:{self.form}}]"

    @property
    def arrow(self) -> str:
        """The title with the direction that is better."""
        return f"{self.title}{'↑' if self.higher else '↓'}"


COLUMNS = {
    "fid": Column("FID", ".3f", False),
    "lpips": Column("LPIPS", ".4f", False),
    "ssim": Column("SSIM", ".4f", True),
    "ssim_256": Column("SSIM_256", ".4f", True),
    "ssim_standard": Column("SSIM standard", ".4f", True),
    "psnr": Column("PSNR", ".3f", True),
    "face_target_cosine": Column("face target", ".3f", True),
    "face_target_euclidean": Column("face target distance", ".2f", False),
    "face_source_cosine": Column("face source", ".3f", True),
    "face_source_euclidean": Column("face source distance", ".2f", False),
    "stability": Column("texel change", ".3f", False),
    "target_stability": Column("texel change, target's", ".3f", False),
    "warp_error": Column("warp error x1000", ".3f", False),
    "target_warp_error": Column("warp error x1000, target's", ".3f", False),
    "fvd": Column("FVD", ".1f", False),
    "person_psnr": Column("person PSNR", ".2f", True),
    "person_ssim": Column("person SSIM", ".3f", True),
    "silhouette_iou": Column("silhouette", ".3f", True),
    "face_same_rate": Column("same face", ".2f", True),
}
"""By their keys in JSON, in the order of tables. The last four are of `eval reenact`."""

PROTOCOL = (
    "Pictures are compared at 256x176 and 512x352 (height x width) as 8-bit RGB; others are squashed to that by "
    "Pillow's bicubic filter, as the published code does with its targets.",
    "SSIM: uniform windows of 51x51, sample covariance, data range 1. SSIM_256: Gaussian windows, the data range is "
    "the generated picture's max - min. Both as published; SSIM standard is that of Wang et al. 2004, not published.",
    "LPIPS: AlexNet, version 0.1. PSNR: data range 1; equal pictures have an infinite one, and then the mean is.",
    "FID as published: torchvision's Inception v3 with ImageNet weights and the published change of values, against "
    "the training set (--training). It is not comparable with standard FID. Without --training it is against the "
    "targets, which the published one is not. It has no interval, because it is no mean over pairs.",
    "Faces: raw embeddings of the largest faces. The published code measures with buffalo_s at 256x176 and drops pairs "
    "without a face in silence; here the embedder is the one named, and those pairs are counted.",
    "Intervals: 95 %, percentile bootstrap over pairs (frames of a video), 2000 samples, seeded. Frames of one video "
    "depend on each other, so intervals over frames are too narrow.",
)
"""What is measured, and where it differs from the published evaluation."""


def described(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON holds it."""
    return asdict(found)
