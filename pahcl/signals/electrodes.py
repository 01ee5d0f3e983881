"""Electrodes behind the leads: what one of them does reaches every lead that is made of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.leads import CHEST_LEADS, FURTHER_ECG_LEADS, canonical_lead, lead_plan

LIMB_ELECTRODES = ("RA", "LA", "LL")
"""Right arm, left arm, left leg; the fourth, on the right leg, is the amplifier's ground."""

_WILSON = dict.fromkeys(LIMB_ELECTRODES, -1 / 3)
_LIMB_LEADS = {
    "I": {"LA": 1.0, "RA": -1.0},
    "II": {"LL": 1.0, "RA": -1.0},
    "III": {"LL": 1.0, "LA": -1.0},
    "aVR": {"RA": 1.0, "LA": -0.5, "LL": -0.5},
    "aVL": {"LA": 1.0, "RA": -0.5, "LL": -0.5},
    "aVF": {"LL": 1.0, "RA": -0.5, "LA": -0.5},
}
_AGAINST_WILSON = (*CHEST_LEADS, *(name for name in FURTHER_ECG_LEADS if name[-1] not in "XYZ"))

Swap = dict[str, tuple[float, str]]
"""For each lead that changes: the sign and the name of the lead that is recorded in its place."""

SWAPS: dict[str, Swap] = {
    "LA/RA": {
        "I": (-1.0, "I"),
        "II": (1.0, "III"),
        "III": (1.0, "II"),
        "aVR": (1.0, "aVL"),
        "aVL": (1.0, "aVR"),
    },
    "LA/LL": {
        "I": (1.0, "II"),
        "II": (1.0, "I"),
        "III": (-1.0, "III"),
        "aVL": (1.0, "aVF"),
        "aVF": (1.0, "aVL"),
    },
    "RA/LL": {
        "I": (-1.0, "III"),
        "II": (-1.0, "II"),
        "III": (-1.0, "I"),
        "aVR": (1.0, "aVF"),
        "aVF": (1.0, "aVR"),
    },
    "V1/V2": {"V1": (1.0, "V2"), "V2": (1.0, "V1")},
    "V1/V3": {"V1": (1.0, "V3"), "V3": (1.0, "V1")},
    "V1-V6": {
        name: (1.0, other) for name, other in zip(CHEST_LEADS, CHEST_LEADS[::-1], strict=True)
    },
}
"""What each exchange of two cables does to the leads, from Einthoven's and Goldberger's equations;
`V1-V6` is the chest in reverse order. Wilson's terminal, the mean of the three limb electrodes, is
the same whichever cable goes where, so exchanged limbs leave the chest leads alone."""


def electrode_matrix(leads: Sequence[str]) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Say how each lead is made of electrode potentials.

    A lead that is not measured against Wilson's terminal (Frank's X, Y, Z) or is unknown counts as
    an electrode of its own.

    Args:
        leads: Names of the leads.

    Returns:
        The electrodes that the leads need, limbs first, and the weights `[C, E]`.
    """
    rows = [_electrodes_of(name) for name in leads]
    used = {electrode for row in rows for electrode in row}
    limbs = [name for name in LIMB_ELECTRODES if name in used]
    others = [e for e in dict.fromkeys(e for row in rows for e in row) if e not in LIMB_ELECTRODES]
    names = (*limbs, *others)
    matrix = np.array([[row.get(name, 0.0) for name in names] for row in rows], np.float32)
    return names, matrix.reshape(len(rows), len(names))


def _electrodes_of(lead: str) -> dict[str, float]:
    try:
        name = canonical_lead(lead)
    except SpecError:
        return {lead: 1.0}
    if name in _LIMB_LEADS:
        return _LIMB_LEADS[name]
    return {name: 1.0, **(_WILSON if name in _AGAINST_WILSON else {})}


def swap_matrix(leads: Sequence[str], swap: str) -> npt.NDArray[np.float32]:
    """Say how each lead of a recording with exchanged cables is made of the right ones.

    Args:
        leads: Names of the leads.
        swap: One of `SWAPS`.

    Returns:
        Weights `[C, C]`.

    Raises:
        SpecError: There is no such exchange, or it moves a lead to a place where it cannot be had
            from the others, or it changes none of them.
    """
    if swap not in SWAPS:
        raise SpecError(f"There is no exchange of cables {swap!r}; use one of {', '.join(SWAPS)}.")
    matrix = np.eye(len(leads), dtype=np.float32)
    names = [canonical_lead(name) for name in leads]
    moved = [(row, *SWAPS[swap][name]) for row, name in enumerate(names) if name in SWAPS[swap]]
    if not moved:
        raise SpecError(f"The exchange {swap} changes none of the leads {', '.join(leads)}.")
    for row, sign, source in moved:
        matrix[row] = 0.0
        for column, weight in lead_plan(names, [source])[0]:
            matrix[row, column] = sign * weight
    return matrix
