"""`mcld-anim run`: one photo and one driving video become one video."""

from __future__ import annotations

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.options.run import RunOptions


def command(
    source: flags.Sources = None,
    driving: flags.Driving = None,
    start: flags.Start = None,
    end: flags.End = None,
    max_frames: flags.MaxFrames = None,
    fps: flags.Fps = None,
    person: flags.Person = None,
    audio: flags.Audio = None,
    config: flags.Config = None,
    densepose: flags.Densepose = None,
    pose_cleanup: flags.PoseCleanup = None,
    retarget: flags.Retarget = None,
    framing: flags.Framing = None,
    blend: flags.Blend = None,
    blending: flags.Blending = None,
    noise: flags.Noise = None,
    preset: flags.Preset = None,
    sampler: flags.Sampler = None,
    steps: flags.Steps = None,
    guidance: flags.Guidance = None,
    guidance_interval: flags.GuidanceInterval = None,
    seed: flags.Seed = None,
    background: flags.Background = None,
    paste_back: flags.PasteBack = None,
    min_face_similarity: flags.MinFaceSimilarity = None,
    retries: flags.Retries = None,
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
    crf: flags.Crf = None,
    audio_codec: flags.AudioCodec = None,
    overwrite: flags.Overwrite = None,
    resume: flags.Resume = None,
    model: flags.Model = None,
    face: flags.Face = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
    dtype: flags.Dtype = None,
    batch_size: flags.BatchSize = None,
    memory: flags.Memory = None,
    vae_tiling: flags.VaeTiling = None,
    offload: flags.Offload = None,
    reuse_features: flags.ReuseFeatures = None,
    compile: flags.Compile = None,
    no_cache: flags.NoCache = False,
    profile: flags.Profile = False,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Animate the person of a photo with the motion of a driving video."""
    options = flags.resolved(RunOptions, locals())
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=not no_cache) as animator:
        result = animator.run(options, shown.update, shown.show, profile)
    say(flags.ran_with(result.summary), output=str(result.output))
    streams.tell(result.output)
