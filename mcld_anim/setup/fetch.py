"""Download one file, from the hub or from an address of its own: it goes on where it broke off, and is checked.

huggingface_hub says where a hub file lies and brings its HTTP client, which keeps the user's settings: HF_ENDPOINT,
HF_HOME, HF_HUB_OFFLINE, HF_TOKEN, proxies. Its own download starts anew in every process; this one does not.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.errors import WeightsError
from mcld_anim.weights.published import HubFile, UrlFile

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and how many there will be where that is known."""

ATTEMPTS = 5
"""Connections in a row that may break before a download is given up for now."""
PAUSE = 0.5
"""Seconds before the second attempt; twice as long before each next one."""
TIMEOUT = 60.0
AS_STORED = {"Accept-Encoding": "identity"}
"""Sizes and ranges then count the file's own bytes."""
SHA256_DIGITS = 64
BUSY = (408, 429)
"""Refusals (request timeout, too many requests) that mean "later"."""


class _Changed(Exception):
    """What is here of a file does not belong to what the server has now."""


@dataclass(frozen=True)
class _Place:
    """Where a file's bytes are to be had, and what is known of them."""

    name: str
    url: str
    headers: dict[str, str]
    tag: str  # changes with the content; empty: not known. The hub's is the SHA-256 of a large file.
    size: int | None


def fetch(origin: HubFile | UrlFile, folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """The file: from the hub's cache where it is there already, else downloaded into `folder`."""
    if isinstance(origin, HubFile):
        return cached(origin) or _download(lambda: _find_on_hub(origin), folder, str(origin), progress)
    return _download(lambda: _find_at(origin), folder, str(origin), progress)


def cached(origin: HubFile) -> Path | None:
    """The file in the hub's cache (HF_HOME), where another program has fetched it before."""
    from huggingface_hub import try_to_load_from_cache

    for name in origin.files:
        found = try_to_load_from_cache(origin.repository, name, revision=origin.revision)
        if isinstance(found, str):
            return Path(found)
    return None


def _find_on_hub(origin: HubFile) -> _Place:
    """The first of the file's names that the hub knows."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    from huggingface_hub.utils import build_hf_headers

    for name in origin.files:
        url = hf_hub_url(origin.repository, name, revision=origin.revision)
        try:
            found = get_hf_file_metadata(url, timeout=TIMEOUT)
        except HfHubHTTPError as error:
            status = error.response.status_code
            if isinstance(error, RepositoryNotFoundError) or status == 401:  # gated ones are a kind of these
                raise WeightsError(
                    f"the hub does not give {origin.repository} (HTTP {status}): if it asks for a login, run "
                    "`hf auth login` or set HF_TOKEN, and accept its terms on its page"
                ) from error
            if status == 404:
                continue
            raise
        location = found.location or url
        local = _host(location) == _host(url)  # a token is for the hub only, not for where its files lie
        headers = build_hf_headers() if local else build_hf_headers(token=False)
        return _Place(name, location, headers, found.etag or "", found.size)
    raise WeightsError(
        f"{origin.repository} has none of {', '.join(origin.files)}: its files were renamed; download them and "
        "give their folder with --from DIR"
    )


def _find_at(origin: UrlFile) -> _Place:
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status

    answer = get_session().head(origin.url, headers=AS_STORED, timeout=TIMEOUT, follow_redirects=True)
    hf_raise_for_status(answer)
    length = answer.headers.get("Content-Length")
    tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    return _Place(origin.names[0], str(answer.url), {}, tag, None if length is None else int(length))


def _download(find: Callable[[], _Place], folder: Path, what: str, progress: Progress) -> Path:
    """Try until all of it is here, as long as connections bring something that was not here before."""
    folder.mkdir(parents=True, exist_ok=True)
    failures, most = 0, _bytes_in(folder)
    while True:
        try:
            place = find()
            path = folder / place.name.rsplit("/", 1)[-1]
            _continue(place, path.with_name(path.name + ".incomplete"), progress)
            return _finish(place, path, what)
        except WeightsError:
            raise
        except _Changed:
            failures += 1  # what was here is gone: once more from the beginning
        except Exception as error:  # which exceptions there are is known to the client's HTTP library only
            _raise_if_final(error, what, folder)
            failures = 1 if _bytes_in(folder) > most else failures + 1
            most = max(most, _bytes_in(folder))
            if failures >= ATTEMPTS:
                raise WeightsError(
                    f"the download of {what} broke off {ATTEMPTS} times ({_reason(error)}): check the connection and "
                    "run the same command again, it goes on where it stopped"
                ) from error
            time.sleep(PAUSE * 2 ** (failures - 1))
        if failures >= ATTEMPTS:
            raise WeightsError(f"{what} changes while it is downloaded: try later, or give your copy with --from DIR")


def _continue(place: _Place, partial: Path, progress: Progress) -> None:
    """Ask for what is missing of `partial` and append it; from the beginning where it is of another content."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status

    stamp = partial.with_name(partial.name + ".tag")
    known = stamp.read_text(encoding="utf-8") if stamp.exists() else None
    if known != place.tag or not place.tag:
        partial.unlink(missing_ok=True)
    stamp.write_text(place.tag, encoding="utf-8")
    done = partial.stat().st_size if partial.exists() else 0
    if done and done == place.size:
        return
    headers = {**place.headers, **AS_STORED}
    if done:
        headers["Range"] = f"bytes={done}-"
    with get_session().stream("GET", place.url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as answer:
        if answer.status_code == 416:  # longer than the file
            partial.unlink()
            raise _Changed
        hf_raise_for_status(answer)
        if answer.status_code != 206:
            done = 0
        with partial.open("ab" if done else "wb") as file:
            for block in answer.iter_raw():  # as it comes: what came before a break is kept
                file.write(block)
                done += len(block)
                progress(done, place.size)
            file.flush()
            os.fsync(file.fileno())


def _finish(place: _Place, path: Path, what: str) -> Path:
    """Give the whole file its name, if it is what the server said it would be."""
    partial = path.with_name(path.name + ".incomplete")
    size = partial.stat().st_size
    if place.size is not None and size < place.size:
        raise ConnectionError(f"{size} of {place.size} bytes came")
    wrong = place.size is not None and size != place.size
    digest = len(place.tag) == SHA256_DIGITS and set(place.tag) <= set("0123456789abcdef")
    if wrong or (digest and file_sha256(partial) != place.tag):
        partial.unlink()
        problem = f"{size} bytes instead of {place.size}" if wrong else "its checksum is not the one the hub states"
        raise WeightsError(f"{what} arrived damaged ({problem}) and was deleted: run the same command again")
    os.replace(partial, path)
    partial.with_name(partial.name + ".tag").unlink(missing_ok=True)
    return path


def _raise_if_final(error: Exception, what: str, folder: Path) -> None:
    """WeightsError for what another attempt does not mend: offline, a refusal, a full disk."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        raise WeightsError(
            f"{what} is not here and HF_HUB_OFFLINE is set: unset it, or give files you have with --from DIR"
        ) from error
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if 400 <= status < 500 and status not in BUSY:
        raise WeightsError(
            f"{what} is refused (HTTP {status}): check access to it, or "
            "download it yourself and give its folder with --from DIR"
        ) from error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise WeightsError(
            f"the disk of {folder} is full: make room and run the same command again, it goes on where it stopped"
        ) from error
    if isinstance(error, PermissionError):
        raise WeightsError(f"{folder} cannot be written: set MCLD_ANIM_HOME to a folder of yours") from error


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.incomplete"))


def _host(url: str) -> str:
    return url.split("/")[2]


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
