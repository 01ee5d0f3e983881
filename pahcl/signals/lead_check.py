"""Whether leads are what they are called: limb leads by their identities, chest leads by likeness.

Of six limb leads two are free: III = II - I, aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.
Names that were exchanged break these, and the exchange that mends them is found by trying all. What
cables that were exchanged at the patient do keeps them (an electrode has no name), so that it shows
in the chest leads alone, or not at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.electrodes import LIMB_ELECTRODES, electrode_matrix
from pahcl.signals.leads import CHEST_LEADS, LIMB_LEADS, canonical_lead

Floats = npt.NDArray[np.float64]

BROKEN, EXPLAINED = 0.15, 0.12
"""Share of the limb leads' size that contradicts the identities, above which names are doubted, and
below which an exchange explains it. Real records leave less than 0.03, one with a spike in a single
lead 0.07 (486 of PTB-XL, CODE-15%, CPSC2018 and Chapman-Shaoxing-Ningbo)."""

BETTER = 0.4
"""An exchange must bring the contradiction down to this share of what it is."""

LOCAL, LOCAL_RMS = 0.05, 8.0
"""A sample contradicts the identities beyond this share of the record's size, and beyond this many
times what is usual in the record."""

_EQUATIONS = {
    "III": ("III = II - I", np.array([-1.0, 1.0])),
    "aVR": ("aVR = -(I + II)/2", np.array([-0.5, -0.5])),
    "aVL": ("aVL = I - II/2", np.array([1.0, -0.5])),
    "aVF": ("aVF = II - I/2", np.array([-0.5, 1.0])),
}

OPPOSED = -0.6
"""Correlation of the slopes of lead I with those of V6 below which the arms may be exchanged."""

CHEST_MARGIN = 0.25
"""Another order of the chest leads is told if neighbours are by this share less unlike in it."""


@dataclass(frozen=True)
class LimbVerdict:
    """Say how far the limb leads fit each other.

    Args:
        leads: The limb leads that move, by name.
        contradiction: What contradicts the identities, as a share of the leads' size (RMS over
            ordinary seconds).
        exchanges: The simplest exchanges of names that mend it, in words; empty where nothing is
            to mend or no exchange does.
        broken: How many single samples contradict, where the record as a whole does not.
        equations: The identities that these samples break.
        worst: The largest error of one of them, in the unit of the signal.
        at: The sample of that error, among those at which no limb lead is missing.
    """

    leads: tuple[str, ...]
    contradiction: float
    exchanges: tuple[str, ...]
    broken: int
    equations: tuple[str, ...]
    worst: float
    at: int

    @property
    def is_broken(self) -> bool:
        """Say whether the record as a whole contradicts its names."""
        return self.contradiction > BROKEN


def check_limb_leads(
    signal: npt.NDArray[np.floating], leads: Sequence[str], fs: float
) -> LimbVerdict | None:
    """Hold the limb leads against Einthoven's and Goldberger's identities.

    Args:
        signal: `[C, L]`, NaN where samples are missing.
        leads: Names of the leads.
        fs: Sampling rate in Hz.

    Returns:
        The verdict; None with fewer than three limb leads that move.
    """
    names, limb = _moving(signal, leads, LIMB_LEADS)
    if len(names) < 3:
        return None
    limb = limb - limb.mean(axis=1, keepdims=True)  # means keep the identities, medians do not
    against = _contradicting(names)
    gram = _ordinary_gram(limb, fs)
    contradiction = float(np.sqrt(max(np.sum(against * gram), 0.0) / np.trace(gram)))
    exchanges = _exchanges(names, gram, contradiction) if contradiction > BROKEN else ()
    if contradiction > BROKEN:
        return LimbVerdict(names, contradiction, exchanges, 0, (), 0.0, 0)
    return LimbVerdict(names, contradiction, (), *_single_samples(names, limb))


def _single_samples(
    names: tuple[str, ...], limb: Floats
) -> tuple[int, tuple[str, ...], float, int]:
    """Find samples that break an identity in a record that keeps them: count, which, how far."""
    told = [name for name in names if name in _EQUATIONS]
    if not {"I", "II"}.issubset(names) or not told:
        return 0, (), 0.0, 0
    pair = limb[[names.index("I"), names.index("II")]]
    errors = np.abs(
        np.stack([limb[names.index(name)] - _EQUATIONS[name][1] @ pair for name in told])
    )
    size = float(np.median(np.ptp(np.percentile(limb, [0.5, 99.5], axis=1), axis=0)))
    usual = float(np.sqrt(np.median(np.square(errors))))
    beyond = errors > max(LOCAL * size, LOCAL_RMS * usual)
    at = int(errors.max(axis=0).argmax())
    broken = tuple(_EQUATIONS[name][0] for name, row in zip(told, beyond, strict=True) if row.any())
    return int(beyond.any(axis=0).sum()), broken, float(errors[:, at].max()), at


def _moving(
    signal: npt.NDArray[np.floating], leads: Sequence[str], wanted: Sequence[str]
) -> tuple[tuple[str, ...], Floats]:
    """Take the wanted leads that are not constant, in the wanted order, at samples all have."""
    rows = {_known(name): row for row, name in enumerate(leads)}
    there = [name for name in wanted if name in rows]
    chosen = signal[[rows[name] for name in there]].astype(np.float64)
    chosen = chosen[:, np.isfinite(chosen).all(axis=0)]
    moves = np.ptp(chosen, axis=1) > 0 if chosen.size else np.zeros(len(there), dtype=bool)
    return tuple(name for name, ok in zip(there, moves, strict=True) if ok), chosen[moves]


def _known(name: str) -> str:
    try:
        return canonical_lead(name)
    except SpecError:
        return name


@lru_cache(maxsize=64)
def _contradicting(names: tuple[str, ...]) -> Floats:
    """Project limb leads on what no potentials at three electrodes can make, `[C, C]`."""
    made = electrode_matrix(names)[1].astype(np.float64)[:, : len(LIMB_ELECTRODES)]
    return np.eye(len(names)) - made @ np.linalg.pinv(made)


def _ordinary_gram(limb: Floats, fs: float) -> Floats:
    """Sum the products of leads over the seconds that are not artefacts, `[C, C]`."""
    second = max(2, min(round(fs), limb.shape[1]))
    count = limb.shape[1] // second
    parts = limb[:, : count * second].reshape(len(limb), count, second)
    grams = np.einsum("cnl,dnl->ncd", parts, parts)
    energy = np.trace(grams, axis1=1, axis2=2)
    usual = np.median(energy[energy > 0])
    return np.asarray(grams[(energy > 0) & (energy <= 10 * usual)].sum(axis=0))


@lru_cache(maxsize=8)
def _assignments(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """List the permutations `[P, C]` and signs `[S, C]` of a number of leads."""
    orders = np.array(list(itertools.permutations(range(count))))
    signs = np.array(list(itertools.product((1, -1), repeat=count)))
    return orders, signs


def _exchanges(names: tuple[str, ...], gram: Floats, contradiction: float) -> tuple[str, ...]:
    """Try every exchange and inversion; give the simplest of those that mend the identities.

    Twelve of them (whole heart turned around, cables exchanged) are always equally good.
    """
    orders, signs = _assignments(len(names))
    moved = gram[orders[:, :, None], orders[:, None, :]] * _contradicting(names)
    turned = (signs[:, :, None] * signs[:, None, :]).reshape(len(signs), -1)
    left = np.sqrt(np.maximum(moved.reshape(len(orders), -1) @ turned.T, 0) / np.trace(gram))
    best = float(left.min())
    if best > EXPLAINED or best > BETTER * contradiction:
        return ()
    cost = _swaps(orders)[:, None] + (signs < 0).sum(axis=1)[None, :]
    good = left <= max(2 * best, EXPLAINED / 4)
    simplest = int(cost[good].min())
    picked = np.argwhere(good & (cost == simplest))
    return tuple(_in_words(names, orders[p], signs[s]) for p, s in picked)


def _swaps(orders: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count the exchanges of two that each permutation is made of: leads less cycles."""
    return np.array([len(order) - len(_cycles(order)) for order in orders])


