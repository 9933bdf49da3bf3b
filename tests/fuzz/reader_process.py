"""The readers of files, in a process of their own: for each line "kind path" on standard input, what came of it.

"read" and "refused" are well; "wrong" is followed by a traceback, or by a message that is no short sentence. The
process ends where a reader crashes, and says nothing where one hangs.
"""

from __future__ import annotations

import resource
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from mcld_anim.batch.manifest import read_manifest
from mcld_anim.core.errors import ManifestError, McldAnimError
from mcld_anim.core.photo_formats import is_photo
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.options.model import load_model_options
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.iuv_file import read_iuv_sequence
from mcld_anim.pose.precomputed import precomputed_poses
from mcld_anim.setup.convert import unpack_faces
from mcld_anim.video.audio import audio_source, writable_sound
from mcld_anim.video.probe import frame_count, probe
from mcld_anim.video.read import read_frames
from mcld_anim.weights.pickles import read_tensors

MOST_MEMORY = 6 << 30
"""Address space in bytes; the libraries themselves take 2 GB of it."""
LONGEST_LINE = 1500


def _iuv(path: Path) -> None:
    sequence = read_iuv_sequence(path)
    for index in (0, len(sequence) - 1):
        sequence[index].sum()
        sequence.box(index)
    poses = precomputed_poses(path, [0.0, 0.04])
    poses[0], poses.box(1), poses.person_found.sum()


def _manifest(path: Path) -> None:
    read_manifest(path, path.parent / "out")


def _options(path: Path) -> None:
    resolve_options(RunOptions, {"config": path, "driving": "v.mp4"})


def _model(path: Path) -> None:
    load_model_options(str(path))


def _picture(path: Path) -> None:
    if is_photo(path):
        check_picture(path)
    read_picture(path, on_event=lambda event: None)


def _video(path: Path) -> None:
    info = probe(path)
    frame_count(info)
    frames: Iterator[object] = read_frames(info, on_event=lambda event: None)
    for _ in islice(frames, 30):
        pass
    sound = audio_source(info)
    if sound is not None:
        writable_sound(sound, info.first_time + 2, "mp4")


def _weights(path: Path) -> None:
    for tensor in read_tensors(path).values():
        tensor.sum()


def _faces(path: Path) -> None:
    for written in unpack_faces(path, path.parent / "faces"):
        written.unlink()


def _faults(path: Path) -> None:
    if b"!" in path.read_bytes():
        raise IndexError("a defect, to be found")


READERS: dict[str, Callable[[Path], None]] = {
    "iuv": _iuv,
    "manifest": _manifest,
    "options": _options,
    "model": _model,
    "picture": _picture,
    "video": _video,
    "weights": _weights,
    "faces": _faces,
    "faults": _faults,
}


def outcome(kind: str, path: Path) -> str:
    """What reading the file comes to, in one line."""
    reader = READERS[kind]  # a KeyError ends the process, as a crash does
    try:
        reader(path)
    except McldAnimError as error:
        lines = str(error).split("\n") if isinstance(error, ManifestError) else [str(error)]
        short = all("\n" not in line and 0 < len(line) < LONGEST_LINE for line in lines)
        return "refused" if short else f"wrong {error!r}"
    except Exception:
        return f"wrong {traceback.format_exc()!r}"
    return "read"


def main() -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    print("ready", flush=True)
    for line in sys.stdin:
        kind, _, path = line.rstrip("\n").partition(" ")
        print(outcome(kind, Path(path)), flush=True)


if __name__ == "__main__":
    main()
