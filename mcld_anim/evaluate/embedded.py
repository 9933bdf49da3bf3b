"""The embedded model, loaded the way every measurement here uses it."""

from __future__ import annotations

import torch

from mcld_anim.model.load import LoadedModels, load_models


def load_embedded_models() -> LoadedModels:
    """The embedded networks, DensePose estimator and face embedder, in float32 on the CPU."""
    return load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
