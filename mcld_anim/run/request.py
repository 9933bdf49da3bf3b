"""What is asked for, apart from where it goes: equal requests to one version of this program give equal results."""

from __future__ import annotations

import hashlib
import json

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.version import __version__
from mcld_anim.options.load import to_mapping
from mcld_anim.options.run import SynthesisOptions

NOT_ASKED = ("output", "overwrite", "offline", "resume")
"""Options that change where and how, not what."""


def request_of(options: SynthesisOptions, checksums: Checksums) -> str:
    """One SHA-256 of the options as they are given, without the names of files, and of the content of the inputs."""
    paths = {str(path) for path in options.inputs}
    given = {name: value for name, value in to_mapping(options).items() if name not in NOT_ASKED}
    del given["more_sources"]
    if options.more_sources:  # the request for one photo is what it was before there could be more
        given["photos"] = len(options.photos)
    asked = {name: "a file" if str(value) in paths else value for name, value in given.items()}
    asked["garment_from"] = [choice.group for choice in options.garments]
    inputs = [checksums.of(path) for path in options.inputs]
    text = json.dumps([__version__, type(options).__name__, asked, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
