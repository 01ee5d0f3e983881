"""Where a data set comes from: PhysioNet, Zenodo, or a site of its own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from pahcl.download.client import Client
from pahcl.download.fetch import Partial, fetch, put_in_place
from pahcl.download.listing import (
    SUMS,
    FixedListing,
    Listing,
    RemoteFile,
    SumsListing,
    is_zip,
    zenodo_files,
)
from pahcl.errors import DownloadError, UsageError


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Say where a data set comes from and how it is checked.

    Args:
        note: What a person must know before fetching it.
    """

    note: str = ""
    terms: ClassVar[str]
    """Who gets it, in words."""

    @property
    @abstractmethod
    def edition(self) -> str:
        """Which edition of the data set it is, for `download.json`."""

    @abstractmethod
    def listing(self, client: Client, work: Path, mirror: str | None) -> Listing:
        """Fetch the publisher's list.

        Args:
            client: Speaks to the server.
            work: Folder for files of our own.
            mirror: Address of a folder with the same files; None is the publisher's own.

        Raises:
            DownloadError: The list cannot be fetched or read.
        """

    def archive(self) -> RemoteFile:
        """Give the one archive that holds all of it.

        Raises:
            UsageError: There is none, or none that is to be used.
        """
        raise UsageError(
            "`--zip`: the publisher gives this data set in parts of its own; leave --zip out."
        )


@dataclass(frozen=True, kw_only=True)
class PhysioNet(Source):
    """Fetch a version of a project of PhysioNet, checked against its SHA256SUMS.txt.

    Args:
        note: What a person must know before fetching it.
        slug: The project's name in addresses.
        version: The version's name in addresses.
        below: Take this folder of it alone, without its name.
        leave_out: Patterns of files that are there in another form as well.
        zipped: Whether the archive of the whole is offered here.
    """

    slug: str
    version: str
    below: str = ""
    leave_out: tuple[str, ...] = ()
    zipped: bool = True
    terms: ClassVar[str] = "open: no account and no form"

    @property
    def edition(self) -> str:
        """The project and its version."""
        return f"{self.slug} {self.version}"

    @property
    def origin(self) -> str:
        """Address of the folder with the files."""
        return f"https://physionet.org/files/{self.slug}/{self.version}/"

    def listing(self, client: Client, work: Path, mirror: str | None) -> Listing:
        """Fetch SHA256SUMS.txt; of the mirror, where one is named."""
        origin = mirror or self.origin
        whose = "the mirror's own" if mirror else "the publisher's"
        sums = fetch_list(client, RemoteFile(SUMS, origin + SUMS), work)
        checked_by = f"{whose} {SUMS} ({origin})"
        return SumsListing(sums, origin, checked_by, self.below, self.leave_out)

    def archive(self) -> RemoteFile:
        """Give the archive that PhysioNet makes of a project."""
        if not self.zipped or self.below:
            why = (
                f"it holds all of {self.slug}, of which this data set is a part"
                if self.below
                else "it holds too many files to be unpacked within a plain machine's memory"
            )
            raise UsageError(f"`--zip`: the archive is not taken, for {why}; leave --zip out.")
        url = f"https://physionet.org/content/{self.slug}/get-zip/{self.version}/"
        return RemoteFile(f"{self.slug}-{self.version}.zip", url, unpack="", checked_inside=True)


@dataclass(frozen=True, kw_only=True)
class Zenodo(Source):
    """Fetch the files of a record of Zenodo, checked against the md5 of its record API.

    Args:
        note: What a person must know before fetching it.
        record: Number of the record.
        unpack: Unpack zip archives, and keep their members in their place.
    """

    record: int
    unpack: bool = True
    terms: ClassVar[str] = "open: no account and no form"

    @property
    def edition(self) -> str:
        """The record, of which each version has a number of its own."""
        return f"zenodo {self.record}"

    def listing(self, client: Client, work: Path, mirror: str | None) -> Listing:
        """Ask the record API; of a mirror, read `record.json`, a copy of that answer."""
        url = f"{mirror}record.json" if mirror else f"https://zenodo.org/api/records/{self.record}"
        path = fetch_list(client, RemoteFile("record.json", url), work)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DownloadError(
                f"{url} does not answer with a record in JSON ({error}). Look at it in a browser."
            ) from error
        if not isinstance(record, dict) or str(record.get("id")) != str(self.record):
            raise DownloadError(f"{url} does not answer with the record {self.record}.")
        files = tuple(zenodo_files(record, mirror, self.unpack, url))
        origin = mirror or f"https://zenodo.org/records/{self.record}/files/"
        whose = "the mirror's copy of" if mirror else "the md5 of"
        return FixedListing(files, origin, f"{whose} Zenodo's record {self.record} ({url})")


@dataclass(frozen=True, kw_only=True)
class Site(Source):
    """Fetch files of a site that gives no checksums; what came is recorded instead.

    Args:
        note: What a person must know before fetching it.
        origin: Address of the folder with the files.
        files: Their paths below it, each with the folder into which it goes.
    """

    origin: str
    files: tuple[tuple[str, str], ...]
    terms: ClassVar[str] = "open: no account and no form"

    @property
    def edition(self) -> str:
        """The site, which states no version."""
        return self.origin

    def listing(self, client: Client, work: Path, mirror: str | None) -> Listing:
        """List what is known to be there; nothing is asked."""
        origin = mirror or self.origin
        return FixedListing(
            tuple(self._files(origin)),
            origin,
            "nothing, for the publisher gives no checksums: download.json records what came",
        )

    def _files(self, origin: str) -> Iterator[RemoteFile]:
        for name, folder in self.files:
            url = origin + quote(name)
            if is_zip(name):
                yield RemoteFile(name, url, unpack=folder)
            else:
                yield RemoteFile(f"{folder}/{name}" if folder else name, url)


def fetch_list(client: Client, file: RemoteFile, work: Path) -> Path:
    """Fetch a list anew; it decides what is right, so no other site may give it."""
    partial = Partial(work, file)
    partial.discard()
    fetch(client, file, partial, lambda _: None)
    path = work / file.path
    put_in_place(partial.path, path)
    return path
