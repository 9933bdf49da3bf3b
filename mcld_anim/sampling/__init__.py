"""From start noise to latents: schedule, noise of the frames, blending between frames, and the sampling
loop."""
