"""Fetch a data set from its publisher, checked against the publisher's checksums.

A call that was stopped, by whatever, goes on where it was when the same command is given again; one
that was finished reads every file again and says that all is right. What the data sets are and
which terms they have: `pahcl describe`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pahcl.commands._common import find_data_module, write_json
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from data_modules.base import SignalDataModule
    from pahcl.download import Client, Fetcher, Outcome, Selection, Source
    from pahcl.download.listing import Listing, RemoteFile
    from pahcl.download.selection import Selected
    from pahcl.download.size import Amount

_WORKERS = 16
"""Most connections at once: more are no guest's any more."""

_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="which data set, for example ptbxl")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder to fetch into (default: the data set's folder in $PAHCL_DATA, or in data/)",
    )
    parser.add_argument("--list", action="store_true", help="say what would be fetched, and stop")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="fetch only the files whose path fits, for example 'records100/*' (quoted; may be "
        "given several times)",
    )
    parser.add_argument(
        "--records",
        metavar="a-b",
        help="fetch only these records, counted from 1 in the order of the publisher's list of "
        "checksums (after --only), and the files that belong to no record",
    )
    parser.add_argument(
        "--zip", action="store_true", help="fetch one archive instead of file by file (PhysioNet)"
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="fetch from this folder instead of the publisher's"
    )
    parser.add_argument(
        "--workers", type=int, default=4, metavar="N", help="connections at once (default: 4)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the facts there")


@dataclass(frozen=True)
class _Wish:
    """Hold what was asked for."""

    module: type[SignalDataModule]
    source: Source
    client: Client
    out: Path
    selection: Selection
    mirror: str | None
    whole: bool
    workers: int


def run(arguments: argparse.Namespace) -> int:
    """Fetch a data set, or a part of it: 0 if all is there and right, 1 if a file is not.

    Raises:
        UsageError: The question does not fit the data set.
        DownloadError: The publisher cannot be reached, or does not give what it lists.
    """
    from rich.console import Console

    from pahcl.download import require_place, workplace

    wish = _read(arguments)
    require_place(wish.out)
    console = Console()
    _introduce(console, wish)
    facts = {"dataset": wish.module.name, "out": str(wish.out), "mirror": wish.mirror}
    if arguments.list:
        with tempfile.TemporaryDirectory() as work:
            facts |= _list(console, wish, Path(work))
    else:
        with workplace(wish.out) as work:
            facts |= _fetch(console, wish, work)
    write_json(arguments.json, facts)
    return 1 if facts.get("failures") else 0


def make_client() -> Client:
    """Make what speaks to the servers."""
    from pahcl.download import Client

    return Client()


def _read(arguments: argparse.Namespace) -> _Wish:
    """Read the arguments; refuse what cannot be before anything is asked of a server."""
    from pahcl.download import Selection, parse_records

    module = find_data_module(arguments.dataset)
    if module.source is None:
        raise UsageError(f"{module.title} is published nowhere: its records are your own.")
    selection = Selection(tuple(arguments.only), parse_records(arguments.records))
    if not 1 <= arguments.workers <= _WORKERS:
        raise UsageError(
            f"`--workers {arguments.workers}`: give 1 to {_WORKERS}; publishers shut out guests "
            "with more connections."
        )
    if arguments.zip:
        module.source.archive()
        if not selection.is_all or arguments.mirror:
            raise UsageError(
                "`--zip` fetches the publisher's whole archive: leave --only, --records and "
                "--mirror out, or leave --zip out."
            )
    default = Path(os.environ.get("PAHCL_DATA", "data")) / module.folder
    return _Wish(
        module=module,
        source=module.source,
        client=make_client(),
        out=Path(arguments.out or default).resolve(),
        selection=selection,
        mirror=_read_mirror(arguments.mirror),
        whole=arguments.zip,
        workers=arguments.workers,
    )


def _read_mirror(text: str | None) -> str | None:
    """Give the address of a folder, with `/` at its end."""
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise UsageError(
            f"`--mirror {text}` is no address of a folder; it begins with https:// or http://. Of "
            "files on this machine tell `pahcl prepare` with --root."
        )
    return text if text.endswith("/") else f"{text}/"


def _introduce(console: Console, wish: _Wish) -> None:
    """Say whose data these are."""
    module, source = wish.module, wish.source
    lines = [
        f"{module.title}: {module.homepage}",
        f"Licence: {module.licence}; {source.terms}. Cite: {module.citation}",
        *([f"Note: {source.note}"] if source.note else []),
    ]
    for line in lines:
        _say(console, line)


