"""Pack a publisher's files into a store that training reads.

A call that was stopped, by whatever, goes on where it was when the same command is given again.
Shares of a large corpus are written by n processes or machines with `--shard 0/n` … `--shard
n-1/n`, and finished by `--merge`; or all at once on a Ray cluster with `--engine ray`.

`--cycles` adds the heart cycles of a store of heart sounds as a second table, after packing or to a
store that is complete; no sample is copied. `--export-cycles` writes them as single files.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import find_data_module, parse_shard, write_json
from pahcl.commands._index_options import add_index_options, given_options
from pahcl.commands._prepare_cycles import (
    add_cycle_options,
    cycles_of,
    require_cycle_options,
    wants_cycles,
)
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from data_modules.base import SignalDataModule
    from pahcl.store import Manifest

_REASONS = 12
_NAMES = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="which data set, for example ptbxl")
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="the publisher's folder (default: the data set's folder in $PAHCL_DATA, or in data/)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the store's folder")
    parser.add_argument("--fs", type=float, metavar="HZ", help="rate (default: the publisher's)")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes (default: as many as this machine, or the Ray cluster, has processors)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="pack on this machine (default), or on a Ray cluster (extra `cluster`): the one that "
        "RAY_ADDRESS names or that runs here, else one that is started here",
    )
    parser.add_argument(
        "--shard", metavar="i/n", help="write one of n shares alone, i from 0 to n - 1"
    )
    parser.add_argument("--merge", action="store_true", help="finish what the shares have written")
    parser.add_argument(
        "--shard-records", type=int, metavar="N", help="records in one file of the store"
    )
    parser.add_argument("--json", metavar="FILE", help="also write what was found there")
    add_cycle_options(parser)
    add_index_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the store, or a share of it, and say what became of every record."""
    from rich.console import Console

    from pahcl.store.manifest import MANIFEST

    console = Console()
    module = find_data_module(arguments.dataset)
    shard = parse_shard(arguments.shard)
    if shard is not None and arguments.merge:
        raise UsageError("Give `--shard` to write a share or `--merge` to finish, not both.")
    require_cycle_options(arguments, module)
    out = Path(arguments.out)
    complete = (out / MANIFEST).is_file()
    began = time.monotonic()
    manifest = _manifest(module, arguments, shard, complete)
    seconds = time.monotonic() - began
    if manifest is None:
        console.print(
            f"Share {arguments.shard} of {arguments.dataset} is written. When all are: `pahcl "
            f"prepare {arguments.dataset} --out {out} --merge`.",
            soft_wrap=True,
        )
        write_json(arguments.json, {"dataset": arguments.dataset, "out": str(out), "shard": shard})
        return 0
    if manifest.dataset != arguments.dataset:
        raise UsageError(f"{out} holds the data set `{manifest.dataset}`, not {arguments.dataset}.")
    facts = summarise(out, manifest)
    if complete:
        console.print(f"{out} was complete already; nothing had to be written.", soft_wrap=True)
    else:
        facts["seconds"] = round(seconds, 3)
        facts["megabytes_per_second"] = round(facts["bytes"] / 1e6 / max(seconds, 1e-9), 3)
    _show(console, manifest, facts)
    if wants_cycles(arguments):
        facts |= cycles_of(console, module, arguments)
    write_json(arguments.json, facts)
    return 0


