"""From options to a running page. The one file that imports gradio."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcld_anim.core.errors import MissingDependencyError, UsageError
from mcld_anim.core.events import Event, EventSink
from mcld_anim.core.temporary_folder import TemporaryFolder
from mcld_anim.options.ui import AUTH_VARIABLE, UiOptions
from mcld_anim.ui.controls import OptionHelp, controls_of
from mcld_anim.ui.queue import JobQueue
from mcld_anim.ui.web import additions

if TYPE_CHECKING:
    from mcld_anim.ui.desk import Desk


def start(options: UiOptions, helps: Sequence[OptionHelp], ready: Callable[[str], None], on_event: EventSink) -> None:
    """Serve the page until the process is told to end. `helps`: the options of `run` as `--help` shows them; `ready` is
    called with the page's address.

    Raises MissingDependencyError without Gradio, UsageError for a login that is none, OutputError if the output folder
    cannot be written to.
    """
    login, work = options.login(), TemporaryFolder()
    gradio = gradio_module(work.path / "uploads")
    if options.is_open and login is None:
        message = f"whoever reaches this page can use this machine: --auth FILE or ${AUTH_VARIABLE} asks for a password"
        on_event(Event("page_is_open", message))
    jobs = JobQueue(options.output_dir, shared=options.gallery == "shared")
    from mcld_anim.ui.desk import Desk  # torch is imported by now, not before the checks

    serve(options, Desk(jobs, controls_of(helps), options.max_upload), gradio, work, ready)


def gradio_module(uploads: Path) -> Any:
    """Gradio, told to keep uploads in a folder and to ask no other server for anything. Raises
    MissingDependencyError."""
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError as error:
        if error.name != "gradio":
            raise
        raise MissingDependencyError("the page needs Gradio: run pip install '.[ui]'") from error
    return gradio


def serve(options: UiOptions, desk: Desk, gradio: Any, work: TemporaryFolder, ready: Callable[[str], None]) -> None:
    """Serve the page until the process is told to end; `work`: for uploads and whatever else the page shows."""
    from mcld_anim.ui.page import Page

    blocks = Page(gradio, desk, work.path, options.mcp).blocks()
    try:
        with resources.as_file(resources.files("mcld_anim.ui") / "assets" / "page.css") as style:
            _, address, public = blocks.launch(
                server_name=options.host,
                server_port=options.port,
                share=options.share,
                auth=options.login(),
                max_file_size=options.max_upload * 1_000_000,
                allowed_paths=[str(work.path)],
                app_kwargs=additions(desk.jobs),
                css_paths=style,
                theme=_theme(gradio),
                mcp_server=options.mcp,
                footer_links=["api"] if options.mcp else [],
                run_history=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        ready(public or address)
        threading.Event().wait()  # until a signal's exception
    except OSError as error:  # Gradio's, of a port that is taken
        raise UsageError(f"--port {options.port} of {options.host} cannot be used: choose another") from error
    finally:
        blocks.close(verbose=False)
        desk.jobs.close()
        work.remove()


def _theme(gradio: Any) -> Any:
    """Gradio's colours with more contrast, and the fonts of the system, so that none is fetched."""
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    dark, darker = "#a33a00", "#7f2d00"  # with white text 6.6:1 and 9.2:1; WCAG 2.2 wants 4.5:1
    quiet = {"block_info_text_color": "*neutral_600", "block_info_text_color_dark": "*neutral_300"}
    fills = {"button_primary_background_fill": dark, "button_primary_background_fill_hover": darker}
    return theme.set(**quiet, **fills, **{f"{name}_dark": value for name, value in fills.items()})
