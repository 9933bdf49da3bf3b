"""The table of third-party weights: the source, licence and purpose of each file.

Sizes are estimates (parameters times four bytes). Without a checksum in the table, a file's size and checksum are
recorded at its first pull and enforced from then on (`weights.store`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.weights.origins import BundleFile, HubFile, Origin, PackageFile, UrlFile

BYTES_PER_PARAMETER = 4  # published weights are float32

Use = Literal["model", "densepose", "torchscript", "faces", "body", "metric"]
"""Kind of a published model: networks of `Mcld`, DensePose weights for detectron2 or as TorchScript, face models,
landmark networks, networks that metrics compare pictures with."""


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published model."""

    part: str  # its name here; for use "model", one of `model.keys.PUBLISHED_PARTS`
    origin: Origin
    parameters: int  # parameter count; 0: unknown
    licence: str
    commercial: bool  # whether the licence allows commercial use; False if none is stated
    estimated_bytes: int = 0  # download size, within a few percent
    sha256: str | None = None  # if known in advance
    elsewhere: Origin | None = None  # where it is too, or one that does the same
    sha256_elsewhere: str | None = None
    kept: tuple[str, ...] = ()  # patterns of the tensors that are kept; none: all


@dataclass(frozen=True)
class PublishedModel:
    """A model that `models pull NAME` fetches."""

    name: str
    purpose: str
    use: Use
    files: tuple[PublishedFile, ...]
    configuration: str = ""  # for use "model": its name in configs/model
    depth: int = 0  # for DensePose weights: layers of the ResNet
    channels: Literal["BGR", "RGB"] = "BGR"  # input channel order of a "torchscript" module

    @property
    def estimated_bytes(self) -> int:
        """Size of all downloads together."""
        return sum(file.estimated_bytes for file in self.files)

    def file(self, part: str) -> PublishedFile:
        """The file of a part."""
        return next(file for file in self.files if file.part == part)


MCLD = "Lotior/mcld"
VAE = "stabilityai/sd-vae-ft-mse"
IMAGE_ENCODER = "lambdalabs/sd-image-variations-diffusers"
DENSEPOSE = "https://dl.fbaipublicfiles.com/densepose"
TORCHSCRIPT = "LayerNorm/DensePose-TorchScript-with-hint-image"
ANTELOPE = "https://github.com/deepinsight/insightface/releases/download/v0.7/antelopev2.zip"

MEDIAPIPE, MEDIAPIPE_POSE = "mediapipe==0.10.21", "@mediapipe/pose@0.5.1675469404"
LANDMARKER = "https://storage.googleapis.com/mediapipe-models/pose_landmarker"
HAND_LANDMARKER = "https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/latest/hand_landmarker.task"

TORCHVISION = "https://download.pytorch.org/models"
LPIPS, INCEPTION, I3D = "lpips", "inception", "i3d"
"""Names of the networks of LPIPS, FID and FVD."""

BLAZEPOSE = "blazepose"
"""Name of the landmark networks of `--densepose body`."""

NO_LICENCE = "none stated"
DENSEPOSE_LICENCE = "CC BY-SA 3.0"  # of the model zoo in detectron2's DensePose project


def _of_mcld(part: str, parameters: int, *others: str) -> PublishedFile:
    names = (f"{part}.pth", *(f"{other}.pth" for other in others))
    return _file(part, HubFile(MCLD, names), parameters, NO_LICENCE, commercial=False)


def _file(part: str, origin: HubFile | UrlFile, parameters: int, licence: str, commercial: bool) -> PublishedFile:
    return PublishedFile(part, origin, parameters, licence, commercial, BYTES_PER_PARAMETER * parameters)


def _densepose(depth: int, address: str, estimated_bytes: int) -> PublishedModel:
    name, part = f"densepose-r{depth}", f"densepose_r{depth}"
    file = PublishedFile(part, UrlFile(f"{DENSEPOSE}/{address}"), 0, DENSEPOSE_LICENCE, True, estimated_bytes)
    return PublishedModel(name, f"R_{depth}_FPN_DL_s1x, --densepose detectron2", "densepose", (file,), depth=depth)


def _torchscript(depth: int, estimated_bytes: int) -> PublishedModel:
    name = f"densepose-torchscript-r{depth}"
    origin = HubFile(TORCHSCRIPT, (f"densepose_r{depth}_fpn_dl.torchscript",))
    file = PublishedFile("densepose", origin, 0, DENSEPOSE_LICENCE, True, estimated_bytes)
    # BGR: the exporter's own program passes pictures as OpenCV reads them. Untested with the published file.
    return PublishedModel(name, f"R_{depth}_FPN_DL, --densepose torchscript", "torchscript", (file,), channels="BGR")


def _landmarks(part: str, origin: PackageFile, bundle: str, member: str, size: int, sha256: str) -> PublishedFile:
    elsewhere = BundleFile(f"{LANDMARKER}/{bundle}/float16/latest/{bundle}.task", member)
    return PublishedFile(part, origin, 0, "Apache-2.0", True, size, sha256, elsewhere)


