"""Options shared by all verbs that estimate poses or faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded
from mcld_anim.options.checks import check_choice
from mcld_anim.options.domain import Names

DeviceName = Literal["auto", "cuda", "mps", "cpu"]
FaceName = Literal["auto", "tiny", "insightface", "dlib", "none"]

DEVICES = ("auto", "cuda", "mps", "cpu")
FACE_BACKENDS = ("auto", "tiny", "insightface", "dlib", "none")
DENSEPOSE_BACKENDS = ("auto", "body", "tiny", "detectron2", "torchscript")
"""Values of `--densepose`; anything else is the path of a precomputed IUV sequence."""


@dataclass(frozen=True, kw_only=True)
class EstimatorOptions:
    """The options of all verbs that read pictures of people and write files."""

    output: Path | None = None  # None: named after the inputs, in the current folder
    densepose: Annotated[str, Names(DENSEPOSE_BACKENDS, or_file=True)] = "auto"
    """Estimator, or the path of precomputed IUV; auto: see `model.choose`."""
    offline: bool = False  # fetch nothing; as $HF_HUB_OFFLINE
    device: DeviceName = "auto"  # auto: cuda, else mps, else cpu
    overwrite: bool = False  # replace outputs that exist

    def check_estimators(self) -> None:
        """Refuse unknown names."""
        check_choice("--device", self.device, DEVICES)
        if not self.densepose:
            raise UsageError(
                f"--densepose is empty; name a backend ({', '.join(DENSEPOSE_BACKENDS)}) or the path of an IUV file"
            )

    @property
    def precomputed(self) -> Path | None:
        """The IUV sequence that is read instead of estimating DensePose, if one was given."""
        return None if self.densepose in DENSEPOSE_BACKENDS else expanded(self.densepose)

    def check_not_precomputed(self, instead: str) -> None:
        """Refuse a path in place of an estimator; `instead` is the advice in the message."""
        if self.precomputed is not None:
            raise UsageError(
                f"--densepose {self.densepose} is not known: choose {', '.join(DENSEPOSE_BACKENDS)}; {instead}"
            )
