"""From options to a running page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcld_anim.core.events import Event, EventSink
from mcld_anim.options.ui import AUTH_VARIABLE, UiOptions
from mcld_anim.ui.controls import OptionHelp, controls_of
from mcld_anim.ui.desk import Desk
from mcld_anim.ui.page import gradio_module, serve
from mcld_anim.ui.queue import JobQueue


def start(options: UiOptions, helps: Sequence[OptionHelp], ready: Callable[[str], None], on_event: EventSink) -> None:
    """Serve the page until the process is told to end. `helps`: the options of `run` as `--help` shows them; `ready` is
    called with the page's address.

    Raises MissingDependencyError without Gradio, UsageError for a login that is none, OutputError if the output folder
    cannot be written to.
    """
    gradio, login = gradio_module(), options.login()
    if options.is_open and login is None:
        message = f"whoever reaches this page can use this machine: --auth FILE or ${AUTH_VARIABLE} asks for a password"
        on_event(Event("page_is_open", message))
    jobs = JobQueue(options.output_dir, shared=options.gallery == "shared")
    serve(options, Desk(jobs, controls_of(helps), options.max_upload), gradio, ready)
