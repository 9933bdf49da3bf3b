"""`mcld-anim edit`: the person of a photo with another face, other clothes or colours, in their own pose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.options.run import EditOptions

SaveTexture = Annotated[
    Path | None,
    flags.flag(flags.OUTPUT, "Also write the edited person's UV texture: a PNG, 512x512 in the SMPL layout."),
]


def command(
    source: flags.Source = None,
    config: flags.Config = None,
    face_from: flags.FaceFrom = None,
    garment_from: flags.GarmentFrom = None,
    tint: flags.TintFlag = None,
    texture: flags.TextureFile = None,
    morph_to: flags.MorphTo = None,
    weights: flags.WeightsFlag = None,
    attention_maps: flags.AttentionMaps = None,
    densepose: flags.Estimator = None,
    retarget: flags.Retarget = None,
    preset: flags.Preset = None,
    sampler: flags.Sampler = None,
    steps: flags.Steps = None,
    guidance: flags.Guidance = None,
    guidance_interval: flags.GuidanceInterval = None,
    seed: flags.Seed = None,
    output: flags.Output = None,
    save_texture: SaveTexture = None,
    long_side: flags.LongSide = None,
    side_by_side: flags.SideBySide = None,
    overwrite: flags.Overwrite = None,
    model: flags.Model = None,
    face: flags.Face = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
    dtype: flags.Dtype = None,
    offload: flags.Offload = None,
    reuse_features: flags.ReuseFeatures = None,
    no_cache: flags.NoCache = False,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Show the person of a photo with edits, in their own pose."""
    options = flags.resolved(EditOptions, locals())
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=not no_cache) as animator:
        result = animator.run(options, shown.update, shown.show)
    say(flags.ran_with(result.summary), output=str(result.output))
    streams.tell(result.output)
