"""The records that a page shows, read from the run's store and laid out on paper."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from pahcl.errors import PahclError
from pahcl.reports.examples import Example, choose_examples
from pahcl.reports.runs import Run, as_dict
from pahcl.reports.strips import Strip, lay_out
from pahcl.signals.units import is_voltage
from pahcl.store import SignalStore

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Sheet:
    """Hold one record on paper.

    Args:
        example: Which record, and why.
        strip: The drawing.
    """

    example: Example
    strip: Strip


@dataclass(frozen=True)
class Gallery:
    """Hold the records of a page, or the reason why there are none.

    Args:
        groups: Sheets by class.
        choice: How the records were chosen.
        note: What to know about the signals, or why there are none.
    """

    groups: dict[str, list[Sheet]]
    note: str
    choice: str = ""


def gallery(run: Run) -> Gallery:
    """Draw the records of a run that are worth looking at."""
    task = run.task
    if task is None or run.predictions is None or not len(run.predictions):
        return Gallery({}, "There are no predictions yet, so no record can be chosen.")
    try:
        store, note = find_store(run)
        if store is None:
            return Gallery({}, note)
        if store.spec.modality != "ecg" or not is_voltage(store.spec.unit):
            return Gallery({}, "These recordings are no ECGs; only ECGs are drawn on paper.")
        examples = choose_examples(task, run.predictions, run.thresholds())
        rows = {str(name): row for row, name in enumerate(store.table["record_id"])}
        sheets = [
            Sheet(example, lay_out(store.read(rows[example.record_id])))
            for example in examples
            if example.record_id in rows
        ]
    except (PahclError, OSError) as error:
        return Gallery({}, f"The signals could not be read: {error}")
    if examples and not sheets:
        return Gallery({}, f"The store {store.path} holds none of the records that were scored.")
    groups = {
        name: list(found) for name, found in itertools.groupby(sheets, lambda s: s.example.group)
    }
    if task.kind == "regression":
        choice = "The closest estimates, and the largest errors in either direction."
    else:
        choice = (
            "Per class: the surest right and wrong decisions, and the one nearest to the "
            "threshold. Each record is shown once."
        )
    return Gallery(groups, note, choice)


def find_store(run: Run) -> tuple[SignalStore | None, str]:
    """Find the store whose signals the run saw.

    The receipt holds the store's digest and name, the config the place of the one that it was
    derived from. The store with that digest is taken, else the first that is there.

    Returns:
        The store and a note on its signals; or None and the reason why there is none.
    """
    places = _places(run)
    if not places:
        return None, "The config names no store (data.init_args.store), so no signal can be drawn."
    digest = as_dict(run.receipt.get("data")).get("store")
    complete = [place for place in places if (place / MANIFEST).is_file()]
    for place in complete:
        store = SignalStore(place)
        if store.manifest.digest == digest:
            return store, f"Signals as the network got them, before normalisation: {_says(store)}."
    if not complete:
        return None, (
            f"The store {places[0]} is not there any more. Run `pahcl prepare` again, then "
            "`pahcl report`, to see the recordings."
        )
    store = SignalStore(complete[0])
    return store, f"Signals of the store {store.path.name}: {_says(store)}. {_doubt(digest)}"


def _doubt(digest: object) -> str:
    if digest is None:
        return "The receipt names no store, so it may have changed since the run."
    return "It is not the very store of the receipt: made again, or filtered or resampled since."


def _says(store: SignalStore) -> str:
    spec = store.spec
    parts = [f"{spec.fs:g} Hz"]
    cuts = spec.filter
    parts += [f"high-pass {cuts.highpass:g} Hz"] if cuts.highpass else []
    parts += [f"low-pass {cuts.lowpass:g} Hz"] if cuts.lowpass else []
    parts += [f"notch {cuts.notch:g} Hz"] if cuts.notch else []
    parts += ["unfiltered"] if cuts.is_identity else []
    return ", ".join(parts)


def _places(run: Run) -> list[Path]:
    """List where the run's store, or the one it was derived from, lies; stores there come first."""
    named = run.setting("data.init_args.store")
    receipt = as_dict(run.receipt.get("data"))
    if not named and receipt.get("dataset"):
        # The default of data modules.
        named = Path(os.environ.get("PAHCL_STORES", "stores")) / str(receipt["dataset"])
    if not named:
        return []
    source = Path(str(named))
    # A derived store lies beside its source; the receipt holds its name, and no path.
    wanted = [source.with_name(str(receipt.get("store_name") or source.name)), source]
    # Paths are relative to the folder in which the run was started, most often one above it.
    bases = [Path(), *run.folder.path.resolve().parents]
    there = [base / path for path in wanted for base in bases if (base / path / MANIFEST).is_file()]
    return [*dict.fromkeys(there)] or wanted