def _cycles(order: npt.NDArray[np.int64]) -> list[list[int]]:
    left, cycles = set(range(len(order))), []
    while left:
        cycle = [min(left)]
        while (following := int(order[cycle[-1]])) != cycle[0]:
            cycle.append(following)
        left -= set(cycle)
        cycles.append(cycle)
    return cycles


def _in_words(
    names: tuple[str, ...], order: npt.NDArray[np.int64], sign: npt.NDArray[np.int64]
) -> str:
    said = []
    for cycle in _cycles(order):
        if len(cycle) == 2:
            said.append(" and ".join(names[lead] for lead in cycle) + " exchanged")
        elif len(cycle) > 2:
            turns = [f"{names[lead]} stands under the name {names[order[lead]]}" for lead in cycle]
            said.append(", ".join(turns))
    said += [f"{names[lead]} inverted" for lead in np.flatnonzero(sign < 0)]
    return "; ".join(said)


def arms_look_exchanged(
    signal: npt.NDArray[np.floating], leads: Sequence[str], fs: float
) -> bool | None:
    """Say whether the right and the left arm's electrode may be exchanged.

    Lead I then is upside down while the chest leads are not, so that it goes against V6; and aVR
    (which is aVL then) points up. The same is seen in dextrocardia and with an extreme axis.

    Args:
        signal: `[C, L]`, NaN where samples are missing.
        leads: Names of the leads.
        fs: Sampling rate in Hz.

    Returns:
        None where one of I, aVR and V6 is not there or does not move.
    """
    names, chosen = _moving(signal, leads, ("I", "aVR", "V6"))
    if len(names) < 3:
        return None
    reach = max(1, round(0.02 * fs))
    first, _, last = chosen[:, reach:] - chosen[:, :-reach]
    if not (first.any() and last.any()):
        return None
    alike = float(np.dot(first, last) / np.sqrt(np.dot(first, first) * np.dot(last, last)))
    up = [_net(lead) for lead in chosen]
    return alike < OPPOSED and up[0] < 0 < up[1]


