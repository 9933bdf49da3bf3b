"""The sample photo and sample dance that come with the project."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld_anim.body.rig import FloatArray
from mcld_anim.synthetic.dance import BEATS_PER_MINUTE, dance_pose
from mcld_anim.synthetic.motion import ARMS_DOWN, Pose
from mcld_anim.synthetic.person import Person, Picture, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background
from mcld_anim.synthetic.views import fit_view

SAMPLE_SIZE = 512
# Neither person is in the training data of the embedded models (seeds 0 to 1999).
PHOTO_SEED = 100_004
DANCER_SEED = 100_020
DANCE_SECONDS = 3
FRAMES_PER_SECOND = 25
SOUND_RATE = 44_100
STUDIO = Light((0.4, -1.0, 0.6), 0.6)


def write_samples(folder: Path) -> list[Path]:
    """Write `person.png` and `dance.mp4` into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    photo, dance = folder / "person.png", folder / "dance.mp4"
    temporary = photo.with_name("person.part.png")
    Image.fromarray(sample_photo()).save(temporary, optimize=True)
    os.replace(temporary, photo)
    write_movie(dance, sample_dance(), beat_sound(DANCE_SECONDS))
    return [photo, dance]


def sample_photo(seed: int = PHOTO_SEED, size: int = SAMPLE_SIZE) -> Picture:
    """A full-length front view in front of a light wall: uint8 (size, size, 3) RGB."""
    person = Person.from_seed(seed)
    pose = Pose(
        {
            "arm_raise.L": ARMS_DOWN + 0.04,
            "arm_raise.R": ARMS_DOWN + 0.04,
            "elbow.L": 0.08,
            "elbow.R": 0.08,
            "curl.L": 0.4,
            "curl.R": 0.4,
            "leg_out.L": -0.03,
            "leg_out.R": -0.03,
        }
    )
    view = fit_view(person.posed(pose), View(), person.identity.stature, 0.9)
    background = np.full((size, size, 3), (0.90, 0.90, 0.89), np.float32)
    background *= np.linspace(1.02, 0.95, size, dtype=np.float32)[:, None, None]
    return render(person, pose, view, STUDIO, background, size).picture


def sample_dance(seed: int = DANCER_SEED, seconds: float = DANCE_SECONDS, size: int = SAMPLE_SIZE) -> list[Picture]:
    """The frames of `dance_renderings`."""
    return [one.picture for one in dance_renderings(seed, seconds, size)]


def dance_renderings(
    seed: int = DANCER_SEED, seconds: float = DANCE_SECONDS, size: int = SAMPLE_SIZE
) -> list[Rendering]:
    """A dance at `FRAMES_PER_SECOND`, from one fixed camera, with its IUV."""
    person = Person.from_seed(seed)
    poses = [dance_pose(number / FRAMES_PER_SECOND) for number in range(round(seconds * FRAMES_PER_SECOND))]
    everywhere = np.concatenate([person.posed(pose)[::8] for pose in poses])
    view = fit_view(everywhere, View(), person.identity.stature, 0.86)
    background = draw_background(np.random.default_rng(seed), size, "floor")
    return [render(person, pose, view, STUDIO, background, size) for pose in poses]


def beat_sound(seconds: float, beats_per_minute: float = BEATS_PER_MINUTE) -> NDArray[np.float32]:
    """A drum and bass pattern on the dance's beat: float32 (2, samples) in [-1, 1] at `SOUND_RATE`."""
    count = round(seconds * SOUND_RATE)
    time = np.arange(count) / SOUND_RATE
    beat = time * beats_per_minute / 60
    since = (beat % 1) * 60 / beats_per_minute  # seconds since the last beat
    since_half = ((beat + 0.5) % 1) * 60 / beats_per_minute
    noise = np.random.default_rng(0).normal(0, 1, count)
    kick = np.sin(2 * np.pi * (45 * since + 3.2 * (1 - np.exp(-since * 30)))) * np.exp(-since * 9)
    clap = noise * np.exp(-since * 28) * (beat.astype(int) % 2 == 1)
    hat = np.diff(noise, prepend=0.0) * np.exp(-since_half * 70)
    notes = np.array([55.0, 55.0, 65.41, 49.0])[(beat / 2).astype(int) % 4]
    bass = np.sign(np.sin(2 * np.pi * np.cumsum(notes) / SOUND_RATE)) * np.exp(-since_half * 5)
    mono = 0.6 * kick + 0.14 * clap + 0.06 * hat + 0.07 * bass
    fade = np.clip((seconds - time) / 0.05, 0, 1)
    return np.clip(np.stack([mono * fade, mono * fade]), -1, 1).astype(np.float32)


def write_movie(path: Path, frames: list[Picture], sound: FloatArray) -> None:
    """H.264 yuv420p with an AAC track, written under a temporary name."""
    import av

    temporary = path.with_name(path.stem + ".part" + path.suffix)
    with av.open(str(temporary), "w", options={"movflags": "+faststart"}) as movie:
        video = movie.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "17", "preset": "slow"})
        video.height, video.width, video.pix_fmt = *frames[0].shape[:2], "yuv420p"
        audio = movie.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for picture in frames:
            movie.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        movie.mux(video.encode(None))
        for start in range(0, sound.shape[1], 1024):  # AAC's frame length
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[:, start : start + 1024]), format="fltp", layout="stereo"
            )
            block.sample_rate, block.pts = SOUND_RATE, start
            movie.mux(audio.encode(block))
        movie.mux(audio.encode(None))
    os.replace(temporary, path)
