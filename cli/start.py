"""The console script: it takes over the signals before the other imports, which take most of a second, and ends without
taking torch apart object by object, which takes another."""

import atexit
import os
import sys

from mcld_anim.cli.signals import SIGNALS


def main() -> None:
    """Run the command line."""
    SIGNALS.install()
    from mcld_anim.cli.main import main as run

    try:
        run()
    except SystemExit as end:
        if isinstance(end.code, int):
            _leave(end.code)
        raise


def _leave(code: int) -> None:
    """End the process as `sys.exit` does, with what is to be done at the end, but free no object one by one."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
