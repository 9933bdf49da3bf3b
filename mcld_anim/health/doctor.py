"""All checks of `mcld-anim doctor`, including the weights and what a run would choose: `diagnose`."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator

from mcld_anim.core.errors import McldAnimError
from mcld_anim.health.findings import Finding, run_checks
from mcld_anim.health.machine import REINSTALL, TORCH, check_codecs, check_system, check_torch
from mcld_anim.health.packages import check_conflicts, check_optional, check_required

REINSTALL_PACKAGE = "pip install --force-reinstall --no-deps mcld-anim"


def diagnose() -> list[Finding]:
    """All findings, most important first. Each check is paired with the remedy for a failure of the check itself."""
    return run_checks(
        {
            "system": (check_system, REINSTALL),
            "packages": (check_required, REINSTALL),
            "torch": (check_torch, f"pip install --force-reinstall {TORCH}"),
            "networks": (check_networks, f"mend the conflicts below, else {REINSTALL}"),
            "video": (check_codecs, "pip install --force-reinstall --no-deps av"),
            "optional": (check_optional, REINSTALL),
            "conflicts": (check_conflicts, REINSTALL),
            "weights": (check_weights, REINSTALL_PACKAGE),
            "stages": (check_stages, "mcld-anim models list"),
        }
    )


def check_networks() -> Iterator[Finding]:
    """Import everything the networks are built from; an import error fails the check."""
    import diffusers
    import transformers

    importlib.import_module("mcld_anim.model.load")
    yield Finding(
        "networks", "networks", "ok", f"diffusers {diffusers.__version__}, transformers {transformers.__version__}"
    )


def check_weights() -> Iterator[Finding]:
    """Embedded weights are verified by checksum, pulled ones by size; `models verify` reads those in full."""
    from mcld_anim.weights.inventory import EMBEDDED_MODEL, inventory
    from mcld_anim.weights.published import published_model

    for name, group in itertools.groupby(inventory(checksums=False), lambda state: state.model):
        states = list(group)
        broken = [state for state in states if state.problem]
        remedy = f"mcld-anim models pull {name}"
        if name == EMBEDDED_MODEL and broken:
            text = "; ".join(f"{state.label}: {state.problem}" for state in broken)
            yield Finding("weights", name, "bad", text, REINSTALL_PACKAGE, blocks=True)
        elif name == EMBEDDED_MODEL:
            yield Finding("weights", name, "ok", "embedded, checksums verified")
        elif not any(state.installed for state in states):
            yield Finding("weights", name, "note", f"not pulled ({published_model(name).purpose})", remedy)
        elif broken:
            yield Finding("weights", name, "bad", "; ".join(str(state.problem) for state in broken), remedy)
        else:
            yield Finding("weights", name, "ok", "pulled, sizes verified")


def check_stages() -> Iterator[Finding]:
    """What `mcld-anim run` chooses for each stage when every option is auto."""
    from mcld_anim.core.device import choose_device
    from mcld_anim.model.choose import choose_densepose, choose_face, choose_model, find_model, has_packages
    from mcld_anim.weights.store import has_models_folder

    device = choose_device("auto")
    chosen = find_model(choose_model("auto", device))
    yield Finding("stages", "model", "ok", chosen.name)
    try:
        densepose = choose_densepose("auto", device, chosen)
        body = "; with a network, the first run fetches body: mcld-anim models pull blazepose"
        if not has_models_folder():
            body = "; body has no place for its networks: set HOME or MCLD_ANIM_HOME"
        yield Finding("stages", "densepose", "ok", f"{densepose}{body if densepose == 'tiny' else ''}")
    except McldAnimError as error:
        remedy = "mcld-anim models pull blazepose"
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
    """What insightface lacks here and the command that installs it; None if it can run."""
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
