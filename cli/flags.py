"""The flags shared by verbs, in the panels of `--help`. Each may be absent: defaults are in `mcld_anim.options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from mcld_anim.cli.progress import FLAG, STYLES
from mcld_anim.options.checks import check_choice
from mcld_anim.options.estimators import EstimatorOptions
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions
from mcld_anim.ui.controls import OptionHelp

Options = TypeVar("Options", bound=EstimatorOptions)

INPUT, MOTION, LOOK, OUTPUT, SPEED = "Input", "Motion", "Look", "Output", "Models and speed"
EDITS = "Edits"


def flag(panel: str, text: str, *names: str, default: object = None) -> Any:
    """An option in a panel, with the default to show; `names` replace the parameter's."""
    return typer.Option(
        *names, help=text, rich_help_panel=panel, show_default=False if default is None else str(default)
    )


Source = Annotated[Path | None, flag(INPUT, "Photo of the person to show.", "--source", "-s")]
Sources = Annotated[
    list[Path] | None,
    flag(
        INPUT,
        "Photo of the person to show. Given again: more photos of the same person, such as their back, which are "
        "joined with the first.",
        "--source",
        "-s",
    ),
]
Driving = Annotated[Path | None, flag(INPUT, "Video that drives the motion.", "--driving", "-d")]
Start = Annotated[float | None, flag(INPUT, "Seconds of the video to skip.")]
End = Annotated[float | None, flag(INPUT, "Second of the video to stop at.")]
MaxFrames = Annotated[int | None, flag(INPUT, "Largest number of frames.")]
Fps = Annotated[str | None, flag(INPUT, "source (the video's own), or frames per second.", default=RunOptions.fps)]
Person = Annotated[
    str | None,
    flag(
        INPUT,
        "Person of the video to follow: largest, N (from the left, from 1) or x,y (pixels).",
        default=RunOptions.person,
    ),
]
Audio = Annotated[str | None, flag(INPUT, "driving, none, or the PATH of a file with sound.", default=RunOptions.audio)]
AudioCodec = Annotated[
    str | None,
    flag(
        OUTPUT,
        "Sound: auto (copied if browsers play it from MP4, else AAC), copy (whatever MP4 holds) or aac.",
        default=RunOptions.audio_codec,
    ),
]
Config = Annotated[Path | None, flag(INPUT, "YAML file with any of these options; flags win over it.")]

Densepose = Annotated[
    str | None,
    flag(
        MOTION,
        "Pose estimator: auto, body (real people), tiny (embedded), detectron2, torchscript; or the PATH of IUV.",
        default=RunOptions.densepose,
    ),
]
Estimator = Annotated[
    str | None,
    flag(
        MOTION,
        "Pose estimator: auto, body, tiny, detectron2 or torchscript.",
        "--densepose",
        default=RunOptions.densepose,
    ),
]
PoseCleanup = Annotated[
    float | None,
    flag(MOTION, "Strength of the temporal clean-up of poses, from 0 (off) to 1.", default=RunOptions.pose_cleanup),
]
Retarget = Annotated[
    str | None,
    flag(
        MOTION,
        "Body in the result: body (the source's, fitted to the photo), off (the driving one), scale (at the source's "
        "height) or limbs (with its proportions too); auto: body with --framing photo, else off.",
        default=RunOptions.retarget,
    ),
]
Framing = Annotated[
    str | None,
    flag(
        MOTION,
        "photo (the source photo stays, its person moves in it); or, of the driving video: fixed (one crop around the "
        "person), track (a crop that follows) or full (the whole frame); auto: photo if bodies are fitted, else fixed.",
        default=RunOptions.framing,
    ),
]
Blend = Annotated[
    float | None, flag(MOTION, "Strength of blending between frames, from 0 (off) to 0.95.", default=RunOptions.blend)
]
Blending = Annotated[
    str | None,
    flag(
        MOTION,
        "Blending along the surface (by UV correspondence), or in place (neighbour).",
        default=RunOptions.blending,
    ),
]
Noise = Annotated[
    str | None, flag(MOTION, "Start noise of the frames: shared, mixed:ALPHA or independent.", default=RunOptions.noise)
]

Preset = Annotated[
    str | None, flag(LOOK, "Sampler, steps and guidance together: fast, balanced or best.", default=RunOptions.preset)
]
Sampler = Annotated[str | None, flag(LOOK, "ddim, or of second order: dpm++ or unipc.")]
Steps = Annotated[int | None, flag(LOOK, "Steps of the sampler.")]
Guidance = Annotated[float | None, flag(LOOK, "Classifier-free guidance scale; 1 is off.")]
GuidanceInterval = Annotated[
    str | None,
    flag(
        LOOK,
        "LOW:HIGH, the part of the steps with guidance, of 0 to 1 from clean to pure noise.",
    ),
]
Seed = Annotated[int | None, flag(LOOK, "Seed of the start noise.", default=RunOptions.seed)]
Background = Annotated[
    str | None,
    flag(
        LOOK,
        "generated, source, driving, transparent (.mov or .zip), #rrggbb, or the PATH of a file.",
        default=RunOptions.background,
    ),
]
PasteBack = Annotated[
    bool | None,
    flag(LOOK, "With --background driving: show the whole driving frame at its size, not a crop.", "--paste-back"),
]
MinFaceSimilarity = Annotated[
    float | None, flag(LOOK, "Make frames again whose face similarity (cosine) is below this.")
]
Retries = Annotated[
    int | None,
    flag(
        LOOK,
        "Largest number of new attempts: stronger face weight, then other noise, then more steps.",
        default=RunOptions.retries,
    ),
]

