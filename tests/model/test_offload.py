"""`--offload`: the same numbers, with every network away unless it is used."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.model.appearance import encode_source, with_face
from mcld_anim.model.build import Mcld
from mcld_anim.model.load import LoadedModels
from mcld_anim.model.offload import Offload
from mcld_anim.pose.backends import estimate_of
from mcld_anim.run.source import frame_person
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.synthetic.person import Rendering

SETTINGS = SamplingSettings(steps=2, guidance=2.0, seed=0, noise="shared", blend=0.5)


class AwayAtRest(Offload):
    """The CPU is the accelerator, and weights at rest are on the meta device, where they give no numbers: using a
    network that was not brought is an error."""

    def __init__(self, mcld: Mcld) -> None:
        super().__init__(torch.device("cpu"))
        self.names = {part: name for name, part in mcld.named_modules()}
        self.moves: list[str] = []
        self.most = 0
        for part in parts(mcld):
            self.bring(part)
            self.leave(part)
        self.moves.clear()

    def bring(self, part: nn.Module) -> None:
        """And note which."""
        self.moves.append(self.names[part])
        self.most = max(self.most, len(self._there))
        super().bring(part)

    def leave(self, part: nn.Module) -> None:
        """To where there are no numbers."""
        super().leave(part)
        part.load_state_dict({name: weight.to("meta") for name, weight in part.state_dict().items()}, assign=True)


def parts(mcld: Mcld) -> Iterator[nn.Module]:
    """Every network, the autoencoder's apart."""
    yield from (part for part in mcld.children() if part is not mcld.vae)
    yield from mcld.vae.children()


@pytest.fixture
def offloaded(small_models: LoadedModels) -> Mcld:
    """The small model with every network at rest."""
    mcld = copy.deepcopy(small_models.mcld)
    mcld.offload = AwayAtRest(mcld)
    return mcld


def test_every_network_comes_for_its_use_alone_and_the_frames_are_the_same(
    small_models: LoadedModels, offloaded: Mcld, photo: Rendering
) -> None:
    picture, iuv = frame_person(photo.picture, estimate_of(photo.iuv, 1.0), (64, 64))
    face, clip = small_models.face_in(picture, iuv), [ClipFrame(0, FramePose(iuv))]
    made = []
    for mcld in (small_models.mcld, offloaded):
        source = encode_source(picture, iuv, mcld, face)
        assert face is not None
        source = with_face(source, face, mcld)
        made += FrameMaker(mcld, source, SETTINGS).make(clip)
    assert np.array_equal(*made)
    away = offloaded.offload
    assert isinstance(away, AwayAtRest)
    encoder, decoder = ["vae.encoder", "vae.quant_conv"], ["vae.decoder", "vae.post_quant_conv"]
    encoding = ["image_encoder", "face_tokens", *encoder, "reference_net", "denoiser"]
    assert away.moves == [*encoding, "face_tokens", "denoiser", *encoder, "pose_guider", "denoiser", *decoder]
    assert away.most == 2  # the autoencoder's halves are two modules each
    assert all(weight.is_meta for weight in offloaded.parameters())


def test_a_network_that_is_not_brought_makes_nothing(offloaded: Mcld) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        offloaded.face_tokens(torch.ones(1, 1, 48)).sum().item()


def test_networks_go_back_after_an_error_and_stay_for_the_outer_use(offloaded: Mcld) -> None:
    guider = offloaded.pose_guider

    def use() -> None:
        with offloaded.using(guider):
            with offloaded.using(guider, None):
                pass
            assert not any(weight.is_meta for weight in guider.parameters())
            raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        use()
    assert all(weight.is_meta for weight in guider.parameters())
    assert offloaded.like.device.type == "cpu"


def test_without_a_second_device_weights_stay_the_same_tensors(small_models: LoadedModels) -> None:
    """Coming back copies nothing."""
    mcld = copy.deepcopy(small_models.mcld)
    mcld.offload = Offload(torch.device("cpu"))
    before = {name: weight.data_ptr() for name, weight in mcld.named_parameters()}
    with mcld.using(*parts(mcld)):
        pass
    assert {name: weight.data_ptr() for name, weight in mcld.named_parameters()} == before
    assert not any(weight.requires_grad for weight in mcld.parameters())
