"""The one health command: format, lint, layers, types and tests, in the order in which they are quickest to fail."""

import os
import subprocess
import sys

WORKERS = min(4, (os.cpu_count() or 1) + 1)
"""Tests that run at a time: one more than there are cores, as many of them wait for processes of their own."""

CHECKS = (
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("lint", ["-m", "ruff", "check", "."]),
    ("layers", ["tests/lint_imports.py"]),
    ("types", ["-m", "mypy"]),
    ("tests", ["-m", "pytest", "--numprocesses", str(WORKERS), "--dist", "loadfile"]),
)


def main() -> int:
    for name, command in CHECKS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        code = subprocess.call([sys.executable, *command])
        if code:
            print(f"== {name} failed (exit {code})", flush=True)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
