"""Leads by name: one spelling for each, and the limb leads that follow from two others."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.spec import Modality

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
CHEST_LEADS = ("V1", "V2", "V3", "V4", "V5", "V6")
STANDARD_12 = LIMB_LEADS + CHEST_LEADS
"""The twelve leads in the order of most publishers; MIMIC-IV-ECG writes aVF before aVL."""

FURTHER_ECG_LEADS = ("V7", "V8", "V9", "V3R", "V4R", "V5R", "VX", "VY", "VZ")
"""Posterior, right-sided and Frank leads, which some data sets add to the twelve."""

UNPLACED_ECG_LEAD = "ECG"
"""One electrocardiogram of electrodes that are not stated, as beside some heart sounds."""

PCG_LEADS = ("PCG", "AV", "PV", "TV", "MV", "Phc")
"""Heart sound without a stated site, and the sites of the CirCor data set."""

_NAMES = (*STANDARD_12, *FURTHER_ECG_LEADS, UNPLACED_ECG_LEAD, *PCG_LEADS)
_KNOWN = {name.casefold(): name for name in _NAMES}
_NUMBERED = {"1": "I", "2": "II", "3": "III", "i": "I", "ii": "II", "iii": "III"}
# `Lead II` of reports, `MDC_ECG_LEAD_II` of HL7 aECG and DICOM (ISO/IEEE 11073-10101).
_PREFIX = re.compile(r"^(?:mdc_ecg_)?lead[\s_-]*")

# Einthoven's triangle and Goldberger's terminals: each limb lead as (I, II) coefficients.
_LIMB_FROM_I_II = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

Row = tuple[tuple[int, float], ...]
"""One wanted lead as (index of a recorded lead, weight) pairs: one pair, or two if derived."""


def _lookup(name: str) -> str | None:
    text = _PREFIX.sub("", name.strip().casefold())
    if text in _KNOWN:
        return _KNOWN[text]
    return _NUMBERED.get(text.removeprefix("d"))


def canonical_lead(name: str) -> str:
    """Give a lead its one spelling: `DI`, `i`, `Lead I` are `I`; `AVR`, `avr` are `aVR`.

    Raises:
        SpecError: No lead is known by that name.
    """
    known = _lookup(name)
    if known is None:
        raise SpecError(
            f"No lead is known as {name!r}; known are {', '.join(STANDARD_12)}, further "
            f"{', '.join(FURTHER_ECG_LEADS)}, {UNPLACED_ECG_LEAD}, and for heart sounds "
            f"{', '.join(PCG_LEADS)}."
        )
    return known


def lead_modality(name: str) -> Modality | None:
    """Say what a lead records; None for a name that is not known."""
    known = _lookup(name)
    if known is None:
        return None
    return "pcg" if known in PCG_LEADS else "ecg"


def lead_plan(have: Sequence[str], want: Sequence[str]) -> list[Row]:
    """Say how each wanted lead is made of the recorded ones.

    A name that is not known is matched letter by letter, so that unusual channels can be selected.

    Raises:
        SpecError: A recorded name occurs twice, or a wanted lead is neither there nor derivable.
    """
    index: dict[str, int] = {}
    for position, name in enumerate(have):
        key = _lookup(name) or name
        if key in index:
            raise SpecError(
                f"The recording names lead {key} twice ({have[index[key]]!r} and {name!r}); "
                f"which one is meant cannot be told."
            )
        index[key] = position
    basis = [name for name in LIMB_LEADS if name in index][:2]
    plan: list[Row] = []
    for name in want:
        key = _lookup(name) or name
        if key in index:
            plan.append(((index[key], 1.0),))
        elif key in _LIMB_FROM_I_II and len(basis) == 2:
            recorded = np.array([_LIMB_FROM_I_II[lead] for lead in basis]).T
            weights = np.linalg.solve(recorded, np.array(_LIMB_FROM_I_II[key]))
            plan.append(
                tuple((index[lead], float(w)) for lead, w in zip(basis, weights, strict=True))
            )
        else:
            needs = "and two limb leads to derive it" if key in _LIMB_FROM_I_II else ""
            raise SpecError(
                f"Lead {name} is needed; the recording lacks it {needs}".rstrip()
                + f". It has {', '.join(have) or 'no lead'}."
            )
    return plan


def apply_plan(signal: npt.NDArray[np.float32], plan: Sequence[Row]) -> npt.NDArray[np.float32]:
    """Make the planned leads: `[C, L]` to `[len(plan), L]`; NaN in a source stays NaN."""
    if all(len(row) == 1 for row in plan):
        order = [row[0][0] for row in plan]
        return signal if order == list(range(signal.shape[0])) else signal[order]
    out = np.empty((len(plan), signal.shape[1]), dtype=np.float32)
    for target, row in zip(out, plan, strict=True):
        first, weight = row[0]
        np.multiply(signal[first], np.float32(weight), out=target)
        for source, weight in row[1:]:
            target += signal[source] * np.float32(weight)
    return out


def select_leads(
    signal: npt.NDArray[np.float32], have: Sequence[str], want: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Choose and order leads by name; derive limb leads from any two others.

    III = II - I, aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2, and their inverses.

    Args:
        signal: `[C, L]`.
        have: Names of its leads.
        want: Names of the leads to return.

    Returns:
        `[len(want), L]` float32; the input itself where it already is what is wanted.

    Raises:
        SpecError: A lead is neither there nor derivable, or a name is ambiguous.
    """
    return apply_plan(signal, lead_plan(have, want))
