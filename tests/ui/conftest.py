"""A running `mcld-anim ui`, and a tab of a real browser on it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

SECONDS = 120.0
"""Longest wait for anything; a first job on a busy machine takes a good part of it."""


class Server:
    """`mcld-anim ui` in a process of its own, with BlazePose's networks and an own cache."""

    def __init__(self, folder: Path, home: Path, *flags: str, **variables: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.output = folder, folder / "results"
        self.log = folder / "log.txt"
        self._home, self._flags, self._variables = home, flags, variables
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again after `kill`, and wait until the page is served."""
        command = [sys.executable, "-m", "mcld_anim.cli.start", "ui", "--port", str(self.port)]
        command += ["--output-dir", str(self.output), *self._flags]
        environment = {**os.environ, "MCLD_ANIM_HOME": str(self._home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
        environment = {name: value for name, value in environment.items() if name != "MCLD_ANIM_CACHE_GB"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env={**environment, **self._variables}
            )
        deadline = time.monotonic() + SECONDS
        while "the page is at " not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End it by a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def jobs(self) -> list[Path]:
        """The folders of all jobs."""
        return sorted(self.output.glob("*/*"))

    def record(self, folder: Path) -> dict[str, Any]:
        return dict(json.loads((folder / "job.json").read_text()))


class Tab:
    """The page in a browser."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser, self.address = browser, address

    def open(self) -> None:
        """Open the page, or reload it."""
        self.browser.get(self.address)
        self.wait("document.querySelector('#animate') && document.querySelector('#status h2, #status .hint')")

    def forget(self) -> None:
        """Become another person's browser."""
        self.browser.get(self.address)
        self.browser.delete_all_cookies()

    def js(self, expression: str) -> Any:
        return self.browser.execute_script(f"return {expression}")

    def wait(self, condition: str, seconds: float = SECONDS) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + seconds
        while not self.js(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition} never came true: {self.text('status')}"
            time.sleep(0.05)

    def text(self, element: str) -> str:
        return str(self.js(f"document.getElementById('{element}')?.innerText ?? ''"))

    def press(self, label: str) -> None:
        """Press the button with this text."""
        xpath = f"//button[normalize-space()='{label}']"
        self.wait(f'document.evaluate("{xpath}", document, null, 9).singleNodeValue?.disabled === false')
        self.element(xpath).click()

    def element(self, xpath: str) -> WebElement:
        from selenium.webdriver.common.by import By

        return self.browser.find_element(By.XPATH, xpath)

    def upload(self, component: str, path: Path) -> None:
        """Give a file to a component, whatever kinds it offers."""
        self.element(f"//*[@id='{component}']//input[@type='file']").send_keys(str(path))

    def set_number(self, option: str, value: int) -> None:
        """Open More and the option's panel, and type a number."""
        field = f"//*[@id='option-{option}']//*[self::input or self::textarea]"
        for panel in ("More", "Input"):
            if self.js(f"!document.querySelector('#option-{option}')?.checkVisibility()"):
                self.element(f"//button[normalize-space(span)='{panel}']").click()
                time.sleep(0.3)
        self.element(field).clear()
        self.element(field).send_keys(str(value), "\t")

    def fetched(self, link: str) -> bytes:
        """What the browser gets from an address of the page."""
        content = self.browser.execute_async_script(
            "const [link, done] = arguments;"
            "fetch(link).then(async answer => done(answer.ok ? Array.from(new Uint8Array(await answer.arrayBuffer()))"
            " : answer.status))",
            link,
        )
        assert isinstance(content, list), f"{link}: {content}"
        return bytes(content)

    def serious(self) -> list[str]:
        """Findings of axe-core that hinder people."""
        from axe_core_python.selenium import Axe

        found = Axe().run(self.browser)["violations"]
        return [
            f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, blazepose_home: Path) -> Path:
    """A folder for MCLD_ANIM_HOME with BlazePose's networks and room for a cache of its own."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "blazepose").symlink_to(blazepose_home / "blazepose")
    return folder


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, which end with the module's tests."""
    started: list[Server] = []

    def start(*flags: str, **variables: str) -> Server:
        started.append(Server(tmp_path_factory.mktemp("server"), home, *flags, **variables))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.kill(signal.SIGTERM)


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def tab(browser: Chrome, server: Server) -> Tab:
    return Tab(browser, server.address)


SERVER_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.-]+/)+")
"""An absolute path."""


@pytest.fixture(scope="session")
def server_path() -> re.Pattern[str]:
    return SERVER_PATH
