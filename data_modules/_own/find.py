"""From a folder to an index: what its files and its table say, with what a person says besides."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from data_modules._challenge import people
from data_modules._own import hdf5
from data_modules._own.kinds import HDF5, SOUNDS, read_file, suffix_of
from data_modules._own.labels import Labels, find_labels, unlabelled
from data_modules._own.listing import list_files
from data_modules._own.options import Options, plain, said
from data_modules._own.raw import Facts, Raw, recording_of
from data_modules._own.rows import CLASS, CYCLE, NO_ROW, Rows, rows_of_folder, rows_of_table
from data_modules._own.table import digest_of, find_table, simple
from data_modules._tables import counted
from pahcl.errors import DataError, RecordError, SpecError, UsageError
from pahcl.signals import canonical_lead
from pahcl.signals.leads import lead_modality
from pahcl.signals.recording import Recording
from pahcl.signals.sound import FULL_SCALE
from pahcl.signals.spec import Modality
from pahcl.signals.units import is_voltage
from pahcl.store import Index
from pahcl.store.shards import OWN_COLUMNS, READER_ERRORS
from pahcl.task import Task

USUAL_SECONDS: dict[Modality, float] = {"ecg": 10.0, "pcg": 5.0}
STATS = "processing_stats.json"
"""What PA-HCL writes beside its cycles; it knows their rate."""
Z_SCORE = "z-score"
"""Unit of samples that were divided by their own spread."""

_LOOKED_AT, _TRIED = 8, 64
_RESERVED = frozenset({"record_id", "subject_id", "file", "row", "age", "sex", "split"})


@dataclass(frozen=True)
class Own:
    """Hold what a folder is.

    Args:
        index: Its records.
        modality: What is recorded.
        leads: Leads of every record.
        unit: Unit that every record is brought to.
        rate: Rate in Hz of most records.
        seconds: Duration of a window.
        tasks: What is asked.
        config: All of it as plain types, with the options by their names, for the store.
        said: Sentences about what was not asked but found.
    """

    index: Index
    modality: Modality
    leads: tuple[str, ...]
    unit: str
    rate: float
    seconds: float
    tasks: dict[str, Task]
    config: dict[str, Any]
    said: tuple[str, ...]


def find_out(root: Path, options: Options) -> Own:
    """Find out what a folder holds; every file is in the index or rejected.

    Raises:
        DataError: It holds no recording that can be read, or a table of no use.
        UsageError: Something has to be said that neither files nor table say.
    """
    files = list_files(root)
    if not files.records:
        lost = "".join(f" {one.file}: {one.reason}." for one in files.rejected[:3])
        raise DataError(
            f"{root} holds no recording: no .wav, .flac, .npy, .h5, .hdf5, .edf, .bdf or WFDB "
            "header (.hea). data.init_args.root (`--root`) must name the folder that holds them."
            f"{lost}"
        )
    name = find_table(root, options)
    if name is None:
        found = rows_of_folder(root, files, options)
    else:
        found = rows_of_table(root, name, files, options)
    if found.frame.empty:
        shown = "; ".join(dict.fromkeys(f"{one.file}: {one.reason}" for one in found.rejected[:3]))
        raise DataError(f"No record of {root} can be used ({shown}).")
    signals = _find_signals(root, found, options)
    labels = _labels(found, options)
    table = _index_table(found, labels, signals)
    notes = {**files.notes, **found.notes, **labels.notes}
    config: dict[str, Any] = {
        **dict.fromkeys(field.name for field in fields(Options)),  # None: was not asked for
        **plain(found.columns),
        **signals.config,
        "rate": signals.rate,
        "seconds": signals.seconds,
        "tasks": {key: task.to_dict() for key, task in labels.tasks.items()},
    }
    if found.labels and found.labels != [CLASS]:
        config["labels"] = found.labels
    if len(labels.tasks) == 1:
        config["kind"] = next(iter(labels.tasks.values())).kind
    if name is not None:
        config |= {"table": name, "table_sha256": digest_of(root, name)}
    # What was said stays as it was said, so that saying it again finds this store.
    config |= {key: value for key, value in options.given().items() if key != "table"}
    sentences = (*found.said, *signals.said, *labels.said)
    config["found"] = list(sentences)
    rejected = [*files.rejected, *found.rejected]
    return Own(
        Index(table, rejected, counted(notes)),
        signals.modality,
        signals.leads,
        signals.unit,
        signals.rate,
        signals.seconds,
        labels.tasks,
        config,
        sentences,
    )


def _labels(found: Rows, options: Options) -> Labels:
    if not found.labels:
        return unlabelled(found.frame.index)
    return find_labels(found.frame, found.labels, options.kind, options.classes)


@dataclass(frozen=True)
class _Signals:
    """Hold what all recordings are, and the facts that go to the reader."""

    modality: Modality
    leads: tuple[str, ...]
    unit: str
    rate: float
    seconds: float
    facts: Facts
    key: str | None
    config: dict[str, Any]
    said: tuple[str, ...]


def _find_signals(root: Path, found: Rows, options: Options) -> _Signals:
    """Look at a few records, spread over the folder, and say what they have in common."""
    cycles = _are_cycles(root, found)
    # PA-HCL writes z-scores of whole recordings.
    told = Facts(fs=_of_cycles(root, cycles, options), unit=Z_SCORE if cycles else FULL_SCALE)
    raws = list(_look(root, found.frame, options.key))
    sentences = [f"looked at {len(raws)} of {len(found.frame)} records"]
    modality = options.modality or _modality(root, found, raws, options, cycles)
    facts = _facts(modality, found, raws, options, told)
    leads, text = _leads(modality, raws, options)
    rates = Counter(raw.fs or facts.fs for raw in raws)
    rate = rates.most_common(1)[0][0]
    if rate is None:
        raise UsageError(
            f"{found.frame['file'].iloc[0]} and others do not say their sampling rate: give it in "
            f"Hz with {said('recorded_fs')}."
        )
    units = Counter(raw.unit or facts.unit for raw in raws)
    unit = cast("str", units.most_common(1)[0][0])
    unit = "mV" if is_voltage(unit) else unit
    longest = max(max(raw.values.shape) / (raw.fs or rate) for raw in raws)
    seconds = round(min(USUAL_SECONDS[modality], longest), 3)
    sentences += [
        f"signals: {modality}, {text}, {rate:g} Hz"
        + (" for most of them" if len(rates) > 1 else "")
        + f", {unit}, windows of {seconds:g} s"
    ]
    if facts.unit is not None and options.unit is None:
        sentences.append(
            f"unit: the files do not say it; taken as {facts.unit} (another: {said('unit')})"
        )
    config: dict[str, Any] = {"modality": modality}
    config |= {} if facts.fs is None else {"recorded_fs": facts.fs}
    return _Signals(
        modality, leads, unit, float(rate), seconds, facts, options.key, config, tuple(sentences)
    )


def _of_cycles(root: Path, cycles: bool, options: Options) -> float | None:
    """Read the rate of PA-HCL's cycles where its statistics lie beside them."""
    if options.recorded_fs is not None or not cycles:
        return None
    try:
        stats = json.loads((root / STATS).read_text(encoding="utf-8"))["global_stats"]
        rate = float(stats["sample_rate"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rate if 0 < rate < float("inf") else None


def _are_cycles(root: Path, found: Rows) -> bool:
    """Say whether the records are cycles as PA-HCL writes them, of either form."""
    files = found.frame["file"].drop_duplicates()
    looked = files.iloc[np.linspace(0, len(files) - 1, min(_TRIED, len(files))).astype(int)]
    return all(
        CYCLE.search(file) or (suffix_of(file) in HDF5 and hdf5.cycles(root / file) is not None)
        for file in looked
    )


def _look(root: Path, frame: pd.DataFrame, key: str | None) -> Iterator[Raw]:
    """Read a few records, spread evenly.

    Raises:
        DataError: None of those that were tried can be read.
    """
    places = np.unique(np.linspace(0, len(frame) - 1, min(_TRIED, len(frame))).astype(int))
    order = [*places[:: max(1, len(places) // _LOOKED_AT)], *places]
    seen, errors = 0, {}
    for place in dict.fromkeys(order):
        file, row = frame["file"].iloc[place], int(frame["row"].iloc[place])
        try:
            raw = read_file(root / file, key, None if row == NO_ROW else row)
        except READER_ERRORS as error:
            errors[file] = str(error)
            continue
        yield raw
        seen += 1
        if seen == _LOOKED_AT:
            return
    if not seen:
        shown = "; ".join(f"{file}: {reason}" for file, reason in [*errors.items()][:3])
        raise DataError(f"None of {len(errors)} recordings of {root} can be read ({shown}).")


def _modality(
    root: Path, found: Rows, raws: Sequence[Raw], options: Options, cycles: bool
) -> Modality:
    """Tell heart sounds from ECGs by the kind of file and the names of the leads."""
    leads = list(options.leads().values()) or [name for raw in raws for name in raw.names or ()]
    names = {lead_modality(name) for name in leads} - {None}
    if len(names) == 1:
        return cast("Modality", names.pop())
    suffixes = {suffix_of(file) for file in found.frame["file"]}
    if suffixes <= SOUNDS or cycles:
        return "pcg"
    raise UsageError(
        f"Whether the files of {root} are ECGs or heart sounds cannot be told: say "
        f"{said('modality')} ecg or pcg."
    )


def _facts(
    modality: Modality, found: Rows, raws: Sequence[Raw], options: Options, told: Facts
) -> Facts:
    """Collect what the files do not say.

    Raises:
        UsageError: The unit is not known.
    """
    unit = options.unit
    if unit is not None and not is_voltage(unit) and unit not in (FULL_SCALE, Z_SCORE):
        raise UsageError(
            f"{said('unit')} is a voltage (mV, uV, V, 1e-4 V …), `{FULL_SCALE}` of sounds or "
            f"`{Z_SCORE}`, not {unit!r}."
        )
    if unit is None and any(raw.unit is None for raw in raws):
        if modality == "ecg":
            raise UsageError(
                f"{found.frame['file'].iloc[0]} and others do not say the unit of their samples: "
                f"give it with {said('unit')} (mV, uV, V, 1e-4 V …)."
            )
        unit = told.unit
    return Facts(modality, options.recorded_fs or told.fs, unit, options.leads() or None)


def _leads(
    modality: Modality, raws: Sequence[Raw], options: Options
) -> tuple[tuple[str, ...], str]:
    """Find the leads that all records have, by name.

    Raises:
        UsageError: Channels have no names, or none that is known.
    """
    if options.channels is not None:
        leads = tuple(options.leads().values())
        return leads, f"leads {', '.join(leads)}"
    if all(raw.names is None for raw in raws):
        widths = {1 if raw.values.ndim == 1 else min(raw.values.shape) for raw in raws}
        if modality == "pcg" and widths == {1}:
            return ("PCG",), "lead PCG"
        raise UsageError(
            f"The files do not name their channels (arrays of the shapes "
            f"{', '.join(sorted({str(raw.values.shape) for raw in raws})[:3])}): name them in "
            f"order with {said('channels')}, for example {said('channels')} I II V1."
        )
    named = [raw.names for raw in raws if raw.names is not None]
    known = [[_canonical(name) for name in names if lead_modality(name) == modality]
             for names in named]  # fmt: skip
    leads = tuple(dict.fromkeys(lead for lead in known[0] if all(lead in one for one in known)))
    if not leads:
        raise UsageError(
            f"No known lead is in all of the files; the first has {', '.join(named[0])}. Name the "
            f"wanted ones with {said('channels')} NAME=LEAD."
        )
    others = sorted({name for names in named for name in names if _canonical(name) not in leads})
    left = f" (left out: {', '.join(others[:6])})" if others else ""
    return leads, f"leads {', '.join(leads)}{left}"


def _canonical(name: str) -> str:
    try:
        return canonical_lead(name)
    except SpecError:
        return name


def _index_table(found: Rows, labels: Labels, signals: _Signals) -> pd.DataFrame:
    """Put together what the store keeps, and what the reader needs (`_…`)."""
    frame = found.frame
    facts = signals.facts
    own: dict[str, Any] = {
        "record_id": frame["record_id"],
        "subject_id": frame["subject_id"],
        "file": frame["file"],
        "_row": frame["row"],
        "_key": signals.key or "",
        "_modality": signals.modality,
        "_fs": np.nan if facts.fs is None else facts.fs,
        "_unit": facts.unit or "",
        "_leads": "\t".join(f"{name}={lead}" for name, lead in (facts.leads or {}).items()),
    }
    used = {*found.columns.values(), *found.labels}
    if "split" in found.columns:
        own["split"] = frame[found.columns["split"]]
    age, sex = (
        next((name for name in frame if simple(str(name)) in names and name not in used), None)
        for names in (("age",), ("sex", "gender"))
    )
    if age is not None or sex is not None:
        empty = [None] * len(frame)
        ages, sexes = (empty if name is None else list(frame[name]) for name in (age, sex))
        who, _ = people([{"age": a, "sex": s} for a, s in zip(ages, sexes, strict=True)])
        wanted = {"age": age, "sex": sex}
        own |= {name: who[name] for name in ("age", "sex") if wanted[name] is not None}
    for name in frame:
        if name in used | {age, sex, "record_id", "subject_id", "file", "row"}:
            continue
        text = str(name)
        free = text not in OWN_COLUMNS | _RESERVED and not text.startswith(("_", "label/"))
        own[text if free else f"table/{text}"] = _plain_column(frame[name])
    return pd.concat([pd.DataFrame(own), labels.columns], axis=1)


def _plain_column(cells: pd.Series) -> pd.Series:
    """Keep a column as numbers where it holds nothing else, or as text."""
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    return numbers if numbers.notna().eq(cells.notna()).all() else cells


def read_row(root: Path, row: Mapping[str, Any]) -> Recording:
    """Read one record, named by its row of the index.

    Raises:
        RecordError: It cannot be used.
        OSError: The machine cannot read it now.
    """
    pairs = [text.rpartition("=") for text in str(row["_leads"]).split("\t") if text]
    fs = float(row["_fs"])
    facts = Facts(
        modality=row["_modality"],
        fs=fs if np.isfinite(fs) else None,
        unit=row["_unit"] or None,
        leads={name: lead for name, _, lead in pairs},
    )
    number = int(row["_row"])
    raw = read_file(root / row["file"], row["_key"] or None, None if number == NO_ROW else number)
    recording = recording_of(raw, facts, row["record_id"], row["subject_id"])
    if not recording.signal.shape[1]:
        raise RecordError("the record holds no sample")
    return recording
