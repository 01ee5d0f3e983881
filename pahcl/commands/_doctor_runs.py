"""What `pahcl doctor` proves of runs: that nobody who was learnt from is tested."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from pahcl.commands._doctor_places import OWN
from pahcl.errors import PahclError, StoreError
from pahcl.evaluation.run import RunFolder, lookup
from pahcl.evaluation.settings import PRETRAINED
from pahcl.store import Finding, SignalStore
from pahcl.store.manifest import read_manifest

LEARNT_FROM = ("train", "val")
_NAMED = 5


@dataclass(frozen=True)
class RunSplits:
    """Hold who was in which split of a run.

    Args:
        run: The run folder.
        dataset: Name of the data set.
        digest: Digest of the store.
        store: Name of the store's folder, where the receipt says it.
        table: `record_id`, `subject_id`, `split`, and `digest` of the samples where it is there.
    """

    run: RunFolder
    dataset: str
    digest: str
    store: str
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """Name the run by experiment and name."""
        return f"{self.run.experiment}/{self.run.name}"

    def starts_from(self, other: RunSplits) -> bool:
        """Say whether the config names a checkpoint of another run as the start."""
        start = lookup(self.run.load_config(), PRETRAINED)
        folder = Path(str(start)).parent.parent  # <run>/checkpoints/best.ckpt
        same = (folder.parent.name, folder.name) == (other.run.experiment, other.run.name)
        return isinstance(start, str) and same

    def members(self, splits: Iterable[str], column: str) -> set[str]:
        """List the values of a column in some of the splits."""
        return set(self.table.loc[self.table["split"].isin(list(splits)), column])

    @cached_property
    def corpus(self) -> str:
        """Name what its subjects are known in: the data set; of one's own files, their folder."""
        if self.dataset != OWN:
            return self.dataset
        config = self.run.load_config()
        said = (lookup(config, f"data.init_args.{key}") for key in ("root", "store"))
        return next((f"{OWN} {Path(str(place)).resolve()}" for place in said if place), OWN)

    @cached_property
    def contents(self) -> pd.DataFrame | None:
        """Give checksums by record: of the samples, and of the publisher's bytes from the store.

        None where neither the splits nor a store know them.
        """
        table = self.table.set_index("record_id")
        store = _find_store(self)
        if store is None:
            return table[["digest"]] if "digest" in table else None
        found = store.columns(["record_id", "digest", "source_sha256"])
        found = found.assign(record_id=found["record_id"].astype(str)).set_index("record_id")
        found = found[found.index.isin(table.index)]
        if "digest" in table:  # of the very store that was used, which may not be this one
            found["digest"] = table["digest"].reindex(found.index)
        return found


def open_run(run: RunFolder) -> RunSplits | Finding:
    """Read the splits of a run; a run that says nothing of them is a finding."""
    where = str(run.path)
    file = run.splits
    if not file.is_file():
        text = f"it has no {file.name}, so nothing can be proven of it: run it anew"
        return Finding("splits unknown", where, text, "warning")
    try:
        table = pd.read_parquet(file)
        table = table.astype({"record_id": str, "subject_id": str, "split": object})
        data = run.load_receipt().get("data") if run.receipt.is_file() else None
    except (PahclError, OSError, ValueError, KeyError) as error:
        return Finding("cannot be read", where, f"{file.name} or the receipt: {error}")
    said = data if isinstance(data, dict) else {}
    dataset = str(said.get("dataset") or _dataset_of(run))
    digests = str(said.get("store") or ""), str(said.get("store_name") or "")
    return RunSplits(run, dataset, *digests, table[table["split"].notna()])


def _dataset_of(run: RunFolder) -> str:
    """Name the data set of a run without a receipt by the module of the class in its config."""
    named = str(lookup(run.load_config(), "data.class_path") or "")
    return named.rpartition(".")[0].rpartition(".")[2] or named


