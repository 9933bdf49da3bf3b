"""A user without a home folder, as containers have: `run` works, `doctor` is green, and what needs a place says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcld_anim.core.errors import WeightsError
from mcld_anim.core.home import expanded
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions
from mcld_anim.weights.store import has_models_folder, models_folder

NOBODY = """
try:
    import pwd
    def unknown(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")
    pwd.getpwuid = unknown
except ImportError:
    pass
"""
"""As for a user id that is in no list of users; imported by every Python before it begins."""
HOMES = (
    "HOME",
    "USERPROFILE",
    "HOMEPATH",
    "HOMEDRIVE",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "MCLD_ANIM_HOME",
    "HF_HUB_OFFLINE",
)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HOMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it returns for a user that is not known


def invoke(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`mcld-anim` of an unknown user without a home folder, in a process of its own."""
    (folder / "sitecustomize.py").write_text(NOBODY)
    kept = {name: value for name, value in os.environ.items() if name not in HOMES}
    return subprocess.run(
        [sys.executable, "-m", "mcld_anim.cli.start", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **environment},
    )


def test_run_works(tmp_path: Path, media: Path) -> None:
    inputs = ("-s", media / "person.png", "-d", media / "dance.mp4", "-o", "a.mp4")
    done = invoke(tmp_path, "run", *inputs, "--framing", "fixed", "--max-frames", "2", "--steps", "1")
    assert done.returncode == 0, done.stderr
    (told,) = (line for line in done.stderr.splitlines() if "HOME" in line)
    assert "set HOME or MCLD_ANIM_HOME" in told
    assert "--densepose tiny is used instead" in told
    assert not (tmp_path / "~").exists()
    assert (tmp_path / "a.mp4").stat().st_size > 1000


def test_doctor_agrees(tmp_path: Path) -> None:
    done = invoke(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["can_run"]
    sections = [one for one in found["findings"] if one["section"] in ("system", "weights", "stages")]
    assert not [one for one in sections if one["level"] == "bad"]
    texts = {(one["section"], one["name"]): one["text"] for one in sections}
    assert "set HOME or MCLD_ANIM_HOME" in texts["system", "models folder"]
    assert texts["stages", "densepose"].startswith("tiny; ")
    assert "set HOME or MCLD_ANIM_HOME" in texts["stages", "densepose"]


@pytest.mark.parametrize(
    "arguments",
    [["models", "where"], ["models", "pull", "blazepose"], ["texture", "p.png", "-o", "t.png", "--densepose", "body"]],
)
def test_what_needs_a_place_says_so(tmp_path: Path, media: Path, arguments: list[str]) -> None:
    (tmp_path / "p.png").write_bytes((media / "person.png").read_bytes())
    done = invoke(tmp_path, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "set HOME or MCLD_ANIM_HOME" in line
    assert invoke(tmp_path, "models", "where", MCLD_ANIM_HOME="w").stdout.strip() == "w"


def test_no_folder_is_guessed(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_models_folder()
    with pytest.raises(WeightsError, match="set HOME or MCLD_ANIM_HOME"):
        models_folder()
    monkeypatch.setenv("HF_HOME", "/hub")
    assert models_folder() == Path("/hub/mcld-anim")


def test_names_that_begin_with_a_tilde_are_names() -> None:
    """Such as backups have; there is no user "1.jpg"."""
    assert expanded("~1.jpg") == Path("~1.jpg")
    given = {"source": Path("a.png"), "driving": Path("v.mp4"), "background": "~1.jpg", "audio": "~2.mp3"}
    options = resolve_options(RunOptions, given)
    assert (options.background_file, options.audio_file) == (Path("~1.jpg"), Path("~2.mp3"))
    assert expanded("~/a") == Path.home() / "a"
