"""Options of `ui`: where the page is served, to whom, and where its results lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded
from mcld_anim.core.tables import read_text
from mcld_anim.options.checks import check_choice
from mcld_anim.options.domain import Range, check_ranges

AUTH_VARIABLE = "MCLD_ANIM_UI_AUTH"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WANTED = "write user:password into a file, one line, and give its path to --auth"


@dataclass(frozen=True, kw_only=True)
class UiOptions:
    """Options of `mcld-anim ui`."""

    output_dir: Path = Path("outputs")  # every result lies in it, in a folder per browser session
    host: str = "127.0.0.1"  # address to listen at; 0.0.0.0: every one of this machine
    port: Annotated[int, Range(1, 65535)] = 7860
    share: bool = False  # a public address through Gradio's servers
    auth: Path | None = None  # file that holds user:password; None: $MCLD_ANIM_UI_AUTH, else nobody is asked
    max_upload: Annotated[int, Range(1, 100_000)] = 500  # largest uploaded file, in MB (10^6 bytes)
    gallery: Literal["session", "shared"] = "session"  # who sees a result: the browser that made it, or everybody
    mcp: bool = False  # serve the tools of an MCP server too

    def __post_init__(self) -> None:
        check_ranges(self)
        check_choice("--gallery", self.gallery, ("session", "shared"))
        if not self.host:
            raise UsageError("--host is empty; give an address, such as 127.0.0.1 or 0.0.0.0")

    @property
    def is_open(self) -> bool:
        """Whether other machines reach the page."""
        return self.share or self.host not in LOOPBACK

    def login(self) -> tuple[str, str] | None:
        """User and password; None if nobody is asked. No message repeats what may be a password."""
        if self.auth is None:
            text, where = os.environ.get(AUTH_VARIABLE, ""), f"${AUTH_VARIABLE}"
            if not text:
                return None
        else:
            path, where = expanded(self.auth), "the file of --auth"
            if not path.is_file():
                raise UsageError(f"--auth names no file: {WANTED}, or set ${AUTH_VARIABLE}")
            try:
                text = read_text(path)
            except (OSError, ValueError) as error:
                raise UsageError(f"--auth {self.auth} is not readable as text: {WANTED}") from error
        user, colon, password = text.strip().partition(":")
        if not user or not colon or not password or "\n" in password:
            raise UsageError(f"{where} does not hold user:password: {WANTED}, or set ${AUTH_VARIABLE}")
        return user, password
