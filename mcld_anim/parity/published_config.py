"""Convert a golden folder's `config.json` (the published code's constructor arguments) to our options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcld_anim.core.errors import ParityError
from mcld_anim.options.model import (
    LATENT_STRIDE,
    FaceTokenOptions,
    ImageEncoderOptions,
    ModelOptions,
    PoseGuiderOptions,
    ScheduleOptions,
    UNetOptions,
    VaeOptions,
)


def model_options(config: Mapping[str, Any]) -> ModelOptions:
    """The architecture that the folder's weights belong to."""
    try:
        unet, vae, pose, encoder = (config[key] for key in ("unet_2d", "vae", "pose_guider", "image_encoder"))
        side = unet.get("sample_size", 64) * LATENT_STRIDE
        return ModelOptions(
            name="golden",
            frame_size=(side, side),
            texture_size=(side, side),
            vae=VaeOptions(
                latent_channels=vae["latent_channels"],
                block_out_channels=tuple(vae["block_out_channels"]),
                layers_per_block=vae["layers_per_block"],
                norm_num_groups=vae["norm_num_groups"],
                scaling_factor=vae["scaling_factor"],
            ),
            unet=_unet_options(unet),
            pose_guider=PoseGuiderOptions(block_out_channels=tuple(pose["block_out_channels"])),
            image_encoder=ImageEncoderOptions(
                **{key: value for key, value in encoder.items() if key != "num_channels"}
            ),
            face=_face_options(config["image_proj_model"], scale=config["denoising_unet"]["ip_scale"]),
            schedule=schedule_options(config["scheduler_inference"]),
            training_schedule=schedule_options(config["scheduler_training"]),
        )
    except KeyError as error:
        raise ParityError(f"config.json has no {error}; a golden folder's configuration names every size") from error


def schedule_options(published: Mapping[str, Any]) -> ScheduleOptions:
    """Convert a diffusers scheduler's arguments to our options."""
    return ScheduleOptions(
        beta_schedule=published["beta_schedule"],
        beta_start=published["beta_start"],
        beta_end=published["beta_end"],
        train_steps=published.get("num_train_timesteps", 1000),
        prediction=published["prediction_type"],
        zero_terminal_snr=published["rescale_betas_zero_snr"],
        spacing=published["timestep_spacing"],
        steps_offset=published["steps_offset"],
    )


def _unet_options(published: Mapping[str, Any]) -> UNetOptions:
    heads = published["attention_head_dim"]  # diffusers' name for the number of heads
    return UNetOptions(
        in_channels=published["in_channels"],
        out_channels=published["out_channels"],
        block_out_channels=tuple(published["block_out_channels"]),
        down_block_types=tuple(published["down_block_types"]),
        up_block_types=tuple(published["up_block_types"]),
        layers_per_block=published["layers_per_block"],
        heads=tuple(heads) if isinstance(heads, list) else heads,
        cross_attention_dim=published["cross_attention_dim"],
        norm_num_groups=published["norm_num_groups"],
    )


def _face_options(published: Mapping[str, Any], scale: float) -> FaceTokenOptions:
    return FaceTokenOptions(
        embedding_dim=published["embedding_dim"],
        num_tokens=published["num_queries"],
        scale=scale,
        dim=published["dim"],
        depth=published["depth"],
        dim_head=published["dim_head"],
        heads=published["heads"],
        ff_mult=published["ff_mult"],
    )
