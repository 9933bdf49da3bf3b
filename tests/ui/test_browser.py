"""The page in a real Chromium: from the sample to a downloaded result, and everything that may go wrong on the way."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SAMPLE = "Sample: a rendered person and a dance"
FRAMES = 6

Fixture = Any
"""An object that tests/ui/conftest.py describes; a test cannot import it."""


def test_the_sample_is_animated_through_a_reload(tab: Fixture, server: Fixture) -> None:
    tab.open()
    tab.press(SAMPLE)
    tab.wait("document.querySelector('#photo-look img')?.naturalWidth > 100")
    tab.set_number("max_frames", FRAMES)
    tab.press("Animate")
    tab.wait("document.querySelector('#status progress')")
    tab.open()  # a reload in the middle
    assert "person.png in the motion of dance.mp4" in tab.text("status")
    tab.wait("document.querySelector('#preview img')?.naturalWidth > 100 || document.querySelector('#result video')")
    tab.wait("document.querySelector('#result video')")
    assert "Done in" in tab.text("status")

    (folder,) = server.jobs()
    assert server.record(folder)["state"] == "done"
    tab.wait("[...document.querySelectorAll('#result video')].every(video => video.readyState >= 2)")
    assert tab.js("[...document.querySelectorAll('#result video')].map(video => video.ariaLabel)") == [
        "Driving video",
        "Result",
    ]
    assert tab.js("document.querySelectorAll('#result video')[1].duration") == pytest.approx(FRAMES / 25, abs=0.05)
    tab.wait("document.querySelector('iframe.report')?.contentDocument?.getElementById('timeline')")
    tab.wait("document.querySelector('#gallery img')?.naturalWidth > 100")


def test_results_are_downloaded_as_they_are(tab: Fixture, server: Fixture) -> None:
    (folder,) = server.jobs()
    links = tab.js("[...document.querySelectorAll('.downloads a')].map(a => a.getAttribute('href'))")
    *files, archive = links
    assert {Path(link).name for link in files} == set(server.record(folder)["files"])
    for link in files:
        assert tab.fetched(link) == (folder / Path(link).name).read_bytes()
    with zipfile.ZipFile(io.BytesIO(tab.fetched(archive))) as opened:
        assert set(opened.namelist()) == set(server.record(folder)["files"])
    with av.open(str(folder / server.record(folder)["result"])) as video:
        assert sum(1 for _ in video.decode(video=0)) == FRAMES


def test_nothing_shows_a_path_of_the_server(tab: Fixture, server: Fixture, server_path: re.Pattern[str]) -> None:
    (folder,) = server.jobs()
    for name in server.record(folder)["files"]:
        if name.endswith((".json", ".csv", ".html")):
            text = (folder / name).read_text()
            assert str(server.folder) not in text
            assert str(Path.home()) not in text
    assert str(server.folder) not in tab.browser.page_source
    assert not server_path.findall(tab.js("document.body.innerText"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(tab: Fixture, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        tab.open()
        tab.wait("document.querySelector('iframe.report')?.contentDocument?.getElementById('timeline')")
        assert tab.js("document.body.classList.contains('dark')") == (scheme == "dark")
        tab.element("//button[normalize-space(span)='More']").click()
        time.sleep(0.5)
        tab.js("[...document.querySelectorAll('#more .label-wrap')].slice(1).forEach(panel => panel.click())")
        time.sleep(0.5)
        assert tab.js("document.querySelector('#option-crf').checkVisibility()")
        assert tab.serious() == []
    finally:
        tab.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_every_control_is_named_and_reached_by_the_keyboard(tab: Fixture) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    tab.open()
    body, reached = tab.browser.find_element(By.TAG_NAME, "body"), set[str]()
    body.click()
    for _ in range(60):
        tab.browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(str(tab.js("document.activeElement.innerText || document.activeElement.value || ''")).strip())
    assert {SAMPLE, "Animate", "balanced", "Again with changes", "Play both from the start"} <= reached
    nodes = tab.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    for role in ("button", "radio", "spinbutton", "video"):
        names = [
            node.get("name", {}).get("value")
            for node in nodes
            if not node.get("ignored") and node["role"]["value"] == role
        ]
        assert all(names), role


def test_it_fits_a_phone(tab: Fixture, tmp_path: Path) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    tab.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        tab.open()
        tab.wait("document.querySelector('#result video')")
        assert tab.js("document.documentElement.scrollWidth") <= 360
        shot = base64.b64decode(tab.browser.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
        (tmp_path / "phone.png").write_bytes(shot)
        assert np.asarray(Image.open(tmp_path / "phone.png")).std() > 10  # not an empty page
    finally:
        tab.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_another_browser_sees_nothing_of_it(tab: Fixture, server: Fixture) -> None:
    tab.open()
    link = tab.js("document.querySelector('.downloads a').getAttribute('href')")
    assert tab.fetched(link)
    kept = tab.browser.get_cookie("mcld_anim_session")
    try:
        tab.forget()
        tab.open()
        assert tab.js("document.querySelectorAll('#gallery [data-job]').length") == 0
        with pytest.raises(AssertionError, match="404"):
            tab.fetched(link)
    finally:
        tab.browser.add_cookie(kept)


def test_a_text_file_is_no_photo(tab: Fixture, server: Fixture, media: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("no picture")
    tab.open()
    before = server.jobs()
    tab.upload("photos", text)
    tab.wait("document.querySelector('#photo-look [role=alert]')")
    refused = "The photo notes.jpg is not a picture that can be read: give a PNG, JPEG or WebP file"
    assert tab.text("photo-look").strip() == refused
    tab.upload("driving", media / "dance.mp4")
    tab.wait("document.querySelector('#driving video')")
    tab.press("Animate")
    tab.wait("document.querySelector('#problem [role=alert]')")
    assert "notes.jpg is not a picture that can be read" in tab.text("problem")
    assert server.jobs() == before


def test_cancel_leaves_nothing_and_the_same_runs_again(tab: Fixture, server: Fixture, media: Path) -> None:
    tab.open()
    before = server.jobs()
    tab.press(SAMPLE)
    tab.wait("document.querySelector('#photo-look img')")
    tab.press("Animate")  # all 75 frames
    tab.wait("document.querySelector('#preview img')")
    (folder,) = set(server.jobs()) - set(before)
    tab.press("Cancel")
    deadline = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.jobs() == before
    assert list(server.output.rglob(".*")) == []
    tab.wait("!document.querySelector('#preview img')")

    tab.set_number("max_frames", FRAMES)
    tab.press("Animate")
    tab.wait("document.querySelector('#status').innerText.includes('Done in')")
    assert len(server.jobs()) == len(before) + 1


def test_a_killed_server_goes_on_with_its_job(tab: Fixture, server: Fixture) -> None:
    tab.open()
    before = server.jobs()
    tab.press("Again with changes")
    tab.wait("document.querySelector('#photo-look img')")
    tab.set_number("max_frames", 4 * FRAMES)
    tab.press("Animate")
    tab.wait("/Frames\\s+[1-9]/.test(document.querySelector('#status').innerText)")  # the first batch is kept
    server.kill()
    (folder,) = set(server.jobs()) - set(before)
    server.start()
    tab.open()
    tab.wait("document.querySelector('#status').innerText.includes('Done in')")
    record = server.record(folder)
    assert record["options"]["max_frames"] == 4 * FRAMES
    assert record["state"] == "done"
    assert json.loads((folder / record["result"]).with_suffix(".run.json").read_text())["resumed_from_frame"]


def test_nothing_is_asked_of_another_server(tab: Fixture, browser: Chrome, server: Fixture) -> None:
    tab.open()
    tab.wait("document.querySelector('#gallery img')")
    names = tab.js("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(names) > 10
    assert all(name.startswith((server.address, "data:", "blob:")) for name in names), names


def test_an_interrupt_ends_it(server: Fixture) -> None:
    assert server.kill(signal.SIGINT) == 130
    assert "Traceback" not in server.log.read_text()
