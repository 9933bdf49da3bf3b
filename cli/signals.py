"""SIGINT, SIGTERM and SIGHUP end a command once: with its exit code, one line, and no half-written file.

While the program starts, a signal ends it at once: there is nothing to tidy yet, and an exception in the middle of an
import would be a traceback. Once a verb works, the first signal is an exception, so that unfinished files are removed.
More signals are ignored while that happens, unless it takes longer than `PATIENCE`. This module imports nothing heavy.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

NAMES = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
WORDS = {getattr(signal, name): word for name, word in NAMES.items() if hasattr(signal, name)}
"""The signals of this system, and what the line says."""

PATIENCE = 5.0
"""Seconds after the first signal from which another one ends the process without tidying."""

SOON = 0.02
"""Seconds until a signal whose exception was lost is raised again."""


class Signals:
    """The signals of this process."""

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal's number."""
        self._installed = self._works = self._swallowed = False
        self._since = 0.0

    def install(self) -> None:
        """Take over the signals that are not ignored, as they are below nohup; once."""
        if self._installed:
            return
        self._installed = True
        for number in WORDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        shown = sys.unraisablehook

        def notice(unraisable: sys.UnraisableHookArgs) -> None:
            """An exception in a callback is only printed: raise the signal's again, after this function."""
            if self.received is not None and unraisable.exc_type in (KeyboardInterrupt, SystemExit):
                self._swallowed = True
                threading.Timer(SOON, _to_main_thread, [self.received]).start()
            else:
                shown(unraisable)

        sys.unraisablehook = notice

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Within the block the first signal is an exception."""
        self._works = True
        try:
            yield
        finally:
            self._works = False

    def ignore(self) -> None:
        """Ignore signals from now on: the work is done."""
        for number in WORDS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, _frame: object) -> None:
        if not self._works and self.received is None:
            with contextlib.suppress(OSError):
                os.write(2, f"mcld-anim: {WORDS[signal.Signals(number)]}\n".encode())
            os._exit(128 + number)
        if self.received is None or self._swallowed:
            self.received, self._swallowed, self._since = number, False, time.monotonic()
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        if time.monotonic() - self._since > PATIENCE:
            os._exit(128 + self.received)


def _to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # which wakes it from waiting too
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


SIGNALS = Signals()