def _net(lead: Floats) -> float:
    """Say whether a lead's largest deflections point up (positive) or down."""
    low, middle, high = np.percentile(lead, [0.5, 50, 99.5])
    return float((high - middle) - (middle - low))


def chest_likeness(
    signal: npt.NDArray[np.floating], leads: Sequence[str], fs: float
) -> Floats | None:
    """Correlate the slopes of the chest leads with each other.

    Args:
        signal: `[C, L]`, NaN where samples are missing.
        leads: Names of the leads.
        fs: Sampling rate in Hz.

    Returns:
        `[6, 6]` in the order V1 to V6; None where one of them is not there or does not move.
    """
    names, chest = _moving(signal, leads, CHEST_LEADS)
    reach = max(1, round(0.02 * fs))
    if len(names) < len(CHEST_LEADS) or chest.shape[1] <= 2 * reach:
        return None
    slope = chest[:, reach:] - chest[:, :-reach]
    size = np.sqrt(np.square(slope).sum(axis=1))
    return None if not size.all() else np.asarray(slope @ slope.T / np.outer(size, size))


def guess_chest_order(likeness: Floats) -> tuple[str, ...]:
    """Guess the order of the chest leads: neighbours on the chest see nearly the same.

    A weak hint, for means over many records alone: the chest leads obey no identity. An order and
    its reverse are equally good, so only one that is neither is told.

    Args:
        likeness: `[6, 6]` mean of `chest_likeness` over records.

    Returns:
        The likely true names of the leads that are called V1 to V6; empty where those names are
        about as good.
    """
    orders, _ = _assignments(len(CHEST_LEADS))
    unlike = 1 - likeness
    ways = unlike[orders[:, :-1], orders[:, 1:]].sum(axis=1)
    best = int(ways.argmin())
    if ways[best] > (1 - CHEST_MARGIN) * float(unlike.diagonal(1).sum()):
        return ()
    order = orders[best]  # the lead called order[k] lies at place k, seen from one of both ends
    places = np.argsort(order)
    mirrored = len(order) - 1 - places
    kept = [int((way == np.arange(len(order))).sum()) for way in (places, mirrored)]
    true = places if kept[0] >= kept[1] else mirrored
    return tuple(CHEST_LEADS[place] for place in true)
