"""The report in a real Chromium: it loads without errors, seeks, reads aloud, prints, and fits a phone."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from mcld_anim.model.load import LoadedModels
from mcld_anim.report.frames import FrameReport, FrameRow
from mcld_anim.report.page import Page, write_page
from mcld_anim.report.thumbnails import Thumbnails

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FPS, FRAMES = 10, 11


@pytest.fixture
def opened(browser: Chrome, page: Path) -> Iterator[Chrome]:
    """The page with its video loaded; no test may log an error."""
    browser.get_log("browser")
    browser.get(page.as_uri())
    wait(browser, "document.querySelector('video').readyState >= 2")
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def wait(browser: Chrome, condition: str, seconds: float = 30) -> None:
    """Wait until a JavaScript expression is true."""
    deadline = time.monotonic() + seconds
    while not browser.execute_script(f"return Boolean({condition})"):
        assert time.monotonic() < deadline, f"{condition} never came true"
        time.sleep(0.02)


def shown_frame(browser: Chrome) -> int:
    """The player's current frame, by its own clock."""
    wait(browser, "!document.querySelector('video').seeking")
    return int(browser.execute_script("return document.querySelector('video').currentTime") * FPS)


def place_of(browser: Chrome, frame: int) -> tuple[int, int]:
    """Pixels from the timeline's middle to a frame's point."""
    width = browser.execute_script("return document.getElementById('timeline').clientWidth")
    return round(34 + frame / (FRAMES - 1) * (width - 42) - width / 2), 0


def test_a_click_on_a_point_seeks_the_player(opened: Chrome) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    timeline = opened.find_element(By.ID, "timeline")
    assert opened.execute_script("return document.querySelector('video').duration") == pytest.approx(1.1, abs=0.05)
    for frame in (7, 2, 10):
        ActionChains(opened).move_to_element_with_offset(timeline, *place_of(opened, frame)).click().perform()
        assert shown_frame(opened) == frame
        assert timeline.get_attribute("aria-valuenow") == str(frame)
        assert opened.find_element(By.ID, "readout").text.startswith(f"Frame {frame} at")


def test_the_keyboard_does_the_same(opened: Chrome) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    timeline = opened.find_element(By.ID, "timeline")
    for key, frame in (
        (Keys.ARROW_RIGHT, 1),
        (Keys.END, 10),
        (Keys.ARROW_LEFT, 9),
        (Keys.PAGE_DOWN, 0),
        (Keys.PAGE_UP, 10),
        (Keys.HOME, 0),
    ):
        timeline.send_keys(key)
        assert shown_frame(opened) == frame
    timeline.send_keys(" ")
    wait(opened, "!document.querySelector('video').paused")
    wait(opened, "Number(document.getElementById('timeline').ariaValueNow) > 1")  # the cursor follows the video
    timeline.send_keys(" ")
    wait(opened, "document.querySelector('video').paused")


def test_thumbnails_lead_to_their_frames(opened: Chrome) -> None:
    from selenium.webdriver.common.by import By

    buttons = opened.find_elements(By.CSS_SELECTOR, ".thumbnails button")
    assert len(buttons) >= 6
    for button in buttons[:3]:
        opened.execute_script("arguments[0].click()", button)
        assert shown_frame(opened) == int(str(button.get_attribute("data-frame")))
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt)"
    assert opened.execute_script(loaded)


def test_a_screen_reader_finds_everything_named(opened: Chrome) -> None:
    nodes = opened.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named: dict[str, list[Any]] = {}
    for node in nodes:
        if not node.get("ignored"):
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert "Frame of the video" in named["slider"]
    assert {"Metrics", "Timeline", "Events", "Settings and versions"} <= set(named["heading"])
    assert all(named["button"])
    assert all(name for role in ("image", "img", "region") for name in named.get(role, ()))
    text = opened.execute_script("return document.getElementById('timeline').getAttribute('aria-valuetext')")
    assert "face similarity" in text


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    shares = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_the_legend_names_the_scale_of_the_face_backend(opened: Chrome, small_models: LoadedModels) -> None:
    from selenium.webdriver.common.by import By

    assert small_models.face_backend is not None
    assert small_models.face_backend.scale in opened.find_element(By.ID, "legend").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(opened: Chrome, scheme: str) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    style = "getComputedStyle(document.querySelector('%s')).%s"
    paper = luminance(opened.execute_script("return " + style % ("body", "backgroundColor")))
    assert (paper < 0.1) == (scheme == "dark")
    for place in ("body", ".quiet", "figcaption", ".metrics dt", "#readout"):
        ink = luminance(opened.execute_script("return " + style % (place, "color")))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, place  # WCAG 2.2, level AA
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_it_fits_a_phone(opened: Chrome, tmp_path: Path) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        wait(opened, "document.documentElement.clientWidth <= 360")
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 360
        wait(opened, "document.querySelector('#timeline svg').viewBox.baseVal.width <= 360")
        shot = base64.b64decode(opened.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
        (tmp_path / "phone.png").write_bytes(shot)
        assert np.asarray(Image.open(tmp_path / "phone.png")).std() > 10  # not an empty page
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_prints_with_everything_open(opened: Chrome) -> None:
    counted = "return document.querySelectorAll('details[open]').length"
    opened.execute_script(
        "addEventListener('beforeprint', () => { window.open_ = document.querySelectorAll('details[open]').length; })"
    )
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
    assert opened.execute_script("return window.open_") >= 3
    assert opened.execute_script(counted) == 0  # closed again


def test_it_needs_no_network(opened: Chrome, page: Path) -> None:
    text = page.read_text("utf-8")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    loaded = opened.execute_script("return performance.getEntriesByType('resource').map(e => e.name.slice(0, 5))")
    assert set(loaded) <= {"data:"}


def test_a_long_video_stays_quick_and_loses_no_peak(browser: Chrome, tmp_path: Path) -> None:
    """20,000 frames, one of them bad."""
    rows = [FrameRow(i, i / 25, True, True, -0.5 if i == 12_345 else 0.9, 2.0, 1e-3) for i in range(20_000)]
    with FrameReport(tmp_path / "r.json", tmp_path / "r.csv") as report:
        for row in rows:
            report.add(row)
        summary = report.finish({"face_threshold": 0.5, "events": []})
    thumbnails = Thumbnails(len(rows), np.full((40, 30, 3), 90, np.uint8), None)
    page = Page("long", "nothing", None, "long.mp4", Fraction(25), thumbnails, summary, {})
    write_page(tmp_path / "r.report.html", tmp_path / "r.csv", page)
    began = time.monotonic()
    browser.get((tmp_path / "r.report.html").as_uri())
    path = browser.execute_script("return document.querySelector('path.face').getAttribute('d')")
    assert time.monotonic() - began < 10
    assert len(path) < 60_000
    heights = [float(point.split()[1]) for point in path.replace("M", "L").split("L")[1:]]
    assert max(heights) - min(heights) > 50  # the peak goes most of the way across the lane