def _list(console: Console, wish: _Wish, work: Path) -> dict[str, Any]:
    """Say what would be fetched."""
    from pahcl.download import select
    from pahcl.download.size import measure, suffix_of

    listing = wish.source.listing(wish.client, work, wish.mirror)
    files = select(listing, wish.selection)
    wanted = [wish.source.archive()] if wish.whole else files
    amount = measure(wish.client, lambda: wanted, wish.workers)
    kinds = Counter(map(suffix_of, files))
    for file in islice(wanted, _SHOWN):
        size = "" if file.size is None else f", {_units(file.size)}"
        _say(console, f"{file.path}{size}")
    if amount.files > _SHOWN:
        more = "`--json FILE` holds them all"
        _say(console, f"… and {amount.files - _SHOWN:,} more; {more}")
    by_kind = ", ".join(f"{count:,} {kind or 'without a suffix'}" for kind, count in kinds.items())
    _say(console, f"{amount.files:,} file(s), {_in_words(amount)} ({by_kind}), into {wish.out}.")
    _say(console, f"From {listing.origin}, checked against {listing.checked_by}.")
    return {
        "origin": listing.origin,
        "checked_by": listing.checked_by,
        "files": [_facts(file) for file in wanted],
        "bytes": amount.size,
        "bytes_exact": amount.exact,
    }


def _fetch(console: Console, wish: _Wish, work: Path) -> dict[str, Any]:
    """Fetch what is missing and say what became of it."""
    from pahcl.download import Fetcher, select

    with _bar(console) as bar:
        fetcher = Fetcher(wish.client, wish.out, work, bar.arrived)
        listing = wish.source.listing(wish.client, work, wish.mirror)
        about = {"dataset": wish.module.name, "version": wish.source.edition}
        fetcher.require_same_version(listing, about)
        files = select(listing, wish.selection)
        _require_room(wish, fetcher, files, bar)
        about |= {name: getattr(wish.module, name) for name in ("title", "licence", "citation")}
        about |= {"origin": listing.origin, "checked_by": listing.checked_by}
        if wish.whole:  # the folder appears with all that is in it, so nothing is written before
            outcome = fetcher.bring_whole(wish.source.archive(), listing)
            fetcher.receipt.say(about)
        else:
            fetcher.receipt.say(about)
            outcome = fetcher.bring_all(files, wish.workers)
        fetcher.keep_list(listing)
    _report(console, wish, listing, outcome)
    return {
        "origin": listing.origin,
        "checked_by": listing.checked_by,
        "counts": {**outcome.counts, "failed": len(outcome.failures)},
        "bytes": outcome.bytes,
        "failures": [asdict(failure) for failure in outcome.failures],
    }


def _require_room(wish: _Wish, fetcher: Fetcher, files: Selected, bar: _Bar) -> None:
    """Refuse at once what the disk cannot hold, as far as the sizes are known."""
    from pahcl.download.fetch import require_space
    from pahcl.download.size import measure

    def missing() -> Iterator[RemoteFile]:
        return (file for file in files if not fetcher.seems_there(file))

    def archive() -> Iterator[RemoteFile]:
        return iter([wish.source.archive()] if next(missing(), None) else [])

    amount = measure(wish.client, archive if wish.whole else missing, wish.workers)
    if amount.size:
        bar.expect(amount.size)
        require_space(wish.out, amount.size, f"{wish.module.title} ({_in_words(amount)} to fetch)")


def _report(console: Console, wish: _Wish, listing: Listing, outcome: Outcome) -> None:
    """Say what became of the files, and what comes next."""
    counts = outcome.counts
    _say(
        console,
        f"{wish.module.name}: {counts['fetched']:,} file(s) fetched ({_units(outcome.bytes)}), "
        f"{counts['replaced']:,} that were not the publisher's replaced, {counts['there']:,} were "
        f"there, {len(outcome.failures):,} failed; checked against {listing.checked_by}.",
    )
    for failure in outcome.failures[:_SHOWN]:
        _say(console, f"failed: {failure.reason}")
    if len(outcome.failures) > _SHOWN:
        _say(console, f"{len(outcome.failures) - _SHOWN:,} more; `--json FILE` holds them all")
    if not outcome.failures:
        name = wish.module.name
        _say(console, f"Next: pahcl prepare {name} --root {wish.out} --out stores/{name}")


class _Bar:
    """Show how much has come."""

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = TextColumn("download"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        self.progress = Progress(
            *columns,
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.line = self.progress.add_task("download", total=None)

    def expect(self, size: int) -> None:
        """Say how many bytes will come."""
        self.progress.update(self.line, total=size)

    def arrived(self, size: int) -> None:
        """Count bytes that have come."""
        self.progress.advance(self.line, size)


@contextmanager
def _bar(console: Console) -> Iterator[_Bar]:
    bar = _Bar(console)
    with bar.progress:
        yield bar


def _facts(file: RemoteFile) -> dict[str, Any]:
    digest = None if file.digest is None else str(file.digest)
    return {"path": file.path, "url": file.url, "size": file.size, "checksum": digest}


def _in_words(amount: Amount) -> str:
    if amount.size is None:
        return "of a size that the server does not say"
    return f"{'' if amount.exact else 'about '}{_units(amount.size)}"


def _units(size: int) -> str:
    from pahcl.download.fetch import in_units

    return in_units(size)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
