"""The README keeps up with the project: its map has one line per file, its commands are the real ones."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def map_of_files() -> str:
    """A line per Python file of the package: its path and its docstring's first sentence or line."""
    lines = []
    for path in sorted([*(ROOT / "mcld_anim").rglob("*.py"), *(ROOT / "cli").glob("*.py")]):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if text:
            summary = " ".join(text.split("\n\n")[0].split())
            lines.append(f"{path.relative_to(ROOT).as_posix():44s} {summary}")
    return "\n".join(lines)


def test_the_map_has_one_line_per_file() -> None:
    shown = re.search(r"## Map\n\n.*?```\n(.*?)\n```", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == map_of_files(), "replace the README's map by the output of `python tests/test_readme.py`"


def test_every_command_shown_exists() -> None:
    shown = set(re.findall(r"^\| `mcld-anim (\w+)", README, re.MULTILINE))
    listed = subprocess.run(
        [sys.executable, "-m", "mcld_anim.cli.main", "--help"], capture_output=True, text=True, check=True
    ).stdout
    verbs = set(re.findall(r"^│ (\w+)\s", listed, re.MULTILINE))
    assert shown == verbs
    assert len(verbs) == 10


def test_ci_runs_what_the_readme_says() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for part in ("python3 -m venv", 'install --quiet -e ".[test]"', 'python" tests/check.py'):
        assert part in ci
    for part in ("python3 -m venv", 'pip install -e ".[test]"', "python tests/check.py"):
        assert part in README


if __name__ == "__main__":
    print(map_of_files())
