"""The forms of kept results: arrays and plain data in one safetensors file, IUV sequences as their archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load, save_file

from mcld_anim.body.draw import BodyPainter, DrawnBody
from mcld_anim.body.fit import BodyMotion, BodyShape
from mcld_anim.core.disk_cache import Entry
from mcld_anim.core.packing import pack, unpack
from mcld_anim.pose.backends import EstimatedBody
from mcld_anim.pose.iuv_file import read_iuv_sequence
from mcld_anim.pose.sequence import PoseSequence
from mcld_anim.run.driving import DrivingMotion, DrivingPoses
from mcld_anim.run.kept import Form
from mcld_anim.run.source import SourcePhoto
from mcld_anim.source.edited_warp import Fitted
from mcld_anim.source.face import Face
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.source.photo_view import PhotoView
from mcld_anim.source.photo_warp import PhotoWarp

CONTENT, SEQUENCE = "content.safetensors", "iuv.zip"
MOTION_CLASSES = (BodyMotion, BodyShape)

Item = TypeVar("Item")


def packed_form(classes: Iterable[type], take: Callable[[Item], Any], give: Callable[[Any], Item]) -> Form[Item]:
    """Results that `take` makes dataclasses of arrays of, which are packed, and `give` makes results of again."""
    known = tuple(classes)

    def write(item: Item, folder: Path) -> Any:
        tensors, structure = pack(take(item))
        save_file(tensors, folder / CONTENT)
        return structure

    def read(entry: Entry, device: torch.device) -> Item:
        return give(unpack(load(entry.read(CONTENT)), entry.about["data"], known, device))

    return Form(write, read)


def _take_stage(photo: FittedPhoto) -> dict[str, Any]:
    """The painter as its person's shape and clothes."""
    plain = {name: getattr(photo, name) for name in ("picture", "background", "front", "motion", "warp")}
    return {**plain, "shape": photo.painter.shape, "rest": photo.painter.rest}


def _give_stage(plain: dict[str, Any]) -> FittedPhoto:
    shape, rest = plain.pop("shape"), plain.pop("rest")
    return FittedPhoto(painter=BodyPainter(shape).dressed(rest), **plain)


def _take_fitted(person: Fitted) -> dict[str, Any]:
    return {"warp": person.warp, "shape": person.painter.shape, "rest": person.painter.rest}


def _give_fitted(plain: dict[str, Any]) -> Fitted:
    return Fitted(BodyPainter(plain["shape"]).dressed(plain["rest"]), plain["warp"])


def _write_poses(driving: DrivingPoses, folder: Path) -> Any:
    """The archive, under a second name or, on another disk, copied; the rest is plain data."""
    assert isinstance(driving.poses, PoseSequence)
    try:
        os.link(driving.poses.path, folder / SEQUENCE)
    except OSError:
        shutil.copyfile(driving.poses.path, folder / SEQUENCE)
    names = ("fps", "start", "person_found", "cuts", "reader", "boxes")
    tensors, structure = pack({name: getattr(driving, name) for name in names})
    save_file(tensors, folder / CONTENT)
    return structure


def _read_poses(entry: Entry, device: torch.device) -> DrivingPoses:
    """The sequence holds its archive open, which may be removed meanwhile."""
    fields = unpack(load(entry.read(CONTENT)), entry.about["data"], (), device)
    return DrivingPoses(poses=read_iuv_sequence(entry.path(SEQUENCE)), **fields)


MOTION_FORM: Form[DrivingMotion] = packed_form((DrivingMotion, *MOTION_CLASSES), lambda motion: motion, lambda it: it)
POSES_FORM = Form(_write_poses, _read_poses)
PHOTO_FORM: Form[SourcePhoto] = packed_form(
    (SourcePhoto, Face, EstimatedBody, *MOTION_CLASSES), lambda photo: replace(photo, picture=None), lambda it: it
)
FITTED_FORM: Form[Fitted] = packed_form((PhotoWarp, PhotoView, DrawnBody, *MOTION_CLASSES), _take_fitted, _give_fitted)
STAGE_FORM: Form[FittedPhoto] = packed_form(
    (PhotoWarp, PhotoView, DrawnBody, *MOTION_CLASSES), _take_stage, _give_stage
)
