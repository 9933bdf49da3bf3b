"""What ComfyUI hears of a running node, and how it stops one: the one file that imports ComfyUI's `comfy`."""

from __future__ import annotations

import logging
from typing import Any

from mcld_anim.core.events import Event

LOG = logging.getLogger("mcld_anim.comfyui")


class Running:
    """The callbacks of a node. An interruption by the user is raised in them, which ends the work."""

    def __init__(self, node: str | None = None) -> None:
        """`node`: its id in the graph, for the bar on it."""
        self._node, self._stage, self._bar = node, "", None

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar; each stage has its own."""
        self.check()
        if total is None:
            return
        if stage != self._stage:
            from comfy.utils import ProgressBar

            self._stage, self._bar = stage, ProgressBar(total, node_id=self._node)
        bar: Any = self._bar
        bar.update_absolute(done, total)

    def event(self, event: Event) -> None:
        """Say what was lost or replaced."""
        self.check()
        LOG.warning("%s", event.message)

    def check(self) -> None:
        """Raise ComfyUI's exception if the user has interrupted the graph."""
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
