"""`--compile` of a run: a stage before its first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.sampling.photo_pixels import PhotoPixels

if TYPE_CHECKING:
    from mcld_anim.sampling.frame_maker import FrameMaker

COMPILE_STAGE = "compiling"


def compile_steps(maker: FrameMaker | PhotoPixels, frames: int, stages: Stages) -> None:
    """Compile the steps of batches of so many frames, where networks make them; a compiler that fails is told, and the
    run goes on without it."""
    if isinstance(maker, PhotoPixels):
        return

    def tell(reason: str) -> None:
        message = f"--compile without effect: the compiler fails ({reason}); the run goes on without it"
        stages.emit(Event("compile_failed", message))

    with stages.timed(COMPILE_STAGE):
        maker.compile(frames, tell, lambda done, kinds: stages.progress(COMPILE_STAGE, done, kinds))