def within(run: RunSplits) -> Iterator[Finding]:
    """Find subjects of a run that are in several of its splits, and equal samples that are."""
    pairs = run.table[["subject_id", "split"]].drop_duplicates()
    several = pairs[pairs["subject_id"].duplicated(keep=False)]
    for subject, group in several.groupby("subject_id", sort=True):
        text = f"its records are in several splits of {run.name}: {_shown(group['split'])}"
        yield Finding("subject in several splits", str(subject), text)
    contents = run.contents
    if contents is None:
        return
    split = run.table.drop_duplicates("record_id").set_index("record_id")["split"]
    placed = contents.join(split, how="inner").reset_index()
    groups = placed[["digest", "split"]].drop_duplicates()
    torn = groups["digest"][groups["digest"].duplicated()].unique()
    for digest in torn:
        group = placed[placed["digest"] == digest]
        where = ", ".join(group["record_id"].head(_NAMED))
        text = f"equal samples in several splits of {run.name}: {_shown(group['split'])}"
        yield Finding("content in several splits", where, text)


def between(runs: list[RunSplits]) -> Iterator[Finding]:
    """Hold what each run was trained and validated on against what each other one tests.

    It is an error where the weights go from the one to the other: the config of the other names a
    checkpoint of the one, or, where neither names the other, the one is given first. The other way
    round it does no harm, and is a hint.
    """
    for one, other in itertools.permutations(runs, 2):
        given_first = runs.index(one) < runs.index(other)
        known = other.starts_from(one) or one.starts_from(other)
        carried = other.starts_from(one) if known else given_first
        found = [*_shared_contents(one, other)]
        if one.corpus == other.corpus:
            found = [*_shared_subjects(one, other), *found]
        for finding in found:
            yield finding if carried else replace(finding, severity="hint")


def _shared_subjects(one: RunSplits, other: RunSplits) -> Iterator[Finding]:
    tested = other.members(["test"], "subject_id")
    for split in LEARNT_FROM:
        shared = sorted(one.members([split], "subject_id") & tested)
        if shared:
            text = (
                f"{len(shared)} of {len(tested)} test subjects of {other.name} are {split} "
                f"subjects of {one.name} ({one.dataset}): {_shown(shared)}. Set "
                f"data.init_args.exclude_test_of in {one.name} if its weights go there"
            )
            yield Finding("test subjects learnt from", f"{one.name}, {other.name}", text)


def _shared_contents(one: RunSplits, other: RunSplits) -> Iterator[Finding]:
    where = f"{one.name}, {other.name}"
    if one.dataset == other.dataset and one.digest == other.digest:
        return  # one store: its own duplicates show within each run
    mine, theirs = one.contents, other.contents
    if mine is None or theirs is None:
        lost = one if mine is None else other
        text = f"the samples of {lost.name} are not known, so equal ones were not looked for"
        yield Finding("contents unknown", where, text, "hint")
        return
    learnt = mine[mine.index.isin(list(one.members(LEARNT_FROM, "record_id")))]
    tested = theirs[theirs.index.isin(list(other.members(["test"], "record_id")))]
    shared: set[str] = set()
    for column in ("digest", "source_sha256"):
        if column not in learnt or column not in tested:
            continue
        known = set(learnt[column].dropna())
        shared |= set(tested.index[tested[column].isin(list(known))])
    if shared:
        text = (
            f"{len(shared)} test records of {other.name} ({other.dataset}) have the samples of "
            f"train or val records of {one.name} ({one.dataset}): {_shown(sorted(shared))}"
        )
        yield Finding("test content learnt from", where, text)


def _find_store(run: RunSplits) -> SignalStore | None:
    """Find the store of a run: the one of its digest, or another one of its data set's records."""
    stated = lookup(run.run.load_config(), "data.init_args.store")
    shelf = Path(os.environ.get("PAHCL_STORES", "stores"))
    start = Path(str(stated)) if isinstance(stated, str) else shelf / run.dataset
    named = [folder / run.store for folder in (start.parent, shelf) if run.store]
    places = [*named, start, *sorted(start.parent.glob(f"{start.name}*"))]
    fitting: SignalStore | None = None
    for place in places:
        try:
            manifest = read_manifest(place)
            if manifest.dataset != run.dataset:
                continue
            store = SignalStore(place)
        except (StoreError, OSError):
            continue
        if manifest.digest == run.digest:
            return store
        fitting = fitting or store
    return fitting


def _shown(values: Iterable[object]) -> str:
    names = sorted({str(value) for value in values})
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
