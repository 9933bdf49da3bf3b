"""The one health command: format, lint, layers, types and tests, in the order in which they are quickest to fail."""

import subprocess
import sys

CHECKS = (
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("lint", ["-m", "ruff", "check", "."]),
    ("layers", ["tests/lint_imports.py"]),
    ("types", ["-m", "mypy"]),
    ("tests", ["-m", "pytest", "--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile"]),
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
