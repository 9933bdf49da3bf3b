"""Checks shared by option classes; each names the flag, and none imports a heavy package."""

from __future__ import annotations

import os
import re

from mcld_anim.core.durable import MAX_NAME_BYTES
from mcld_anim.core.errors import UsageError
from mcld_anim.core.plain_data import shortened, shown

MOST_PATH = 4000
"""Longest path, in bytes; Linux takes 4,095."""

NOISE_PATTERN = re.compile(r"shared|independent|mixed:(\d+\.?\d*|\.\d+)")


def check_choice(flag: str, value: object, choices: tuple[str, ...], more: str = "") -> None:
    """Refuse a value that is not one of `choices`."""
    if value not in choices:
        raise UsageError(
            f"{flag} {shortened(str(value))} is not known; choose {', '.join(choices)}{' ' + more if more else ''}"
        )


def check_range(flag: str, value: float | None, least: float, most: float | None) -> None:
    """Refuse a number outside `least`..`most` (None: no upper bound), and NaN."""
    if value is None:
        return
    if not value >= least or (most is not None and value > most) or value == float("inf"):
        bounds = f"at least {least:g}" if most is None else f"between {least:g} and {most:g}"
        raise UsageError(f"{flag} {shown(value)} is out of range; it must be {bounds}")


def check_noise(noise: str) -> None:
    """Refuse, before torch is loaded, what `mcld_anim.sampling.noise.parse_noise_mode` would refuse."""
    match = NOISE_PATTERN.fullmatch(noise)
    if not match or (match[1] and float(match[1]) == 0):
        raise UsageError(
            f"--noise {shortened(noise)} is not known; choose shared, independent or mixed:ALPHA with ALPHA > 0"
        )


def check_file_name(where: str, text: str) -> None:
    """Refuse a text that no file can be named, before a file of that name is looked for."""
    try:
        name = os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"{where}: got {shown(text)}, which holds half of a character") from None
    if b"\0" in name or len(name) > MOST_PATH or max(len(part) for part in name.split(b"/")) > MAX_NAME_BYTES:
        raise UsageError(f"{where}: got {shown(text)}, which no file can be named")
