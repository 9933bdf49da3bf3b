"""Everything the doctor looks at, weights and the choices of a run included: `examination`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from mcld_anim.core.errors import McldAnimError
from mcld_anim.health.findings import Finding, examine
from mcld_anim.health.machine import REINSTALL, TORCH, check_codecs, check_system, check_torch
from mcld_anim.health.packages import check_conflicts, check_optional, check_required


def examination() -> list[Finding]:
    """All findings, in the order in which they matter; beside each check: what mends it where it fails itself."""
    return examine(
        {
            "system": (check_system, REINSTALL),
            "packages": (check_required, REINSTALL),
            "torch": (check_torch, f"pip install --force-reinstall {TORCH}"),
            "networks": (check_networks, f"mend the conflicts below, else {REINSTALL}"),
            "video": (check_codecs, "pip install --force-reinstall --no-deps av"),
            "optional": (check_optional, REINSTALL),
            "conflicts": (check_conflicts, REINSTALL),
            "weights": (check_weights, "pip install --force-reinstall --no-deps mcld-anim"),
            "stages": (check_stages, "mcld-anim models list"),
        }
    )


def check_networks() -> Iterator[Finding]:
    """Whether all that the networks are built from can be imported; the check fails with what cannot."""
    import diffusers
    import transformers

    importlib.import_module("mcld_anim.model.load")
    yield Finding(
        "networks", "networks", "ok", f"diffusers {diffusers.__version__}, transformers {transformers.__version__}"
    )


def check_weights() -> Iterator[Finding]:
    """The embedded files by their checksums, pulled ones by their sizes: `models verify` reads those in full."""
    from mcld_anim.weights.published import MODELS
    from mcld_anim.weights.store import model_folder, problem, read_record
    from mcld_anim.weights.table import verify_embedded

    broken = [f"{one.row.file}: {one.problem}" for one in verify_embedded() if one.problem]
    if broken:
        remedy = "pip install --force-reinstall --no-deps mcld-anim"
        yield Finding("weights", "tiny", "bad", "; ".join(broken), remedy, blocks=True)
    else:
        yield Finding("weights", "tiny", "ok", "embedded, checksums verified")
    for model in MODELS:
        folder, remedy = model_folder(model.name), f"mcld-anim models pull {model.name}"
        record = read_record(folder)
        wrong = [text for file in model.files if (text := problem(folder, record.get(file.part), checksum=False))]
        if not record:
            yield Finding("weights", model.name, "note", f"not pulled ({model.purpose})", remedy)
        elif wrong:
            yield Finding("weights", model.name, "bad", "; ".join(wrong), remedy)
        else:
            yield Finding("weights", model.name, "ok", "pulled, sizes verified")


def check_stages() -> Iterator[Finding]:
    """What `mcld-anim run` would take for each stage where all is left to it."""
    from mcld_anim.core.device import choose_device
    from mcld_anim.model.choose import choose_densepose, choose_face, choose_model, find_model, has_packages

    chosen = find_model(choose_model("auto", choose_device("auto")))
    yield Finding("stages", "model", "ok", chosen.name)
    try:
        yield Finding("stages", "densepose", "ok", choose_densepose("auto", chosen))
    except McldAnimError as error:
        remedy = "mcld-anim models pull densepose-torchscript-r101"
        yield Finding("stages", "densepose", "bad", str(error), remedy, blocks=True)
    face = choose_face("auto", chosen)
    missing = missing_for_faces() if face == "insightface" else None
    if missing is None:
        yield Finding("stages", "face", "ok", face)
    else:
        yield Finding("stages", "face", "bad", *missing, blocks=True)
    sparse = "decord, where it gives the same pixels" if has_packages("decord") else "PyAV"
    mapped = "tone-mapped by imageio-ffmpeg" if has_packages("imageio_ffmpeg") else "not tone-mapped"
    yield Finding("stages", "video", "ok", f"read and written by PyAV; sparse frames read by {sparse}; HDR {mapped}")


def missing_for_faces() -> tuple[str, str] | None:
    """What insightface lacks here and the command for it; None where it could run."""
    from mcld_anim.source.insightface_backend import check_package, find_model_folder

    try:
        check_package()
    except McldAnimError as error:
        return str(error), "pip install 'mcld-anim[face]'"
    try:
        find_model_folder()
    except McldAnimError as error:
        return str(error), "mcld-anim models pull antelopev2"
    return None
