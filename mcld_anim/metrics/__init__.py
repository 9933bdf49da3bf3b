"""Picture quality metrics: PSNR, SSIM (plain and the two published variants), face similarity, Frechet distance."""
