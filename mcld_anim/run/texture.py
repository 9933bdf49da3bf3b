"""The story of `mcld-anim texture`: the UV texture of a photo, or of several of one person, in the SMPL layout."""

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
from mcld_anim.run.several_photos import other_person
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.source.joined_photos import joined_texture
from mcld_anim.source.same_person import other_clothes
from mcld_anim.source.surface_views import surface_views
from mcld_anim.source.texture import source_texture


def texture(options: TextureOptions, on_event: EventSink = warn) -> TextureResult:
    """The SMPL UV texture (512, 512, 3) of the photos, written as PNG if an output is named."""
    if options.output is not None:
        check_output(options.output, options.overwrite)
    for path in options.photos:
        check_picture(path)
    pictures, name = [read_picture(path, on_event=on_event) for path in options.photos], None
    if options.iuv is not None:
        found = [precomputed_iuv(options.iuv, (pictures[0].shape[0], pictures[0].shape[1]))]
        if not found[0][..., 0].any():
            raise PoseError(f"{options.iuv} shows no person: give another IUV file")
    else:
        device = choose_device(options.device)
        name = ready_densepose(options.densepose, device, options.offline, on_event)
        backend = load_pose_backend(name, device)
        found = [largest_iuv(backend, picture) for picture in pictures]
        for path, iuv in zip(options.photos, found, strict=True):
            if not iuv[..., 0].any():
                raise no_person(path, name)
    photos = list(zip(pictures, found, strict=True))
    if len(photos) == 1:
        made = source_texture(*photos[0])
    else:
        views = surface_views(photos)
        for view, path in zip(views, options.photos, strict=True):
            if other_clothes(views[0], view):
                on_event(other_person(path, options.photo, "clothes"))
        made = joined_texture(photos, views)
    if options.output is not None:
        with durable_file(options.output, options.overwrite) as partial:
            write_picture(partial, made)
    return TextureResult(made, options.output, name)
