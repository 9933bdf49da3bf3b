"""Weights of single networks: loading them, and splitting a diffusion training's file into one per network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mcld_anim.core.errors import WeightsError
from mcld_anim.model.pose_guider import PoseGuider
from mcld_anim.train.record import write_weights
from mcld_anim.weights.strict import load_strictly
from mcld_anim.weights.trained import read_weights


def load_into(network: nn.Module, path: Path) -> None:
    """Fill a network from a weights file; a missing or unexpected key is an error."""
    load_strictly(network, read_weights(path)[0], path.name)


CONTROLNET_PREFIX = "controlnet_cond_embedding."


def start_from_controlnet(pose_guider: PoseGuider, path: Path) -> None:
    """Copy the convolutions of a ControlNet's conditioning embedding, except the last, into a Pose Guider.

    `path` is a ControlNet in diffusers' layout (the published training starts from control_v11p_sd15_seg). The last
    convolution stays at zero, so that the Pose Guider still adds nothing at first.
    """
    tensors, _ = read_weights(path)
    found = {key.removeprefix(CONTROLNET_PREFIX): t for key, t in tensors.items() if key.startswith(CONTROLNET_PREFIX)}
    own = pose_guider.state_dict()
    wanted = [key for key in own if key.startswith(("conv_in.", "blocks."))]
    missing = [key for key in wanted if key not in found or found[key].shape != own[key].shape]
    if missing:
        raise WeightsError(
            f"{path} does not fit the Pose Guider: {', '.join(missing)} missing or of another shape; give a ControlNet "
            "in diffusers' layout with the widths of pose_guider.block_out_channels and 3 condition planes"
        )
    pose_guider.load_state_dict({key: found[key] for key in wanted}, strict=False)


def export_parts(weights: Path, folder: Path) -> list[Path]:
    """Write `folder`/<part>.safetensors (float16) for every network in a diffusion training's weights file."""
    tensors, header = read_weights(weights)
    parts = sorted({name.partition(".")[0] for name in tensors})
    if not header.get("parts") or sorted(header["parts"]) != parts:  # type: ignore[call-overload]
        raise WeightsError(f"{weights} is not the weights file of a diffusion training: it holds {parts}")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in parts:
        chosen = {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(part + ".")}
        path = folder / f"{part}.safetensors"
        with torch.no_grad():
            write_weights(path, chosen, {**header, "network": part})
        written.append(path)
    return written
