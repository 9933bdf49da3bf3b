"""A fuzz that is guided by coverage (atheris, libFuzzer): files of one kind, until one is not read or refused well.

    python tests/fuzz/guided.py options -runs=100000

What follows the kind are libFuzzer's flags; a failing file is written into the current folder as `crash-*`. Only what
is written in Python guides the search, so pictures and videos gain nothing by it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np
import torch
from safetensors.torch import save

with atheris.instrument_imports(include=["mcld_anim", "yaml"]):
    from reader_process import MOST_MEMORY, outcome

    from mcld_anim.pose.iuv_file import write_iuv_sequence

NAMES = {
    "options": "options.yaml",
    "model": "model.yaml",
    "manifest": "jobs.yaml",
    "rows": "jobs.jsonl",
    "table": "jobs.csv",
    "weights": "weights.bin",
    "iuv": "iuv.zip",
    "faults": "any",
}
"""A file's name by kind; `rows` and `table` are manifests too, and `faults` is a reader with a defect."""


def beginning(kind: str) -> bytes:
    """A real file, from which the search begins."""
    if kind == "weights":
        return save({"a": torch.zeros(2)})
    if kind == "iuv":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "iuv.zip"
            write_iuv_sequence(path, [np.ones((32, 32, 3), np.uint8)], 25.0)
            return path.read_bytes()
    row = '{"source": "a.png", "driving": "b.mp4", "steps": 3}'
    return {
        "options": b"steps: 3\nguidance: 1.5\nframing: photo\n",
        "model": b"name: x\nframe_size: [64, 64]\nunet: {layers_per_block: 1}\n",
        "manifest": f"- {row}\n- !!str x\n".encode(),
        "rows": f"{row}\n{row}\n".encode(),
        "faults": b"fault?",
        "table": b'source,driving,steps\na.png,"b.mp4",3\n',
    }[kind]


def main() -> None:
    kind, *flags = sys.argv[1:]
    folder = Path(tempfile.mkdtemp())
    path, corpus = folder / NAMES[kind], folder / "corpus"
    corpus.mkdir()
    (corpus / "beginning").write_bytes(beginning(kind))
    reader = "manifest" if kind in ("rows", "table") else kind

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = outcome(reader, path)
        if found not in ("read", "refused"):
            raise AssertionError(found)

    # libFuzzer's own limit looks at the peak, and Linux hands a parent's peak down to the process that it starts.
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    atheris.Setup([sys.argv[0], str(corpus), "-rss_limit_mb=0", *flags], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
