"""Shared by the tests of several rooms: rendered people with exact IUV, media files, small models, BlazePose, and a
real browser."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import diffusers.models.unets.unet_2d_condition
import diffusers.schedulers.scheduling_dpmsolver_multistep  # noqa: F401  # see below
import numpy as np
import pytest
import scipy.optimize
import scipy.spatial.transform
import scipy.stats  # noqa: F401  # see below
import torch
import transformers.models.clip.modeling_clip  # noqa: F401  # see below
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.metrics.inception import Inception
from mcld_anim.metrics.lpips import Lpips
from mcld_anim.model.build import build_mcld
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.model import (
    FaceTokenOptions,
    ImageEncoderOptions,
    ModelOptions,
    PoseGuiderOptions,
    SamplingDefaults,
    UNetOptions,
    VaeOptions,
)
from mcld_anim.pose.backends import PoseEstimate, estimate_of
from mcld_anim.pose.blazepose import BlazePose
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.setup.pull import PullOptions, pull
from mcld_anim.setup.rehearsal import published_layout, write_published
from mcld_anim.source.face import Face
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.published import published_model
from mcld_anim.weights.store import PulledFile, add_to_record

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

# Libraries that only the package needs are imported above before it is: what a module imports while jaxtyping's hook
# imports that module is compiled anew, not read from its bytecode, and these are thousands of files.

# A shell starts what it puts in the background without SIGINT, and nohup without SIGHUP; tests send both.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# Some tests fork this process to kill it, and a forked process must not use its parent's pools of threads.
torch.set_num_threads(1)
cv2.setNumThreads(1)

CLIP_FPS = 10
CLIP_FRAMES = 11  # not a multiple of the batch sizes that tests use
CLIP_SIZE = 128
PHOTO_SIZE = 192

SMALL_MODEL = ModelOptions(
    name="tiny",
    frame_size=(64, 64),
    texture_size=(64, 64),
    texture_fill="nearest",
    vae=VaeOptions(4, 4, (8, 8), 1, 4, mid_attention=False),
    unet=UNetOptions(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        heads=(2, 4),
        cross_attention_dim=16,
        norm_num_groups=4,
    ),
    pose_guider=PoseGuiderOptions("parts", (4, 4, 8, 8), "uv_warp"),
    image_encoder=ImageEncoderOptions(32, 16, 16, 32, 1, 2, 16),
    face=FaceTokenOptions(48, 3, 0.5, dim=16, depth=1, dim_head=8, heads=2, ff_mult=2),
    sampling=SamplingDefaults(steps=3, guidance=2.0),
)
"""The tiny model's structure with every part at its smallest, so that a whole run takes a second."""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test fetches networks by accident, or finds those pulled or results kept on this machine; the tests of both
    lift this."""
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path_factory.getbasetemp() / "nothing pulled"))
    monkeypatch.setenv("MCLD_ANIM_CACHE_GB", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def small_options() -> ModelOptions:
    return SMALL_MODEL


@pytest.fixture(scope="session")
def small(small_options: ModelOptions) -> ModelOptions:
    """The published structure with every part at its smallest."""
    return dataclasses.replace(
        small_options,
        name="small",
        texture_fill="telea",
        vae=VaeOptions(block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4),
        pose_guider=PoseGuiderOptions(block_out_channels=(4, 4, 8, 8)),
        face=dataclasses.replace(small_options.face, embedding_dim=8),
    )


@pytest.fixture(scope="session")
def published_files(tmp_path_factory: pytest.TempPathFactory, small: ModelOptions) -> Path:
    """A folder with the small model under the published names."""
    folder = tmp_path_factory.mktemp("published")
    write_published(published_layout(small), published_model("mcld-sd15"), folder)
    return folder


@pytest.fixture(scope="session")
def blazepose_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MCLD_ANIM_HOME with BlazePose's networks, pulled once per session as `models pull` does.

    $MCLD_ANIM_TEST_BLAZEPOSE may name one that has them.
    """
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent  # of all workers: one pulls, and the others wait for it
    home = Path(os.environ.get("MCLD_ANIM_TEST_BLAZEPOSE") or session / "blazepose home")
    pull(PullOptions("blazepose", folder=home / "blazepose"), lambda text: False)
    return home


@pytest.fixture(scope="session")
def judges_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MCLD_ANIM_HOME with LPIPS and Inception as `models pull` leaves them: random trunks of the real
    shapes, and the published weights of LPIPS' layers, which torchmetrics ships."""
    home = tmp_path_factory.mktemp("judges")
    torch.manual_seed(0)
    lpips, inception = Lpips(), Inception()
    for module in inception.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # as large at the end as at the beginning
    (shipped,) = find_spec("torchmetrics").submodule_search_locations  # not imported, which takes a second
    heads = Path(shipped) / "functional" / "image" / "lpips_models" / "alex.pth"
    trunk = {key: value for key, value in lpips.state_dict().items() if key.startswith("features.")}
    for name, part, tensors in (
        ("lpips", "alexnet", trunk),
        ("lpips", "heads", read_tensors(heads)),
        ("inception", "inception", inception.state_dict()),
    ):
        path = home / name / f"{part}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file(tensors, path)
        add_to_record(path.parent, part, PulledFile(path.name, path.stat().st_size, "", 0, "", "a test", {}))
    return home


