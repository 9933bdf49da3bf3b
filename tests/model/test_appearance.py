"""The source is encoded once, whatever the number of frames."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.options.model import ModelOptions
from mcld_anim.source.face import Face


def face_of(embedding: np.ndarray) -> Face:
    return Face(embedding, (0.0, 0.0, 9.0, 9.0))


@pytest.fixture(scope="module")
def options(small_options: ModelOptions) -> ModelOptions:
    return replace(small_options, name="small", face=replace(small_options.face, embedding_dim=8))


@pytest.fixture(scope="module")
def mcld(options: ModelOptions) -> Mcld:
    torch.manual_seed(0)
    return build_mcld(options).eval()


@pytest.fixture(scope="module")
def source() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    picture = generator.integers(1, 256, (80, 60, 3), dtype=np.uint8)
    iuv = np.zeros_like(picture)
    rows, columns = np.mgrid[10:70, 20:40]
    iuv[10:70, 20:40] = np.stack([np.full_like(rows, 2), columns * 6, rows * 3], axis=-1)
    return picture, iuv


def count_calls(mcld: Mcld, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of each network that may process a source."""
    calls: Counter[str] = Counter()
    for name, owner, method in (
        ("reference_net", mcld.reference_net, "forward"),
        ("image_encoder", mcld.image_encoder, "forward"),
        ("face_tokens", mcld.face_tokens, "forward"),
        ("vae", mcld.vae, "encode"),
        ("project_source", mcld.denoiser, "project_source"),
    ):
        real = getattr(owner, method)

        def counted(*args: Any, _name: str = name, _real: Any = real, **kwargs: Any) -> Any:
            calls[_name] += 1
            return _real(*args, **kwargs)

        monkeypatch.setattr(owner, method, counted)
    return calls


@pytest.mark.parametrize("frames", [1, 5])
def test_every_network_sees_the_source_once(
    mcld: Mcld, source: tuple[np.ndarray, np.ndarray], frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(mcld, monkeypatch)
    appearance = encode_source(*source, mcld, face_of(np.ones(8, np.float32)))
    with torch.no_grad():
        for frame in range(frames):
            latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(frame))
            mcld.denoiser(latents, 500, torch.zeros(1, 8, 8, 8), appearance.projected, guided=True)
    assert calls == {"reference_net": 1, "image_encoder": 1, "face_tokens": 1, "vae": 1, "project_source": 1}


def test_what_is_kept_has_the_models_sizes(mcld: Mcld, source: tuple[np.ndarray, np.ndarray]) -> None:
    appearance = encode_source(*source, mcld)
    assert appearance.picture.shape == appearance.background.shape == (64, 64, 3)
    assert appearance.texture.shape == (512, 512, 3)
    assert appearance.image_embedding.shape == appearance.texture_embedding.shape == (1, 1, 16)
    assert appearance.tokens.mid is not None
    assert appearance.tokens.mid.shape == (1, 2, 16)
    assert not appearance.image_embedding.requires_grad


def test_without_a_face_the_published_zero_vector_is_used(mcld: Mcld, source: tuple[np.ndarray, np.ndarray]) -> None:
    nobody = encode_source(*source, mcld)
    zeros = encode_source(*source, mcld, face_of(np.zeros(8, np.float32)))
    assert nobody.face is None
    assert nobody.tokens.face is not None
    assert zeros.tokens.face is not None
    assert torch.equal(nobody.tokens.face, zeros.tokens.face)


def test_an_embedding_of_another_backend_is_refused(mcld: Mcld, source: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(UsageError, match="512 numbers, the model small takes 8"):
        encode_source(*source, mcld, face_of(np.ones(512, np.float32)))


def test_a_photo_without_a_person_is_refused(mcld: Mcld, source: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(PoseError, match="no person"):
        encode_source(source[0], np.zeros_like(source[1]), mcld)


def test_a_model_without_face_condition_needs_no_face(
    options: ModelOptions, source: tuple[np.ndarray, np.ndarray]
) -> None:
    plain = build_mcld(replace(options, conditions=("image", "texture"))).eval()
    assert encode_source(*source, plain).tokens.face is None
