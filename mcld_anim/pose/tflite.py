"""TensorFlow Lite networks on the CPU. The only file that imports ai-edge-litert."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

_loading = Lock()
"""Only one network at a time is read: standard error is redirected meanwhile."""


class TfliteNetwork:
    """One .tflite network with one picture as its input; read at its first call."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path, self._threads = path, threads

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        """All outputs, in the network's order, for a picture (H, W, 3) in the range that it was trained with."""
        interpreter = self._interpreter
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None].astype(np.float32))
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()]

    @cached_property
    def _interpreter(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        with _loading, _without_infos():
            interpreter = Interpreter(model_path=str(self._path), num_threads=self._threads)
            interpreter.allocate_tensors()
        return interpreter


@contextmanager
def _without_infos() -> Iterator[None]:
    """Keep from stderr what LiteRT writes there as "INFO:", for which it has no setting; the rest passes afterwards."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        own = os.dup(2)
    except OSError:  # a process without stderr
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(own, 2)
            written.seek(0)
            for line in written:
                if not line.startswith(b"INFO:"):
                    os.write(own, line)
            os.close(own)
