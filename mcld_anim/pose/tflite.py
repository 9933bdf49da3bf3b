"""TensorFlow Lite networks on the CPU. The only file that imports ai-edge-litert."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class TfliteNetwork:
    """One .tflite network with one picture as its input."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        """All outputs, in the network's order, for a picture (H, W, 3) in the range that it was trained with."""
        self._interpreter.set_tensor(self._input, picture[None].astype(np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]
