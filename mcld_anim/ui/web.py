"""What the server adds to Gradio's: a cookie per browser, and the files of its own results."""

from __future__ import annotations

import secrets
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from mcld_anim.ui.job import Job
from mcld_anim.ui.queue import JobQueue, owner_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

COOKIE, YEAR = "mcld_anim_session", 31_536_000
RESULTS = "results"
"""First part of the addresses of files: results/JOB/NAME."""
ALL_FILES = "all.zip"
SPOOLED = 50_000_000
"""Bytes of an archive that are held in memory."""

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def additions(jobs: JobQueue) -> dict[str, Any]:
    """What the server's application is made with, beside what Gradio adds."""
    from starlette.middleware import Middleware
    from starlette.routing import Route

    files = Route(f"/{RESULTS}/{{job}}/{{name}}", ResultFiles(jobs).answer)
    return {"routes": [files], "middleware": [Middleware(SessionCookie)]}


def token_in(cookies: str) -> str | None:
    """The session's token in a Cookie header."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and len(found.value) >= 32 else None


def address(job: Job, name: str) -> str:
    """The address of one of a job's files, relative to the page's."""
    return f"{RESULTS}/{job.id}/{quote(name)}"


class SessionCookie:
    """ASGI middleware: a browser without a token gets one, which counts from its first request on."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cookies = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
        if token_in(cookies) is not None:
            await self._app(scope, receive, send)
            return
        token = secrets.token_urlsafe(32)
        given = f"{COOKIE}={token}"
        others = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        joined = f"{cookies}; {given}" if cookies else given
        scope = {**scope, "headers": [*others, (b"cookie", joined.encode("latin-1"))]}
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{given}; Max-Age={YEAR}; Path=/; HttpOnly; SameSite=Lax{secure}"

        async def send_with_cookie(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie.encode())]}
            await send(message)

        await self._app(scope, receive, send_with_cookie)


class ResultFiles:
    """Serves results/JOB/NAME to the sessions that see the job."""

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs = jobs

    def answer(self, request: Request) -> Response:
        """The file, or 404 for everybody whom it does not concern."""
        from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse

        if not _may_enter(request):
            return PlainTextResponse("log in first", 401)
        job = self._jobs.find(owner_of(token_in(request.headers.get("cookie", "")) or ""), request.path_params["job"])
        name = request.path_params["name"]
        path = None if job is None else job.file(name)
        if job is not None and path is not None:
            headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}
            return FileResponse(path, headers=headers)
        if job is not None and name == ALL_FILES and job.files:
            headers = {"Content-Disposition": f'attachment; filename="{job.id}.zip"'}
            return StreamingResponse(_archive(job), headers=headers, media_type="application/zip")
        return PlainTextResponse("no such file", 404)


def _may_enter(request: Request) -> bool:
    """Whether the page's login, if it has one, has been passed; Gradio's own answer cannot be asked for here."""
    app = request.app
    if getattr(app, "auth", None) is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(app.tokens.get(request.cookies.get(name)) is not None for name in names)


def _archive(job: Job) -> IO[bytes]:
    """Every result of a job; videos are compressed already."""
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOLED)  # noqa: SIM115 - closed when it has been sent
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_STORED) as archive:
        for name in job.files:
            archive.write(job.folder / name, name)
    spool.seek(0)
    return spool
