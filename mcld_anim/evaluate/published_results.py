"""The numbers of the paper (MCLD, CVPR 2025, arXiv 2503.15686, its tables on DeepFashion), for comparison.

Nobody measured them here. The paper's SSIM is the published evaluation's with 51x51 windows at both sizes, as far as
its code tells; its face similarities are cosines at 256x176.
"""

from __future__ import annotations

from collections.abc import Mapping

PAPER: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("MCLD", "256x176"): {
        "fid": 6.693,
        "lpips": 0.1482,
        "ssim": 0.7511,
        "psnr": 18.84,
        "face_source_cosine": 0.301,
        "face_target_cosine": 0.413,
    },
    ("MCLD", "512x352"): {"fid": 7.079, "ssim": 0.7557},
    ("CFLD", "256x176"): {
        "fid": 6.804,
        "lpips": 0.1519,
        "ssim": 0.7378,
        "psnr": 18.235,
        "face_source_cosine": 0.243,
        "face_target_cosine": 0.363,
    },
    ("CFLD", "512x352"): {"fid": 7.149, "ssim": 0.7478},
    ("PIDM", "256x176"): {
        "fid": 6.36,
        "lpips": 0.1678,
        "ssim": 0.7312,
        "face_source_cosine": 0.270,
        "face_target_cosine": 0.394,
    },
    ("PIDM", "512x352"): {"fid": 5.837, "ssim": 0.7419},
}
"""By method and size (height x width), then by the keys of `evaluate.columns.COLUMNS`."""

PAPER_ABLATION: Mapping[str, Mapping[str, float]] = {
    "B1": {"psnr": 18.18, "ssim": 0.7371},
    "B3": {"psnr": 18.03, "ssim": 0.7340},
    "B5": {"psnr": 18.72, "ssim": 0.7499},
    "full": {"psnr": 18.84, "ssim": 0.7511},
}
"""Table 3 of the paper, at 256x176, by variant: image alone; all conditions concatenated; without face; all."""
