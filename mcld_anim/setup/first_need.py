"""BlazePose's networks at their first need: a command that can use them fetches them by itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mcld_anim.core.errors import WeightsError
from mcld_anim.core.events import Event, EventSink
from mcld_anim.model.choose import ChosenModel, choose_densepose, wants_body
from mcld_anim.setup.patience import HURRIED
from mcld_anim.weights.published import BLAZEPOSE, published_model
from mcld_anim.weights.store import NO_HOME, has_models_folder, is_pulled, model_folder

if TYPE_CHECKING:
    import torch  # annotations only, see `run.cache`

COMMAND = f"`mcld-anim models pull {BLAZEPOSE}`"
PACKAGES_BYTES = 77_000_000
"""Size of the two packages that hold the networks: more than they."""


def ready_densepose(
    name: str, device: torch.device, offline: bool, on_event: EventSink, model: ChosenModel | None = None
) -> str:
    """Resolve `--densepose` for a diffusion model or, without one, for a command that estimates poses only.

    BlazePose's networks are fetched if they are wanted and missing, which is told first. Where they cannot be fetched,
    "auto" takes another estimator and tells why; "body" raises WeightsError.
    """
    if not wants_body(name, device) or is_pulled(published_model(BLAZEPOSE)):
        return choose_densepose(name, device, model)
    reason = _refusal(offline) or _fetched(on_event)
    if reason is None:
        return choose_densepose(name, device, model)
    missing = f"BlazePose's networks, which see people in photographs, are not here: {reason}"
    if name != "auto":
        raise WeightsError(f"--densepose {name}: {missing}; run {COMMAND} where there is a network")
    chosen = choose_densepose(name, device, model)
    remedy = f"--densepose {chosen} is used instead; {COMMAND} fetches them"
    on_event(Event("networks_missing", f"{missing}; {remedy}"))
    return chosen


def _refusal(offline: bool) -> str | None:
    """Why nothing may be fetched, or has no place; None if it may."""
    if not has_models_folder():
        return NO_HOME
    if offline:
        return "--offline is given"
    from huggingface_hub import constants

    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else None


def _fetched(on_event: EventSink) -> str | None:
    """Fetch the networks; why that failed, None if it did not. A process tries once only."""
    folder = model_folder(BLAZEPOSE)
    if folder not in _tried():
        from mcld_anim.setup.pull import PullOptions, pull  # imports the diffusion model

        model = published_model(BLAZEPOSE)
        size, licence = f"{model.estimated_bytes / 1e6:.0f} MB", model.files[0].licence
        packages = f"packages of pip and npm, {PACKAGES_BYTES / 1e6:.0f} MB"
        message = f"fetching BlazePose's networks once ({size}, {licence}, out of {packages}) into {folder}"
        on_event(Event("networks_fetched", f"{message}: they see people in photographs; --offline does without"))
        try:
            pull(PullOptions(BLAZEPOSE, patience=HURRIED), confirm=lambda licences: False)
        except (WeightsError, OSError) as error:
            _tried()[folder] = f"they could not be fetched ({error})"
    return _tried().get(folder)


@cache
def _tried() -> dict[Path, str]:
    """Why fetching into a folder failed in this process."""
    return {}
