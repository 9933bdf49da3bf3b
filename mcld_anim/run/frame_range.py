"""A range of a clip's frames, which one of several processes makes."""

from __future__ import annotations

from dataclasses import dataclass

from mcld_anim.core.outputs import OutputFiles


@dataclass(frozen=True)
class FrameRange:
    """The frames `first` .. `end` - 1 of a clip."""

    first: int
    end: int

    def outputs(self, outputs: OutputFiles) -> OutputFiles:
        """What the range's work folder is named after; no file of this name is written."""
        result = outputs.result
        return OutputFiles(result.with_name(f"{result.stem}.frames-{self.first}-{self.end}{result.suffix}"))
