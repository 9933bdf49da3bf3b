"""A local server that speaks the hub's protocol, with faults on request."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from mcld_anim.setup import fetch


@dataclass
class Faults:
    """The server's faults and how often each occurs."""

    cuts: int = 0  # connections that break halfway through the content
    busy: int = 0  # responses with status 503
    refuse: int = 0  # the error status of every response; 0: none
    gated: bool = False  # with `refuse`: the error code of a gated repository
    short: int = 0  # bytes by which the announced size exceeds the content
    ranges: bool = True  # whether range requests are supported


@dataclass
class Hub:
    """The published files by path, and the requests received."""

    address: str = ""
    store: str = ""  # the address of the content, on another host than the hub
    files: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range
    tokens: list[tuple[str, str]] = field(default_factory=list)  # path, Authorization
    served: int = 0  # bytes of content

    def add(self, repository: str, name: str, content: bytes) -> str:
        """Publish a file and return its SHA-256."""
        self.files[f"{repository}/resolve/main/{name}"] = content
        return hashlib.sha256(content).hexdigest()

    def gets(self) -> list[str]:
        """The ranges of all GET requests."""
        return [asked for method, _, asked in self.asked if method == "GET"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The server, set as the hub's endpoint, with an empty cache and an empty models folder."""
    state = Hub()

    class Handler(_Handler):
        hub = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    state.store = f"http://localhost:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", state.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", state.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "FIRST_DELAY", 0.0)
    close_session()
    yield state
    close_session()
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """`/REPOSITORY/resolve/REVISION/NAME` redirects to `/content/SHA256` on another host, as the real hub does."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(with_content=False)

    def do_GET(self) -> None:
        self.answer(with_content=True)

    def answer(self, with_content: bool) -> None:
        hub, faults = self.hub, self.hub.faults
        hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        hub.tokens.append((self.path, self.headers.get("Authorization", "")))
        if faults.busy:
            faults.busy -= 1
            return self.head(503, {"Content-Length": "0"})
        if faults.refuse:
            code = {"X-Error-Code": "GatedRepo"} if faults.gated else {}
            return self.head(faults.refuse, {"Content-Length": "0", **code})
        by_sum = {hashlib.sha256(content).hexdigest(): content for content in hub.files.values()}
        name = urlsplit(self.path).path.lstrip("/")  # a proxy receives the whole URL
        if name.startswith("content/"):
            return self.content(by_sum[name.removeprefix("content/")], with_content)
        if name not in hub.files:
            return self.head(404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound", "X-Repo-Commit": "c" * 40})
        content = hub.files[name]
        digest = hashlib.sha256(content).hexdigest()
        if not name.count("/resolve/"):
            return self.content(content, with_content)
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content) + faults.short)}
        location = {"Location": f"{hub.store}/content/{digest}", "X-Repo-Commit": "c" * 40, "Content-Length": "0"}
        return self.head(302, {**linked, **location, "ETag": '"pointer"'})

    def content(self, content: bytes, with_content: bool) -> None:
        faults, start = self.hub.faults, 0
        asked = self.headers.get("Range", "")
        if asked and faults.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.head(416, {"Content-Length": "0"})
        body = content[start:]
        tag = hashlib.sha256(content).hexdigest()[:16]
        self.head(206 if start else 200, {"Content-Length": str(len(body)), "ETag": f'"{tag}"'})
        if not with_content:
            return None
        cut = faults.cuts > 0 and len(body) > 1
        faults.cuts -= cut
        sent = body[: len(body) // 2] if cut else body
        self.hub.served += len(sent)
        self.wfile.write(sent)
        self.wfile.flush()
        if cut:
            self.close_connection = True
            self.connection.close()
        return None

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
