"""Downloads from a real server: redirects, resuming, refusals, damage, and the user's settings."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from mcld_anim.core.errors import WeightsError
from mcld_anim.setup import fetch as room
from mcld_anim.setup.fetch import fetch
from mcld_anim.setup.patience import PATIENT, Patience
from mcld_anim.weights.origins import HubFile, UrlFile

CONTENT = bytes(range(256)) * 5000
ORIGIN = HubFile("someone/model", ("weights.pth", "older.pth"))
HASTY = Patience(60.0, 1, own_settings=True)


def test_a_hub_file_follows_the_redirect_and_the_token_goes_to_the_hub_only(hub, tmp_path: Path) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    seen: list[tuple[int, int | None]] = []
    path = fetch(ORIGIN, tmp_path / "new", lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "new" / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert os.listdir(tmp_path / "new") == ["weights.pth"]
    assert {token for path, token in hub.tokens if "/resolve/" in path} == {"Bearer hf_secret"}
    assert {token for path, token in hub.tokens if path.startswith("/content/")} == {""}


def test_the_second_name_is_used_if_the_first_does_not_exist(hub, tmp_path: Path) -> None:
    hub.add("someone/model", "older.pth", CONTENT)
    assert fetch(ORIGIN, tmp_path).name == "older.pth"


def test_a_file_without_any_of_its_names_lists_them(hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has none of weights\.pth, older\.pth.*--from DIR"):
        fetch(ORIGIN, tmp_path)


@pytest.mark.parametrize("by_address", [False, True])
def test_a_broken_download_resumes(hub, tmp_path: Path, by_address: bool) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    hub.files["plain/weights.pth"] = CONTENT
    origin = UrlFile(f"{hub.address}/plain/weights.pth") if by_address else ORIGIN
    hub.faults.cuts = 3
    assert fetch(origin, tmp_path).read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert hub.gets() == ["", f"bytes={half}-", f"bytes={half + quarter}-", f"bytes={half + quarter + quarter // 2}-"]
    assert hub.served == len(CONTENT)


def test_a_new_process_resumes_an_earlier_download(hub, tmp_path: Path) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    hub.faults.cuts = 1
    with pytest.raises(WeightsError, match=r"broke off 1 times.*goes on where it stopped"):
        fetch(ORIGIN, tmp_path, patience=HASTY)
    assert not (tmp_path / "weights.pth").exists()
    assert fetch(ORIGIN, tmp_path).read_bytes() == CONTENT
    assert hub.served == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_fetched_again(hub, tmp_path: Path) -> None:
    hub.files["plain/weights.pth"] = CONTENT
    origin = UrlFile(f"{hub.address}/plain/weights.pth")
    hub.faults.cuts = 1
    with pytest.raises(WeightsError):
        fetch(origin, tmp_path, patience=HASTY)
    changed = CONTENT[::-1]
    hub.files["plain/weights.pth"] = changed
    assert fetch(origin, tmp_path).read_bytes() == changed
    assert hub.gets() == ["", ""]


def test_a_server_without_ranges_restarts(hub, tmp_path: Path) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    hub.faults.cuts, hub.faults.ranges = 1, False
    assert fetch(ORIGIN, tmp_path).read_bytes() == CONTENT
    assert hub.served == len(CONTENT) // 2 + len(CONTENT)


def test_a_connection_without_progress_is_abandoned(hub, tmp_path: Path) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    hub.faults.busy = 99
    with pytest.raises(WeightsError, match=f"broke off {PATIENT.failures} times.*503"):
        fetch(ORIGIN, tmp_path)
    hub.faults.busy = PATIENT.failures - 1
    assert fetch(ORIGIN, tmp_path).read_bytes() == CONTENT


def test_a_download_with_a_wrong_checksum_is_deleted(hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    damaged = b"\1" + CONTENT[1:]
    find = room._find_on_hub

    def elsewhere(origin: HubFile, timeout: float) -> room._RemoteFile:
        remote = find(origin, timeout)
        hub.files["plain/damaged"] = damaged
        return room._RemoteFile(remote.name, f"{hub.address}/plain/damaged", {}, remote.tag, remote.size)

    monkeypatch.setattr(room, "_find_on_hub", elsewhere)
    with pytest.raises(WeightsError, match="checksum is not the one the hub states"):
        fetch(ORIGIN, tmp_path)
    assert not (tmp_path / "weights.pth").exists()
    assert not (tmp_path / "weights.pth.incomplete").exists()


def test_a_file_shorter_or_longer_than_announced_never_gets_its_name(hub, tmp_path: Path) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    hub.faults.short = 7
    with pytest.raises(WeightsError, match=r"broke off|changes while"):
        fetch(ORIGIN, tmp_path / "short")
    hub.faults.short = -7
    with pytest.raises(WeightsError, match=rf"damaged \({len(CONTENT)} bytes instead of {len(CONTENT) - 7}\)"):
        fetch(ORIGIN, tmp_path / "long")
    assert not (tmp_path / "short" / "weights.pth").exists()
    assert not (tmp_path / "long" / "weights.pth").exists()


@pytest.mark.parametrize(
    ("status", "gated", "words"),
    [
        (401, False, "does not give someone/model.*hf auth login"),
        (403, True, "does not give someone/model.*accept its terms"),
        (403, False, "someone/model/weights.pth is refused .HTTP 403"),
        (404, False, "has none of weights.pth, older.pth"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(hub, tmp_path: Path, status: int, gated: bool, words: str) -> None:
    hub.faults.refuse, hub.faults.gated = status, gated
    with pytest.raises(WeightsError, match=words):
        fetch(ORIGIN, tmp_path)
    assert len(hub.asked) <= 2


def test_an_address_that_does_not_exist_is_refused(hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"/gone\.pkl is refused \(HTTP 404\)"):
        fetch(UrlFile(f"{hub.address}/gone.pkl"), tmp_path)


def test_a_full_disk_keeps_the_partial_file_and_is_reported(
    hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room.os, "fsync", full)
    with pytest.raises(WeightsError, match=r"disk of .* is full.*goes on where it stopped"):
        fetch(ORIGIN, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "weights.pth.incomplete").stat().st_size == len(CONTENT)


def test_offline_mode_names_its_setting(hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("someone/model", "weights.pth", CONTENT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for origin in (ORIGIN, UrlFile(f"{hub.address}/plain.pkl")):
        with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
            fetch(origin, tmp_path)
    assert hub.asked == []


def test_a_configured_proxy_is_used(hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files["plain/weights.pth"] = CONTENT
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, hub.address)
    close_session()  # the client reads its proxies when it is created
    origin = UrlFile("http://weights.invalid/plain/weights.pth")
    assert fetch(origin, tmp_path).read_bytes() == CONTENT
    assert {path for _, path, _ in hub.asked} == {origin.url}


def test_a_file_in_the_hubs_cache_is_not_fetched_again(hub, tmp_path: Path) -> None:
    snapshot = Path(constants.HF_HUB_CACHE) / "models--someone--model" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "older.pth").write_bytes(CONTENT)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("c" * 40)
    assert fetch(ORIGIN, tmp_path / "new") == snapshot / "older.pth"
    assert hub.asked == []


def test_the_environment_is_kept(hub, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are read when a process starts."""
    hub.add("Lotior/mcld", "pose_guider.pth", CONTENT)
    code = (
        "import sys; from pathlib import Path; from mcld_anim.setup.fetch import fetch\n"
        "from mcld_anim.weights.origins import HubFile; from mcld_anim.weights.store import models_folder\n"
        "print(fetch(HubFile('Lotior/mcld', ('pose_guider.pth',)), models_folder() / 'x'))"
    )
    given = {k: v for k, v in os.environ.items() if k != "MCLD_ANIM_HOME"}
    given |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "big")}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=given, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "big" / "mcld-anim" / "x" / "pose_guider.pth"
    offline = subprocess.run(run, env=given | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False)
    assert "HF_HUB_OFFLINE is set" in offline.stderr
