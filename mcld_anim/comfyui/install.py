"""`mcld-anim comfyui install`: the folder in `custom_nodes` from which ComfyUI takes the nodes."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import OutputError, UsageError
from mcld_anim.core.home import expanded
from mcld_anim.core.version import __version__

NAME, FOLDER = "mcld-anim", "custom_nodes"
WORKFLOWS = "example_workflows"
"""The folder in which ComfyUI looks for the examples of nodes."""

INIT = '''"""The nodes of mcld-anim, which is installed in ComfyUI's environment."""

from mcld_anim.comfyui.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
'''
PROJECT = f"""[project]
name = "{NAME}"
version = "{__version__}"
description = "Animate one photo of a person with a driving video: MCLD (CVPR 2025) carried from images to video."
license = "Apache-2.0"
dependencies = ["mcld-anim>={__version__}"]

[tool.comfy]
DisplayName = "mcld-anim"
"""


def install(comfyui: Path) -> Path:
    """Write the folder of the nodes into a ComfyUI, over an earlier one; returns it.

    Raises UsageError if `comfyui` is none, OutputError if the folder cannot be written.
    """
    nodes = expanded(comfyui) / FOLDER
    if not nodes.is_dir():
        raise UsageError(f"{comfyui} holds no folder {FOLDER}: give the folder that ComfyUI is installed in")
    folder = nodes / NAME
    try:
        (folder / WORKFLOWS).mkdir(parents=True, exist_ok=True)
        for name, text in (("__init__.py", INIT), ("pyproject.toml", PROJECT)):
            with durable_file(folder / name, overwrite=True) as partial:
                partial.write_text(text, encoding="utf-8")
        for workflow in (resources.files("mcld_anim.comfyui") / "assets").iterdir():
            with (
                resources.as_file(workflow) as path,
                durable_file(folder / WORKFLOWS / workflow.name, overwrite=True) as partial,
            ):
                shutil.copyfile(path, partial)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror or error}): check its permissions") from error
    return folder