def _metric(name: str, purpose: str, *files: PublishedFile) -> PublishedModel:
    return PublishedModel(name, purpose, "metric", files)


def _judge(
    part: str, origin: Origin, parameters: int, licence: str, size: int, sha256: str, *kept: str
) -> PublishedFile:
    """A network of a metric, of which only the tensors that the metric uses are kept."""
    return PublishedFile(part, origin, parameters, licence, True, size, sha256, kept=kept)


METRICS = (
    _metric(
        LPIPS,
        "AlexNet and the weights of its layers, eval: LPIPS",
        _judge(
            "alexnet",
            UrlFile(f"{TORCHVISION}/alexnet-owt-7be5be79.pth"),
            2_469_696,
            "BSD-3-Clause",
            244_408_911,
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            "features.*",
        ),
        _judge(
            "heads",
            PackageFile("pip", "lpips==0.1.4", "lpips/weights/v0.1/alex.pth"),
            1_152,
            "BSD-2-Clause",
            6_009,
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ),
    ),
    _metric(
        INCEPTION,
        "Inception v3 of the published evaluation, eval: FID",
        _judge(
            "inception",
            UrlFile(f"{TORCHVISION}/inception_v3_google-0cc3c7bd.pth"),
            21_785_568,
            "BSD-3-Clause",
            108_949_747,
            "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
            "Conv2d_*",
            "Mixed_*",
        ),
    ),
    _metric(
        I3D,
        "I3D of StyleGAN-V as TorchScript, eval video: FVD",
        PublishedFile(
            "i3d",
            HubFile("flateon/FVD-I3D-torchscript", ("i3d_torchscript.pt",)),
            0,
            NO_LICENCE,  # of the export; the weights are DeepMind's, Apache-2.0
            False,
            51_235_320,
            "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        ),
    ),
)

MODELS = (
    PublishedModel(
        "mcld-sd15",
        "the published MCLD, 512x512, --model mcld-sd15",
        "model",
        (
            _of_mcld("denoising_unet", 878_690_244),
            _of_mcld("reference_unet", 859_508_800),
            _of_mcld("pose_guider", 1_086_480),
            _of_mcld("image_proj_model", 80_336_384, "image_projector"),
            _file(
                "vae",
                HubFile(VAE, ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")),
                83_653_863,
                "MIT",
                commercial=True,
            ),
            _file(
                "image_encoder",
                HubFile(IMAGE_ENCODER, ("image_encoder/model.safetensors", "image_encoder/pytorch_model.bin")),
                303_966_208,
                "CreativeML OpenRAIL-M",
                commercial=True,
            ),
        ),
        configuration="mcld_sd15",
    ),
    _densepose(101, "densepose_rcnn_R_101_FPN_DL_s1x/165712116/model_final_844d15.pkl", 340_000_000),
    _densepose(50, "densepose_rcnn_R_50_FPN_DL_s1x/165712097/model_final_0ed407.pkl", 265_000_000),
    _torchscript(101, 340_000_000),
    _torchscript(50, 265_000_000),
    PublishedModel(
        "antelopev2",
        "detector and embedder, --face insightface",
        "faces",
        (PublishedFile("antelopev2", UrlFile(ANTELOPE), 0, "non-commercial research only", False, 361_000_000),),
    ),
    PublishedModel(
        BLAZEPOSE,
        "landmarks of real people, --densepose body",
        "body",
        (
            _landmarks(
                "pose_detection",
                PackageFile("pip", MEDIAPIPE, "mediapipe/modules/pose_detection/pose_detection.tflite"),
                "pose_landmarker_full",
                "pose_detector.tflite",
                2_959_046,
                "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            ),
            _landmarks(
                "pose_landmark_full",
                PackageFile("pip", MEDIAPIPE, "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"),
                "pose_landmarker_full",
                "pose_landmarks_detector.tflite",
                6_440_512,
                "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            ),
            _landmarks(
                "pose_landmark_heavy",
                PackageFile("npm", MEDIAPIPE_POSE, "package/pose_landmark_heavy.tflite"),
                "pose_landmarker_heavy",
                "pose_landmarks_detector.tflite",
                27_709_200,
                "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
            ),
            PublishedFile(
                "hand_landmark_full",
                PackageFile("pip", MEDIAPIPE, "mediapipe/modules/hand_landmark/hand_landmark_full.tflite"),
                0,
                "Apache-2.0",
                True,
                5_478_917,
                "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
                BundleFile(HAND_LANDMARKER, "hand_landmarks_detector.tflite"),
            ),
        ),
    ),
    *METRICS,
)
"""Every published model, most wanted first. Sizes of DensePose and antelopev2 are estimates."""


def published_model(name: str) -> PublishedModel:
    """The model of that name; raises UsageError if there is none."""
    for model in MODELS:
        if model.name == name:
            return model
    raise UsageError(f"no published model is named {name}; choose {', '.join(model.name for model in MODELS)}")