def summarise(out: Path, manifest: Manifest) -> dict[str, Any]:
    """Collect what a complete store says of its records, as plain types.

    Raises:
        StoreError: A file of the store is missing or damaged.
    """
    from pahcl.store import SignalStore
    from pahcl.store.shards import QUALITY_COLUMNS

    store = SignalStore(out)
    lengths, columns = store.lengths, store.columns(QUALITY_COLUMNS)
    quality = {
        name.removeprefix("quality/"): {
            "records": int((columns[name] > 0).sum()),
            "leads": int(columns[name].sum()),
        }
        for name in QUALITY_COLUMNS
    }
    return {
        "dataset": manifest.dataset,
        "dataset_version": manifest.dataset_version,
        "out": str(out),
        "digest": manifest.digest,
        "spec": manifest.spec.to_dict(),
        "counts": manifest.counts,
        "rejected": [asdict(rejection) for rejection in manifest.rejected],
        "notes": manifest.notes,
        "config": manifest.config,
        "quality": quality,
        "samples_per_lead": {"fewest": int(lengths.min()), "most": int(lengths.max())},
        "bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }


def _manifest(
    module: type[SignalDataModule],
    arguments: argparse.Namespace,
    shard: tuple[int, int] | None,
    complete: bool,
) -> Manifest | None:
    """Pack, merge, or open a store that is complete; None after a share of the work."""
    from pahcl.store import merge
    from pahcl.store.manifest import read_manifest

    if arguments.merge:
        return merge(Path(arguments.out))
    asked = arguments.fs or arguments.root or given_options(arguments.dataset, arguments)
    if complete and wants_cycles(arguments) and not asked and not _root(module, arguments).is_dir():
        return read_manifest(Path(arguments.out))  # its cycles need no publisher's files
    return _prepare(module, arguments, shard)


def _root(module: type[SignalDataModule], arguments: argparse.Namespace) -> Path:
    return Path(arguments.root or Path(os.environ.get("PAHCL_DATA", "data")) / module.folder)


def _prepare(
    module: type[SignalDataModule], arguments: argparse.Namespace, shard: tuple[int, int] | None
) -> Manifest | None:
    options = given_options(arguments.dataset, arguments)
    if arguments.shard_records is not None:
        options["shard_records"] = arguments.shard_records
    if arguments.engine != "local":
        options["engine"] = arguments.engine
    return module.prepare(
        root=_root(module, arguments),
        out=arguments.out,
        fs=arguments.fs,
        workers=arguments.workers,
        shard=shard,
        progress=True,
        **options,
    )


def _show(console: Console, manifest: Manifest, facts: dict[str, Any]) -> None:
    """Print the summary as tables."""
    from rich.markup import escape
    from rich.table import Table

    counts, spec = manifest.counts, manifest.spec
    size = f"{facts['bytes'] / 1e6:,.1f} MB"
    if "seconds" in facts:
        speed = f"{facts['megabytes_per_second']:,.1f} MB/s"
        size += f" in {facts['seconds']:,.1f} s ({speed})"
    lengths = facts["samples_per_lead"]
    ragged = "" if lengths["fewest"] == lengths["most"] else f" to {lengths['most']}"
    table = Table(title=f"{manifest.dataset} {manifest.dataset_version}", show_header=False)
    table.add_row("found", f"{counts['found']:,}")
    table.add_row("kept", f"{counts['kept']:,}")
    table.add_row("rejected", f"{counts['rejected']:,}")
    table.add_row("signals", f"{len(spec.leads)} leads, {spec.fs:g} Hz, {spec.unit}")
    table.add_row("samples a lead", f"{lengths['fewest']}{ragged}")
    table.add_row("size", size)
    for name, count in manifest.notes.items():
        table.add_row(f"note: {escape(name)}", f"{count:,}")
    for flag, found in facts["quality"].items():
        if found["records"]:
            text = f"{found['records']:,} records ({found['leads']:,} leads)"
            table.add_row(f"quality: {flag}", text)
    console.print(table)
    for line in _rejections(manifest):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"The store is complete: {facts['out']}", highlight=False, soft_wrap=True)


def _rejections(manifest: Manifest) -> Iterator[str]:
    """Group the rejected records by reason, the most frequent first, with file and record."""
    groups: dict[str, list[str]] = defaultdict(list)
    for rejection in manifest.rejected:
        groups[rejection.reason].append(f"{rejection.file}: {rejection.record_id}")
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    for reason, names in ordered[:_REASONS]:
        yield f"rejected {len(names):,}: {reason}"
        yield from (f"    {name}" for name in names[:_NAMES])
        if len(names) > _NAMES:
            yield f"    and {len(names) - _NAMES:,} more"
    if len(ordered) > _REASONS:
        rest = sum(len(names) for _, names in ordered[_REASONS:])
        yield f"rejected {rest:,}: {len(ordered) - _REASONS} further reasons"
    if manifest.rejected:
        yield "Each rejected record is listed in manifest.json."
