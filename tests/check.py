"""The one health command: format, lint, types and tests, in the order in which they are quickest to fail."""

import subprocess
import sys

CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("tests", ["pytest"]),
)


def main() -> int:
    for name, command in CHECKS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        code = subprocess.call([sys.executable, "-m", *command])
        if code:
            print(f"== {name} failed (exit {code})", flush=True)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
