"""A process that works for another one of this program, and ends with it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import parent_process


def obey_parent() -> None:
    """Leave a terminal's signals to the process that started this one; end on SIGTERM by an exception, so that
    unfinished files are removed, and likewise when that process is killed."""
    for name in ("SIGINT", "SIGHUP"):  # which reach every process of a terminal; the first one decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
