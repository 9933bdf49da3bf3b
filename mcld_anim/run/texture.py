"""The story of `mcld-anim texture`: the UV texture of a photo, in the SMPL layout."""

from __future__ import annotations

from mcld_anim.core.device import choose_device
from mcld_anim.core.durable import check_output, durable_file
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.pictures import check_picture, read_picture, write_picture
from mcld_anim.options.extract import TextureOptions
from mcld_anim.pose.backends import largest_iuv, load_pose_backend
from mcld_anim.pose.precomputed import precomputed_iuv
from mcld_anim.run.densepose import no_person
from mcld_anim.run.result import TextureResult
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.source.texture import source_texture


def texture(options: TextureOptions, on_event: EventSink = warn) -> TextureResult:
    """The SMPL UV texture (512, 512, 3) of a photo, written as PNG if an output is named."""
    if options.output is not None:
        check_output(options.output, options.overwrite)
    check_picture(options.photo)
    picture, name = read_picture(options.photo, on_event=on_event), None
    if options.iuv is not None:
        found = precomputed_iuv(options.iuv, (picture.shape[0], picture.shape[1]))
        if not found[..., 0].any():
            raise PoseError(f"{options.iuv} shows no person: give another IUV file")
    else:
        device = choose_device(options.device)
        name = ready_densepose(options.densepose, device, options.offline, on_event)
        found = largest_iuv(load_pose_backend(name, device), picture)
        if not found[..., 0].any():
            raise no_person(options.photo, name)
    made = source_texture(picture, found)
    if options.output is not None:
        with durable_file(options.output, options.overwrite) as partial:
            write_picture(partial, made)
    return TextureResult(made, options.output, name)