FaceFrom = Annotated[Path | None, flag(EDITS, "PHOTO of the person whose head is shown: face and hair.")]
GarmentFrom = Annotated[
    list[str] | None,
    flag(EDITS, "PHOTO:GROUP, clothes of another person: upper, lower, shoes or all. May be given several times."),
]
TintFlag = Annotated[
    list[str] | None,
    flag(
        EDITS, "GROUP=#rrggbb, a colour for clothes: upper, lower, shoes or all. May be given several times.", "--tint"
    ),
]
TextureFile = Annotated[
    Path | None, flag(EDITS, "UV texture as `texture` writes it, with what somebody painted on it.", "--texture")
]
MorphTo = Annotated[
    Path | None, flag(EDITS, "PHOTO of a person whom the source's becomes until the last frame; in a picture: half.")
]
WeightsFlag = Annotated[
    str | None,
    flag(EDITS, "Factors on what conditions add where networks paint: face=1.0,image=1.0,texture=1.0.", "--weights"),
]
AttentionMaps = Annotated[
    bool | None,
    flag(EDITS, "Where networks paint, also write OUTPUT.attention.png: where conditions act.", "--attention-maps"),
]

Output = Annotated[Path | None, flag(OUTPUT, "Result; named after the inputs if absent.", "--output", "-o")]
LongSide = Annotated[
    int | None,
    flag(
        OUTPUT,
        "Longer side in pixels of a result with --framing photo; default: 512, more where somebody small is shown.",
    ),
]
SideBySide = Annotated[bool | None, flag(OUTPUT, "Show source and driving pose beside the result.", "--side-by-side")]
Crf = Annotated[int | None, flag(OUTPUT, "H.264 quality, from 0 (best) to 51.", default=RunOptions.crf)]
Overwrite = Annotated[bool | None, flag(OUTPUT, "Replace outputs that exist.", "--overwrite")]
Resume = Annotated[
    bool | None,
    flag(
        OUTPUT,
        "Go on from the frames that an interrupted run of the same command has kept, or make all of them anew.",
        "--resume/--no-resume",
        default="resume",
    ),
]

Model = Annotated[
    str | None,
    flag(SPEED, "auto, tiny (embedded), mcld-sd15 (pulled) or a FOLDER of weights.", default=RunOptions.model),
]
Face = Annotated[
    str | None, flag(SPEED, "Face embedder: auto, tiny, insightface, dlib or none.", default=RunOptions.face)
]
Offline = Annotated[
    bool | None,
    flag(SPEED, "Fetch nothing: without BlazePose's networks, auto is the embedded estimator.", "--offline"),
]
Device = Annotated[str | None, flag(SPEED, "auto, cuda, mps or cpu.", default=RunOptions.device)]
Dtype = Annotated[str | None, flag(SPEED, "auto, float32, bfloat16 or float16.", default=RunOptions.dtype)]
BatchSize = Annotated[int | None, flag(SPEED, "Frames per network call.", default=RunOptions.batch_size)]
Memory = Annotated[
    str | None,
    flag(SPEED, "Memory of the device, such as 8GB: batch size, decoding, offload are chosen to fit, by calculation."),
]
VaeTiling = Annotated[
    bool | None,
    flag(SPEED, "Decode pictures in overlapping tiles: less memory, slightly other pictures.", "--vae-tiling"),
]
Offload = Annotated[
    bool | None,
    flag(SPEED, "Keep networks on the GPU only while they are used: less of its memory, slower.", "--offload"),
]
ReuseFeatures = Annotated[
    int | None,
    flag(SPEED, "Run the denoiser's deep layers only at every Nth step (DeepCache): faster, other pictures; 1: off."),
]
Compile = Annotated[
    bool | None,
    flag(SPEED, "Compile the denoiser before the first frame (torch.compile): pays on long clips.", "--compile"),
]
NoCache = Annotated[
    bool,
    flag(SPEED, "Neither use nor keep driving poses and the encoded source on disk (see `cache`).", "--no-cache"),
]

Profile = Annotated[
    bool,
    flag(SPEED, "Write OUT.profile.txt, a table of operators, and OUT.trace.json for a browser.", "--profile"),
]


def _checked_style(given: str) -> str:
    check_choice(FLAG, given, STYLES)
    return given


ProgressStyle = Annotated[
    str,
    typer.Option(
        FLAG,
        help="On stderr: bars, or json, an object a line: progress (stage, done, total, seconds), notice, done, error.",
        rich_help_panel=SPEED,
        callback=_checked_style,
    ),
]

NOT_OPTIONS = ("progress", "no_cache", "profile")
"""Parameters of commands that are no options of the work."""


def resolved(cls: type[Options], given: Mapping[str, Any]) -> Options:
    """Complete options from a command's parameters."""
    named = {name: value for name, value in given.items() if name not in NOT_OPTIONS}
    return resolve_options(cls, {name: None if value == [] else value for name, value in named.items()})


def described(command: Callable[..., None]) -> list[OptionHelp]:
    """The options of a command as `--help` shows them, for other faces."""
    found = []
    for name, hint in get_type_hints(command, include_extras=True).items():
        for extra in getattr(hint, "__metadata__", ()):
            flag = next((one for one in extra.param_decls or () if one.startswith("--")), f"--{name.replace('_', '-')}")
            found.append(OptionHelp(name, flag.split("/")[0], extra.rich_help_panel, extra.help))
    return found


def ran_with(summary: Mapping[str, Any]) -> str:
    """The model and estimators of a run, from the summary of its report."""
    face = summary["face_backend"] or "none"
    return f"model {summary['model']}, densepose {summary['densepose_backend']}, face {face}"
