"""Zip archives, unpacked as from a stranger: every name is looked at before a byte is written."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pahcl.download.fetch import require_space
from pahcl.download.listing import safe_path
from pahcl.errors import ArchiveError, DownloadError

RATIO = 200
"""Times its own size that an archive may hold. Signals are packed to a third at best, zeros of a
whole file to a thousandth: more than this is no data set."""

_LITTER = ("__MACOSX/", ".DS_Store", "/.DS_Store")


@dataclass(frozen=True)
class Member:
    """Say where a member of an archive goes.

    Args:
        path: Its path below the folder into which it is unpacked.
        info: The archive's entry.
    """

    path: str
    info: zipfile.ZipInfo


@dataclass(frozen=True)
class Unpacked:
    """Say what was written.

    Args:
        path: Its path below the folder into which it was unpacked.
        size: Bytes.
        sha256: Hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


def members_of(archive: zipfile.ZipFile, name: str, size: int, unwrap: bool) -> list[Member]:
    """List the files of an archive, in its order.

    Args:
        archive: The open archive.
        name: Its name, for errors.
        size: Its bytes.
        unwrap: Leave out of the paths a folder that holds everything, as whole data sets have it.

    Raises:
        ArchiveError: A name leads out of the folder or comes twice, a member is a link, a device or
            encrypted, or there is more in it than an archive of this size may hold.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.is_dir() or info.filename.startswith(_LITTER) or info.filename.endswith(_LITTER):
            continue
        path = _path_of(info, name)
        if path in found:
            raise ArchiveError(f"{name} holds {path} twice; it was not unpacked.")
        found[path] = info
    if not found:
        raise ArchiveError(f"{name} holds no files; it was not unpacked.")
    _require_plausible(found, name, size)
    top = next(iter(found)).partition("/")[0] + "/"
    cut = len(top) if unwrap and all(path.startswith(top) for path in found) else 0
    return [Member(path[cut:], info) for path, info in found.items()]


def _path_of(info: zipfile.ZipInfo, name: str) -> str:
    """Give a member's path; refuse what is no plain file below the folder."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a link" if kind == stat.S_IFLNK else "no plain file"
        raise ArchiveError(f"{name}: {info.filename[:120]!r} is {what}; nothing was unpacked.")
    if info.flag_bits & 0x1:
        raise ArchiveError(
            f"{name}: {info.filename[:120]!r} is encrypted; nothing was unpacked. Unpack it by "
            "hand with the publisher's password."
        )
    try:
        return safe_path(info.orig_filename, name)
    except DownloadError as error:
        raise ArchiveError(str(error)) from error


def _require_plausible(found: Mapping[str, zipfile.ZipInfo], name: str, size: int) -> None:
    """Refuse files that are folders of others, and bombs."""
    for path in found:
        parts = path.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if any(folder in found for folder in above):
            raise ArchiveError(f"{name}: {path} lies in a file; nothing was unpacked.")
    packed = sum(info.compress_size for info in found.values())
    whole = sum(info.file_size for info in found.values())
    if packed > size or whole > RATIO * max(size, 1):
        raise ArchiveError(
            f"{name} has {size} bytes and claims to hold {whole} (packed: {packed}), which no data "
            "set does; nothing was unpacked. Look at it by hand, or fetch it from elsewhere."
        )


def unpack(
    path: Path,
    name: str,
    folder: Path,
    going: Callable[[], None] = lambda: None,
    keep: Callable[[str], bool] = lambda _: True,
    *,
    unwrap: bool = False,
) -> list[Unpacked]:
    """Unpack an archive into a new folder.

    Args:
        path: The archive.
        name: What to call it in errors.
        folder: Where its files go; it must be empty or not there.
        going: Is called now and then, and may raise to leave.
        keep: Says by its path whether a file is wanted.
        unwrap: Leave out of the paths a folder that holds everything.

    Returns:
        The files in the archive's order.

    Raises:
        ArchiveError: It is damaged or not to be trusted; remove the folder then.
        DownloadError: The disk is too small.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = members_of(archive, name, path.stat().st_size, unwrap)
            members = [member for member in found if keep(member.path)]
            require_space(folder, sum(member.info.file_size for member in members), name)
            return [_write(archive, member, folder, going) for member in members]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OverflowError) as error:
        raise ArchiveError(
            f"{name} is damaged or of an unknown kind ({error}); nothing of it was put in place. "
            "Run the same command again to fetch it anew."
        ) from error


def _write(
    archive: zipfile.ZipFile, member: Member, folder: Path, going: Callable[[], None]
) -> Unpacked:
    """Write one member, never more than it declares; zipfile checks length and CRC at its end."""
    target = folder / member.path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with archive.open(member.info) as source, target.open("xb") as sink:
        while piece := source.read(1 << 20):
            size += len(piece)
            digest.update(piece)
            sink.write(piece)
            going()
        sink.flush()
        os.fsync(sink.fileno())
    if size != member.info.file_size:
        raise zipfile.BadZipFile(f"{member.path} has {size} bytes, not {member.info.file_size}")
    return Unpacked(member.path, size, digest.hexdigest())


def settle(staged: Path, target: Path) -> None:
    """Let an unpacked folder appear: by one rename where nothing is there, else entry by entry.

    Raises:
        DownloadError: A file is where a folder belongs, or the other way round.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        return
    if not target.is_dir():
        raise DownloadError(
            f"{target} is a file where a folder of the data set belongs. Move it away, then run "
            "the same command again."
        )
    for entry in sorted(staged.iterdir()):
        place = target / entry.name
        if entry.is_dir():
            settle(entry, place)
        elif place.is_dir():
            raise DownloadError(
                f"{place} is a folder where a file of the data set belongs. Move it away, then run "
                "the same command again."
            )
        else:
            entry.replace(place)
