"""A real browser, and a report to open in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcld_anim.model.load import LoadedModels
from mcld_anim.options.extract import ReportOptions
from mcld_anim.run.report import Estimators, report

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

REQUIRED = "MCLD_ANIM_REQUIRE_BROWSER"
"""Set by .ci/run, where a missing browser is a failure; elsewhere these tests are skipped with a reason."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Headless Chromium, driven through its DevTools."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        message = "Chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
        if os.environ.get(REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1000,1400",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(60)
    yield opened
    opened.quit()


@pytest.fixture
def page(tmp_path: Path, media: Path, small_models: LoadedModels) -> Path:
    """The report on the sample clip as a video of the dancer, compared with another person's photo."""
    estimators = Estimators(small_models.pose_backend, small_models.face_backend)
    request = ReportOptions(
        video=media / "dance.mp4", source=media / "person.png", output=tmp_path / "clip.report.html"
    )
    return report(request, estimators, on_event=lambda _: None).output
