"""Check the layers of rooms that `pyproject.toml` declares, on the package as it is installed.

`cli/` and `configs/` lie beside the package in the repository and inside it in an installation; import-linter reads
folders.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "mcld_anim"
        skipped = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.npz")
        shutil.copytree(ROOT / "mcld_anim", package, ignore=skipped)
        for beside in ("cli", "configs"):
            shutil.copytree(ROOT / beside, package / beside, ignore=skipped, dirs_exist_ok=True)
        command = [str(Path(sys.executable).with_name("lint-imports")), str(ROOT / "pyproject.toml")]
        return subprocess.call([*command, "--no-logo", "--no-cache"], cwd=folder)


if __name__ == "__main__":
    sys.exit(main())
