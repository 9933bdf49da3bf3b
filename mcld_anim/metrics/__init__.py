"""Metrics: PSNR, SSIM (plain and published), LPIPS, Frechet distances of pictures and videos, faces, stability."""
