"""How much there is to fetch, asked of the server by a few samples where no list says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pahcl.download.client import Client, Interruption
from pahcl.download.listing import RemoteFile
from pahcl.errors import DownloadError

SAMPLES = 8
"""Files of each suffix whose size is asked for."""


@dataclass(frozen=True)
class Amount:
    """Say how much a number of files is.

    Args:
        files: How many.
        size: Bytes; None where the server does not say.
        exact: Whether every size is known, or some were taken from samples.
    """

    files: int
    size: int | None
    exact: bool


@dataclass
class _Kind:
    """Files of one suffix without a listed size."""

    count: int = 0
    samples: list[RemoteFile] = field(default_factory=list)


def measure(client: Client, files: Callable[[], Iterable[RemoteFile]], workers: int) -> Amount:
    """Add up sizes; where none are listed, ask for those of evenly spaced samples of each suffix.

    Args:
        client: Speaks to the server.
        files: Gives the files, each time anew.
        workers: Connections at once.
    """
    counts: Counter[str] = Counter()
    listed = number = 0
    for file in files():
        number += 1
        if file.size is None:
            counts[suffix_of(file)] += 1
        else:
            listed += file.size
    if not counts:
        return Amount(number, listed, exact=True)
    kinds: dict[str, _Kind] = {suffix: _Kind() for suffix in counts}
    for file in files():
        if file.size is not None:
            continue
        suffix = suffix_of(file)
        kind = kinds[suffix]
        # Headers and signals alternate in lists: each suffix is spaced by itself.
        if kind.count % -(-counts[suffix] // SAMPLES) == 0:
            kind.samples.append(file)
        kind.count += 1
    asked = [file for kind in kinds.values() for file in kind.samples]
    with ThreadPoolExecutor(workers) as pool:
        sizes = dict(zip(asked, pool.map(lambda file: _ask(client, file), asked), strict=True))
    total = float(listed)
    for kind in kinds.values():
        known = [size for file in kind.samples if (size := sizes[file]) is not None]
        if not known:
            return Amount(number, None, exact=False)
        total += kind.count * sum(known) / len(known)
    exact = len(asked) == sum(counts.values()) and None not in sizes.values()
    return Amount(number, round(total), exact)


def suffix_of(file: RemoteFile) -> str:
    """Give what stands behind the last dot of a file's name, with it; "" where there is none."""
    name = file.path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix if stem else ""


def _ask(client: Client, file: RemoteFile) -> int | None:
    """Give a file's size; None where the server does not say, which is no reason to stop."""
    try:
        with client.open(file.url, method="HEAD", same_site=not file.is_checked) as response:
            text = response.headers.get("Content-Length", "")
    except (Interruption, DownloadError):
        return None
    return int(text) if text.isascii() and text.isdigit() else None
