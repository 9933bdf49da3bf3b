"""A report to open in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcld_anim.model.load import LoadedModels
from mcld_anim.options.extract import ReportOptions
from mcld_anim.run.report import Estimators, report


@pytest.fixture
def page(tmp_path: Path, media: Path, small_models: LoadedModels) -> Path:
    """The report on the sample clip as a video of the dancer, compared with another person's photo."""
    estimators = Estimators(small_models.pose_backend, small_models.face_backend)
    request = ReportOptions(
        video=media / "dance.mp4", source=media / "person.png", output=tmp_path / "clip.report.html"
    )
    return report(request, estimators, on_event=lambda _: None).output
