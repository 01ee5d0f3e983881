"""The publisher's folder: whether it is there, and whether what it holds was simulated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pahcl.errors import DataError, StoreError
from pahcl.simulation.corpus import MARK
from pahcl.store.manifest import read_manifest

SIMULATED = "simulated"
"""Version of a data set whose records were simulated."""


def require_root(
    root: Path, dataset: str, title: str, homepage: str, *, published: bool = True
) -> None:
    """Refuse a root that is no folder.

    Args:
        root: The folder.
        dataset: Name of the data set.
        title: Its name for people.
        homepage: Where its publisher says what it is.
        published: Whether `pahcl download` can fetch it.

    Raises:
        DataError: With how to get the data set, and how a synthetic one is made.
    """
    if root.is_dir():
        return
    what, out = f"There is no folder {root} for", str(root)
    if root.exists():
        what, out = f"{root} is a file, not the folder of", "DIR"
    fetch = f"fetch it: `pahcl download {dataset} --out {out}` (from {homepage})"
    raise DataError(
        f"{what} {title}. Set data.init_args.root (`--root`) to where it is"
        f"{f'; {fetch}' if published else ''}; or make a synthetic one: `pahcl simulate {dataset} "
        f"--out {out}`."
    )


@contextmanager
def reading(root: Path) -> Iterator[None]:
    """Turn what the system says of a folder into what a person can do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read ({error.strerror or error}). Look after the "
            "disk or the mount, and who may read it; then run the same command again."
        ) from error


def version_of(root: Path, version: str) -> str:
    """Give the version of what a folder holds: the publisher's, or that it was simulated."""
    return SIMULATED if (root / MARK).is_file() else version


def require_same_origin(store: Path, root: Path) -> None:
    """Refuse a store of simulated records beside a root of real ones, and the other way round.

    A root that is missing or empty says nothing: the store alone is enough then.

    Args:
        store: A complete store.
        root: The folder that the store would be packed from.

    Raises:
        StoreError: With what to do about it.
    """
    if not root.is_dir() or not any(root.iterdir()):
        return
    packed = read_manifest(store).dataset_version == SIMULATED
    simulated = (root / MARK).is_file()
    if packed != simulated:
        kinds = {True: "simulated records", False: "records that are not simulated"}
        raise StoreError(
            f"{store} (data.init_args.store) was packed from {kinds[packed]}, but {root} "
            f"(data.init_args.root) holds {kinds[simulated]}. Set data.init_args.store to another "
            "folder, into which that root is packed, or data.init_args.root to the folder that "
            "this store was packed from."
        )
