"""`mcld-anim pose`: one photo and one pose become one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.options.run import PoseOptions

Pose = Annotated[
    Path | None,
    flags.flag(flags.INPUT, "Picture of a person, or IUV: picture, archive or folder.", "--pose", "-p"),
]


def command(
    source: flags.Sources = None,
    pose: Pose = None,
    config: flags.Config = None,
    densepose: flags.Estimator = None,
    retarget: flags.Retarget = None,
    preset: flags.Preset = None,
    sampler: flags.Sampler = None,
    steps: flags.Steps = None,
    guidance: flags.Guidance = None,
    guidance_interval: flags.GuidanceInterval = None,
    seed: flags.Seed = None,
    face_from: flags.FaceFrom = None,
    garment_from: flags.GarmentFrom = None,
    tint: flags.TintFlag = None,
    texture: flags.TextureFile = None,
    morph_to: flags.MorphTo = None,
    weights: flags.WeightsFlag = None,
    attention_maps: flags.AttentionMaps = None,
    output: flags.Output = None,
    long_side: flags.LongSide = None,
    side_by_side: flags.SideBySide = None,
    overwrite: flags.Overwrite = None,
    model: flags.Model = None,
    face: flags.Face = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
    dtype: flags.Dtype = None,
    vae_tiling: flags.VaeTiling = None,
    offload: flags.Offload = None,
    reuse_features: flags.ReuseFeatures = None,
    no_cache: flags.NoCache = False,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Show the person of a photo in the pose of another picture or of an IUV file."""
    options = flags.resolved(PoseOptions, locals())
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=not no_cache) as animator:
        result = animator.run(options, shown.update, shown.show)
    say(flags.ran_with(result.summary), output=str(result.output))
    streams.tell(result.output)
