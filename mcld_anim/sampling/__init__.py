"""From start noise to latents: schedule, noise, blending between frames, and the sampling loop."""
