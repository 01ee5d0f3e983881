"""The index of CirCor: recordings of the table and of the folder, with what is known of each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from data_modules._challenge import by_reason
from data_modules._circor_files import FOLDER, annotated_seconds, list_recordings, unlisted_texts
from data_modules._circor_table import TABLE, Patients, read_patients
from data_modules._tables import counted, reject_rows
from pahcl.errors import DataError
from pahcl.store import Index, Rejection


def build_index(root: Path, advice: str) -> Index:
    """List the recordings that the table announces and those of the folder.

    Args:
        root: The publisher's folder.
        advice: What a person can do where there are none.

    Raises:
        DataError: The table cannot be used, or there is no recording beside it.
    """
    patients = read_patients(root)
    found = list_recordings(root, patients.locations, TABLE)
    own = pd.DataFrame(
        {
            "record_id": [one.record_id for one in found],
            "file": [one.file for one in found],
            "patient_id": [one.patient_id for one in found],
            "location": [one.location for one in found],
            "announced": [one.announced for one in found],
            "header": [one.header for one in found],
        }
    )
    differ = own["patient_id"].isin(patients.conflicting).to_numpy()
    reasons = {
        **by_reason(one.verdict for one in found),
        f"{TABLE} has several rows of this patient that differ": differ,
    }
    table, rejected = reject_rows(own.join(patients.table, on="patient_id"), reasons, TABLE)
    if table.empty:
        raise DataError(
            f"{root} holds no recording beside {TABLE}: no {FOLDER}/2530_AV.wav or others that "
            f"could be used. {advice}"
        )
    rejected += patients.rejected + [
        Rejection(f"{FOLDER}/{name}.txt", name, f"{TABLE} does not list this patient")
        for name in unlisted_texts(root, patients.locations)
    ]
    tsv = [(root / file).with_suffix(".tsv") for file in table["file"]]
    table["annotated"] = np.array([annotated_seconds(path) for path in tsv], np.float32)
    heard = heard_here(table["murmur"], table["murmur_locations"], table["location"])
    table["murmur_here"] = heard
    notes = counted(odd_facts(table, patients))
    table["annotated"] = table["annotated"].where(table["annotated"] >= 0)
    return Index(table.drop(columns=["announced", "header"]), rejected, notes)


def heard_here(murmur: pd.Series, sites: pd.Series, location: pd.Series) -> pd.Series:
    """Say whether a murmur is heard in a recording: 1, 0, or NaN where nobody knows.

    Args:
        murmur: Of the patient: `Present`, `Unknown` or `Absent`.
        sites: Where it is heard, as in `AV+MV`.
        location: Site of the recording.
    """
    found = []
    for said, where, here in zip(murmur, sites, location, strict=True):
        known = re.split(r"\s*\+\s*", where) if isinstance(where, str) else []
        if said == "Present" and known:
            found.append(float(here in known))
        else:
            found.append(0.0 if said == "Absent" else np.nan)
    return pd.Series(found, index=murmur.index, dtype=np.float32)


def odd_facts(table: pd.DataFrame, patients: Patients) -> dict[str, float]:
    """Count what is missing or odd in an index.

    Args:
        table: Index of the recordings that can be used.
        patients: What the publisher's table says.
    """
    there = table.drop_duplicates("patient_id")
    people = there.groupby("subject_id")
    several = people["patient_id"].nunique() > 1
    differ = (people[["murmur", "outcome"]].nunique() > 1).any(axis=1)
    missing = {
        f"patients without {name.replace('_', ' ')}": there[name].isna().sum()
        for name in ("murmur", "outcome", "age_group", "sex", "height", "weight")
    }
    return {
        **patients.notes,
        f"patients of {TABLE} without a recording that can be used": len(patients.table)
        - len(there),
        f"recordings that {TABLE} does not announce": (~table["announced"]).sum(),
        "recordings without a header": (~table["header"]).sum(),
        "recordings without states": table["annotated"].isna().sum(),
        "recordings whose states cannot be read": (table["annotated"] < 0).sum(),
        "persons with two numbers": several.sum(),
        "persons whose two examinations differ in murmur or outcome": (several & differ).sum(),
        **missing,
    }
