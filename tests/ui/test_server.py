"""The server: its login, its tools, and what it says without Gradio."""

from __future__ import annotations

import asyncio
import base64
import http.client
import mimetypes
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

Fixture = Any
"""An object that tests/ui/conftest.py describes; a test cannot import it."""

WITHOUT = """
import sys
sys.modules["gradio"] = None  # importing it fails as if it were not installed
sys.argv = ["mcld-anim", *{arguments}]
from mcld_anim.cli.start import main
main()
"""


def without_gradio(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.format(arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


def test_without_gradio_it_says_what_to_install(tmp_path: Path) -> None:
    refused = without_gradio("ui", "--output-dir", str(tmp_path / "results"))
    assert refused.returncode == 1
    assert refused.stderr.strip() == "mcld-anim: the page needs Gradio: run pip install '.[ui]'"
    assert list(tmp_path.iterdir()) == []
    assert without_gradio("--help").returncode == 0
    assert "--max-upload" in without_gradio("ui", "--help").stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "0"), "--port 0 is out of range"),
        (("--gallery", "everybody"), "expected one of session, shared"),
        (("--auth", "nobody:secret"), "--auth names no file"),
        (("--output-dir", "/proc/results"), "choose a folder you may write to"),
    ],
)
def test_wrong_options_are_refused(flags: tuple[str, str], words: str) -> None:
    command = [sys.executable, "-m", "mcld_anim.cli.start", "ui", *flags]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert refused.returncode in (2, 3)
    assert words in refused.stderr
    assert "secret" not in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Fixture]) -> Fixture:
    """A server with a login from the environment and with tools."""
    return start_server("--mcp", MCLD_ANIM_UI_AUTH="me:secret word")


def test_a_login_guards_pages_and_files(guarded: Fixture) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{guarded.address}/results/some-job/video.mp4")
    assert refused.value.code == 401
    with urllib.request.urlopen(guarded.address) as page:
        assert "Animate one photo" not in page.read().decode()
    arguments = Path(f"/proc/{guarded.process.pid}/cmdline")
    assert not arguments.exists() or b"secret" not in arguments.read_bytes()
    assert "secret" not in guarded.log.read_text()
    cookie = logged_in(guarded)
    asked = urllib.request.Request(guarded.address, headers={"Cookie": cookie})
    with urllib.request.urlopen(asked) as page:
        assert "Animate one photo" in page.read().decode()
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(urllib.request.Request(f"{guarded.address}/results/a/b", headers={"Cookie": cookie}))
    assert missing.value.code == 404


def logged_in(server: Fixture) -> str:
    """The cookies of somebody who has logged in."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    form = urllib.parse.urlencode({"username": "me", "password": "secret word"})
    connection.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return "; ".join(value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie")


@pytest.fixture(scope="module")
def tools(start_server: Callable[..., Fixture]) -> Fixture:
    """A server with tools that the whole network may use."""
    return start_server("--mcp", "--host", "0.0.0.0")


def as_data(path: Path) -> str:
    """A file in the arguments of a tool; Gradio fetches no address of this machine."""
    kind = mimetypes.guess_type(path.name)[0]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


async def called(server: Fixture, name: str, given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The tools of a server by name, and the answer of one of them."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with (
        streamablehttp_client(f"{server.address}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        listed = {tool.name: tool for tool in (await session.list_tools()).tools}
        return listed, await session.call_tool(name, given)


def test_the_tools_do_what_the_commands_do(tools: Fixture, media: Path) -> None:
    photo, clip = as_data(media / "person.png"), as_data(media / "dance.mp4")
    given = {"photo": photo, "driving": clip, "preset": "fast", "max_frames": 2}
    listed, answer = asyncio.run(called(tools, "animate", given))
    assert set(listed) == {"animate", "transfer", "report"}
    assert "motion of a driving video" in str(listed["animate"].description)
    assert {"photo", "driving", "preset", "max_frames"} <= set(listed["animate"].inputSchema["properties"])
    assert not answer.isError, answer
    (folder,) = tools.jobs()
    made = folder / tools.record(folder)["result"]
    with av.open(str(made)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 2
    assert made.name in str(answer.content)

    _, answer = asyncio.run(called(tools, "report", {"video": as_data(made), "photo": photo}))
    assert not answer.isError, answer
    assert "face_similarity_mean" in str(answer.content)


def test_a_tool_refuses_in_a_sentence(tools: Fixture, media: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    before = tools.jobs()
    given = {"photo": as_data(text), "pose": as_data(media / "person.png")}
    _, answer = asyncio.run(called(tools, "transfer", given))
    assert answer.isError
    assert "is not a picture that can be read" in str(answer.content)
    assert tools.jobs() == before


def test_everybody_is_warned_of_an_open_page(tools: Fixture) -> None:
    assert "--auth FILE or $MCLD_ANIM_UI_AUTH asks for a password" in tools.log.read_text()