@pytest.fixture
def judges(judges_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`judges_home`, in use."""
    monkeypatch.setenv("MCLD_ANIM_HOME", str(judges_home))
    return judges_home


@pytest.fixture(scope="session")
def body_backend(blazepose_home: Path) -> BodyBackend:
    """`--densepose body` with the real networks."""
    return BodyBackend(BlazePose(blazepose_home / "blazepose"))


class KnownPoses:
    """A DensePose estimator for rendered people: it returns the IUV of the most similar known picture."""

    name = "tiny"
    NEAR = 14.0  # mean difference of 16x16 thumbnails, 0..255: video coding changes them by 1 to 3

    def __init__(self, known: Sequence[Rendering]) -> None:
        self._known = [(self._thumbnail(one.picture), one.iuv) for one in known]
        self.pictures = 0  # how many were estimated

    def estimate(self, pictures: Sequence[Picture]) -> list[list[PoseEstimate]]:
        """The nearest known picture's IUV, scaled to the picture's size."""
        self.pictures += len(pictures)
        return [self._estimate(picture) for picture in pictures]

    def _estimate(self, picture: Picture) -> list[PoseEstimate]:
        thumbnail = self._thumbnail(picture)
        distances = [float(np.abs(thumbnail - other).mean()) for other, _ in self._known]
        nearest = int(np.argmin(distances))
        height, width = picture.shape[:2]
        if distances[nearest] > self.NEAR:
            return []
        iuv = cv2.resize(self._known[nearest][1], (width, height), interpolation=cv2.INTER_NEAREST)
        one = estimate_of(iuv, 0.9)
        return [] if one is None else [one]

    @staticmethod
    def _thumbnail(picture: Picture) -> np.ndarray:
        return cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)


class HeadColours:
    """A face embedder for tests: the colours of the head's pixels on a 4x4 grid."""

    name = "tiny"
    scale = "cosine"
    threshold = 0.5
    LEAST_PIXELS = 12

    def __init__(self) -> None:
        self.calls = 0

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The head where the IUV has parts 23 and 24."""
        self.calls += 1
        assert iuv is not None
        rows, columns = np.nonzero(iuv[..., 0] >= 23)
        if len(rows) < self.LEAST_PIXELS:
            return None
        head = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        colours = cv2.resize(head, (4, 4), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 - 0.5
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        return Face(colours.ravel(), box)


@pytest.fixture(scope="session")
def photo() -> Rendering:
    """A person in full, from the front."""
    return render_person(31, 0.1, PHOTO_SIZE)


@pytest.fixture(scope="session")
def other_photo() -> Rendering:
    """Another person."""
    return render_person(32, 0.1, PHOTO_SIZE)


@pytest.fixture(scope="session")
def dance() -> list[Rendering]:
    """A dancer, `CLIP_FRAMES` frames at `CLIP_FPS`."""
    return [render_person(12, 0.2 + index / CLIP_FPS, CLIP_SIZE) for index in range(CLIP_FRAMES)]


def render_person(seed: int, seconds: float, size: int) -> Rendering:
    """The person of `seed` at a moment of the dance, in front of a plain wall."""
    background = draw_background(np.random.default_rng(seed), size, "plain")
    return render(Person.from_seed(seed), dance_pose(seconds), View(zoom=0.8), Light(), background, size, supersample=1)


@pytest.fixture
def known_poses(photo: Rendering, other_photo: Rendering, dance: list[Rendering]) -> KnownPoses:
    """Knows every rendering of this file."""
    return KnownPoses([photo, other_photo, *dance])


@pytest.fixture
def small_models(known_poses: KnownPoses) -> LoadedModels:
    """Random networks of the tiny model's structure, with estimators for the renderings of this file."""
    torch.manual_seed(0)
    mcld = build_mcld(SMALL_MODEL).eval().requires_grad_(False)
    for parameter in mcld.parameters():  # biases and zero-initialised layers too, so that a missing term shows
        if parameter.ndim == 1 or not parameter.any():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return LoadedModels.of(mcld, known_poses, HeadColours(), {"random": "0" * 64})


@pytest.fixture(scope="session")
def media(
    tmp_path_factory: pytest.TempPathFactory, photo: Rendering, other_photo: Rendering, dance: list[Rendering]
) -> Path:
    """A folder: person.png, other.png, dance.mp4 (with sound), and room.png, room.mp4 (nobody in them)."""
    folder = tmp_path_factory.mktemp("media")
    Image.fromarray(photo.picture).save(folder / "person.png")
    Image.fromarray(other_photo.picture).save(folder / "other.png")
    room = draw_room()
    Image.fromarray(room).save(folder / "room.png")
    write_clip(folder / "dance.mp4", [one.picture for one in dance], sound=True)
    write_clip(folder / "room.mp4", [room[:CLIP_SIZE, :CLIP_SIZE]] * 5)
    return folder


def draw_room() -> Picture:
    """A picture without a person: stripes."""
    stripes = (np.arange(PHOTO_SIZE) // 12 % 2 * 200 + 20).astype(np.uint8)
    return np.broadcast_to(stripes[:, None, None], (PHOTO_SIZE, PHOTO_SIZE, 3)).copy()


@pytest.fixture(scope="session")
def clip_writer() -> Callable[..., None]:
    """`write_clip`, for tests that make their own videos."""
    return write_clip


def write_clip(path: Path, pictures: Sequence[Picture], fps: int = CLIP_FPS, sound: bool = False) -> None:
    """A small H.264 MP4, with a tone in AAC on request."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "12"})
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        audio = container.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(video.encode(None))
        if audio is None:
            return
        tone = np.sin(np.arange(44_100 * len(pictures) // fps) * 0.05).astype(np.float32)
        for start in range(0, len(tone), 1024):
            block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 44_100, start, Fraction(1, 44_100)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))


REQUIRED = "MCLD_ANIM_REQUIRE_BROWSER"
"""Set by .ci/run, where a missing browser is a failure; elsewhere these tests are skipped with a reason."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Headless Chromium, driven through its DevTools."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        message = "Chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
        if os.environ.get(REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1000,1400",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(60)
    yield opened
    opened.quit()
