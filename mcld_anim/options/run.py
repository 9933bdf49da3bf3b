"""Options of `run` and `pose`: complete by default, checked on creation.

Each check names the flag. The command line, YAML files, rows of a batch manifest and keywords of the Python API all
become these classes, see `mcld_anim.options.resolve`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded
from mcld_anim.core.plain_data import shortened
from mcld_anim.options.checks import check_choice, check_noise, check_range
from mcld_anim.options.clip import ClipOptions
from mcld_anim.options.domain import Names, Range, check_ranges
from mcld_anim.options.edits import AppearanceOptions
from mcld_anim.options.estimators import FACE_BACKENDS, EstimatorOptions, FaceName
from mcld_anim.options.person import LARGEST
from mcld_anim.options.photos import check_photos
from mcld_anim.options.preset import PRESETS
from mcld_anim.options.video import VideoOptions

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
PresetName = Literal["fast", "balanced", "best"]
AudioCodec = Literal["auto", "copy", "aac"]
"""auto: copy what browsers play from MP4, re-encode other sound as AAC; copy: copy whatever MP4 holds; aac: always
re-encode."""
SamplerName = Literal["ddim", "dpm++", "unipc"]
RetargetName = Literal["auto", "body", "off", "scale", "limbs"]

SYNTHESIS_OPTIONS = (
    *("seed", "sampler", "steps", "guidance", "guidance_interval", "preset", "noise", "blend", "min_face_similarity"),
    *("memory", "vae_tiling", "offload", "reuse_features", "compile"),
    *("weights", "attention_maps"),
)
"""Options that change nothing but what networks make."""

SIZE_PATTERN = re.compile(r"(\d+\.?\d*)(MB|GB|MiB|GiB)")
SIZE_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
INTERVAL_PATTERN = re.compile(r"(\d*\.?\d+):(\d*\.?\d+)")

MODEL_NAMES = ("auto", "tiny", "mcld-sd15")
"""Values of `--model`; anything else is a folder of weights."""


def guidance_range(interval: str) -> tuple[float, float]:
    """The numbers of "LOW:HIGH". Raises UsageError."""
    match = INTERVAL_PATTERN.fullmatch(interval)
    low, high = (float(match[1]), float(match[2])) if match else (1.0, 0.0)
    if not 0 <= low < high <= 1:
        raise UsageError(
            f"--guidance-interval {shortened(interval)} is no interval: give LOW:HIGH between 0 and 1, such as 0.2:0.8"
        )
    return low, high


@dataclass(frozen=True, kw_only=True)
class SynthesisOptions(EstimatorOptions, AppearanceOptions):
    """The options shared by `run`, `pose` and `edit`."""

    source: Path  # photo of the person to be shown
    more_sources: tuple[Path, ...] = ()  # further photos of the same person: given as `source`, in a list
    model: Annotated[str, Names(MODEL_NAMES)] = "auto"  # or a folder of weights; auto: see `model.choose`
    dtype: DtypeName = "auto"  # auto: half precision on accelerators, on a CPU only if that is faster
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0  # of the start noise
    sampler: SamplerName | None = None  # see `sampling.schedule.make_sampler`; None: the preset's
    steps: Annotated[int | None, Range(1, 1000)] = None  # best a divisor of 1000; None: the model's times `step_scale`
    step_scale: float | None = None  # factor on the model's own steps; None: the preset's
    guidance: Annotated[float | None, Range(1, 20)] = None
    """Classifier-free guidance scale, 1 = off; None: the preset's, else the model's own."""
    guidance_interval: str | None = None
    """"LOW:HIGH": shares of the noise steps with guidance, 1 being pure noise; None: the preset's."""
    face: FaceName = "auto"  # face embedder; auto: the model's own; "none": no face condition, no similarity
    retarget: RetargetName = "auto"
    """Drive the source's own fitted "body"; without one, give the driving body the source's height ("scale"), and its
    proportions too ("limbs"); auto: "body" where the result keeps the photo, else "off"."""
    long_side: Annotated[int | None, Range(256, 2160)] = None
    """Longer side in pixels of a result that keeps the photo; None: see `run.photo.PhotoSize`."""
    side_by_side: bool = False  # source picture, driving pose and result next to each other
    preset: PresetName = "balanced"  # see `options.preset`
    vae_tiling: bool = False  # decode pictures in tiles, which takes less memory and changes them a little
    offload: bool = False  # networks rest in main memory, and are on the GPU only while they are used
    reuse_features: Annotated[int | None, Range(1, 10)] = None
    """The UNet's deep layers run only at every so many steps (`model.feature_reuse`), 1 = all; None: the preset's."""

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError(f"--model is empty; give {', '.join(MODEL_NAMES)} or a folder of weights")
        self.check_estimators()
        check_photos("--source", self.more_sources)
        check_choice("--dtype", self.dtype, ("auto", "float32", "bfloat16", "float16"))
        check_choice("--face", self.face, FACE_BACKENDS)
        check_choice("--retarget", self.retarget, ("auto", "body", "off", "scale", "limbs"))
        check_choice("--preset", self.preset, PRESETS)
        check_ranges(self)
        check_range("step_scale", self.step_scale, 0.1, 10.0)
        check_choice("--sampler", self.sampler or "ddim", ("ddim", "dpm++", "unipc"))
        if self.guidance_interval is not None:
            guidance_range(self.guidance_interval)
        self.check_edits()

    @property
    def photos(self) -> tuple[Path, ...]:
        """Every photo of the person, the first being the one whose scene and background the result has."""
        return (self.source, *self.more_sources)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file or folder that is read."""
        precomputed = [self.precomputed] if self.precomputed else []
        return (self.source, *precomputed, *self.edit_inputs, *self.more_sources)

    @property
    def synthesis_flags(self) -> list[str]:
        """The flags that are not at their defaults and change nothing but what networks make."""
        usual = {field.name: field.default for field in fields(self)}
        names = [name for name in SYNTHESIS_OPTIONS if getattr(self, name, None) != usual.get(name)]
        return [f"--{name.replace('_', '-')}" for name in names]


@dataclass(frozen=True, kw_only=True)
class RunOptions(SynthesisOptions, ClipOptions, VideoOptions):
    """Options of `mcld-anim run`: one photo, one driving video, one video."""

    driving: Path  # video whose motion is followed
    audio: Annotated[str, Names(("driving", "none"), or_file=True)] = "driving"
    audio_codec: AudioCodec = "auto"
    noise: Annotated[str, Names(("shared", "independent"))] = "shared"  # of the frames; or "mixed:ALPHA" (ALPHA > 0)
    blend: Annotated[float, Range(0, 0.95)] = 0.5  # with the frame before at each step, 0 = off
    batch_size: Annotated[int, Range(1, 1024)] = 4  # frames per network call; the frames do not depend on it
    memory: str | None = None  # of the device, such as "8GB", into which the frames at a time are to fit
    compile: bool = False  # compile the denoiser's steps before the first frame, see `model.compiled`
    crf: Annotated[int, Range(0, 51)] = 18  # H.264 constant rate factor, 0 is best
    resume: bool = True  # go on from the frames that an interrupted run of the same output has kept

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_clip()
        self.check_video(self.side_by_side)
        if self.precomputed is not None and self.person_choice != LARGEST:
            raise UsageError(
                f"--person {self.person_choice} has no effect with --densepose {self.densepose}, which holds one "
                "person: give --person to `mcld-anim densepose`, which writes such files"
            )
        check_noise(self.noise)
        _ = self.memory_bytes
        check_choice("--audio-codec", self.audio_codec, ("auto", "copy", "aac"))
        if self.retarget == "scale" and self.background == "driving":
            raise UsageError(
                "--retarget scale makes the person too tall or too short for the scene of --background driving: choose "
                "--retarget limbs, which keeps the height there, or another background"
            )
        self._check_photo()
        if not self.audio:
            raise UsageError("--audio is empty; give driving, none or the path of a file with sound")

    def _check_photo(self) -> None:
        """Refuse what the fitted body and the photo's framing exclude."""
        if self.framing == "photo" and self.retarget not in ("auto", "body"):
            raise UsageError(f"--framing photo moves the source's own body: leave out --retarget {self.retarget}")
        if self.retarget == "body" and self.framing not in ("auto", "photo"):
            raise UsageError(f"--retarget body needs --framing photo, not {self.framing}: leave one of them out")
        wants_photo = self.framing == "photo" or self.retarget == "body"
        if wants_photo and self.background == "driving":
            raise UsageError("--background driving needs the driving video's framing: choose --framing fixed")
        if wants_photo and self.precomputed is not None:
            raise UsageError(
                f"--densepose {self.densepose} holds no fitted body: leave out --framing photo and --retarget body, or "
                "give --densepose body"
            )
        if self.long_side is not None and not self.may_keep_photo:
            raise UsageError(
                "--long-side is of results with --framing photo: leave it out, or --framing, --retarget, --background "
                "and --densepose that exclude it"
            )

    @property
    def memory_bytes(self) -> int | None:
        """`memory` in bytes; None if it is not limited. Raises UsageError if it is no size."""
        if self.memory is None:
            return None
        match = SIZE_PATTERN.fullmatch(self.memory.replace(" ", ""))
        if match is None:
            raise UsageError(f"--memory {shortened(self.memory)} is no size: give a number with its unit, such as 8GB")
        return round(float(match[1]) * SIZE_UNITS[match[2]])

    @property
    def may_keep_photo(self) -> bool:
        """Whether the result takes place in the photo if bodies are fitted to the source and to the driver."""
        photo = self.framing in ("auto", "photo") and self.retarget in ("auto", "body")
        return photo and self.background != "driving" and self.precomputed is None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file or folder that is read."""
        more = [file for file in (self.audio_file, self.background_file) if file not in (None, self.driving)]
        return (*super().inputs, self.driving, *more)

    @property
    def audio_file(self) -> Path | None:
        """The file of the sound; None for no sound."""
        if self.audio == "none":
            return None
        return self.driving if self.audio == "driving" else expanded(self.audio)


@dataclass(frozen=True, kw_only=True)
class PoseOptions(SynthesisOptions):
    """Options of `mcld-anim pose`: one photo, one pose, one picture."""

    pose: Path  # picture of a person, or an IUV picture, archive or folder (its first frame)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precomputed is not None:
            raise UsageError(f"--densepose {self.densepose} is a path: give a precomputed IUV file to --pose instead")

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file or folder that is read."""
        return (*super().inputs, self.pose)


@dataclass(frozen=True, kw_only=True)
class EditOptions(SynthesisOptions):
    """Options of `mcld-anim edit`: one photo with edits, in its own pose, one picture."""

    save_texture: Path | None = None  # also write the edited person's UV texture, a PNG

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precomputed is not None:
            raise UsageError(f"--densepose {self.densepose} is a path: edits need an estimator, for every photo")
        if not (self.edits_person or self.weights or self.attention_maps):
            raise UsageError(
                "nothing to edit: give --face-from, --garment-from, --tint, --texture, --morph-to or --weights"
            )
        if self.save_texture is not None and self.save_texture.suffix.lower() != ".png":
            raise UsageError(
                f"--save-texture {self.save_texture} does not end in .png: that is the format which is written"
            )
        if self.save_texture is not None and self.output is not None and self.save_texture == self.output:
            raise UsageError(f"--save-texture and --output are both {self.output}: give two names")
