"""What `pahcl robustness` computes: sizes of attacks, their checks, corruptions by severity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from pahcl.attacks.apgd import APGD
from pahcl.attacks.base import Attack
from pahcl.attacks.fgsm import FGSM
from pahcl.attacks.noise import NoiseControl
from pahcl.attacks.norms import Norm
from pahcl.attacks.pgd import PGD
from pahcl.attacks.square import Square
from pahcl.errors import UsageError
from pahcl.evaluation.intervals import check_bootstrap
from pahcl.evaluation.perturbed import Condition
from pahcl.evaluation.robustness_file import BLACK_BOX, CONTROL, REPORTED
from pahcl.signals.corruption import SEVERITIES
from pahcl.signals.corruptions import ECG_CORRUPTIONS, Mains
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

EPSILONS = (0.0, 0.001, 0.005, 0.01, 0.05, 0.1)
"""Sizes in mV at which Eriksson et al. (CinC 2024) evaluate; 0 is the clean signal."""

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")


@dataclass(frozen=True, kw_only=True)
class RobustnessProtocol:
    """Say how robustness is measured.

    Args:
        epsilons: Sizes of the attacks, in the unit of the signal that the network reads.
        norm: In which a size is measured.
        steps: Steps of the attacks that follow gradients.
        restarts: Starts of the reported attack.
        queries: Steps of the black-box attack.
        worst_case: Attack with others beside APGD: PGD, APGD on the margin, Square.
        corruptions: Also corrupt the records as happens in clinics.
        consistent_leads: Attacks keep III = II - I and the augmented leads.
        mains: Frequency of the mains in Hz.
        seed: Of all draws.
        samples: Resamples of the subjects.
        level: Nominal coverage of the intervals.
        tolerance: Difference of the primary metric from which another attack is said to beat the
            reported one; for a metric in a unit, as a share of its value.
    """

    epsilons: tuple[float, ...] = EPSILONS
    norm: Norm = "linf"
    steps: int = 20
    restarts: int = 2
    queries: int = 200
    worst_case: bool = True
    corruptions: bool = True
    consistent_leads: bool = False
    mains: float = 50.0
    seed: int = 0
    samples: int = 1000
    level: float = 0.95
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UsageError(f"There is no norm {self.norm!r}; use one of {', '.join(NORMS)}.")
        wrong = [e for e in self.epsilons if not (math.isfinite(e) and e >= 0)]
        if wrong:
            raise UsageError(f"An epsilon is a size, 0 or more, got {wrong[0]:g}.")
        for name, least in (("steps", 1), ("restarts", 1), ("queries", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be {least} or more, got {getattr(self, name)}.")
        if not self.mains > 0:
            raise UsageError(f"mains must be a frequency in Hz, got {self.mains:g}.")
        check_bootstrap(self.samples, self.level)

    @property
    def sizes(self) -> tuple[float, ...]:
        """Give the sizes of the attacks in order, each once, without 0."""
        return tuple(sorted({float(e) for e in self.epsilons} - {0.0}))

    def key(self, attack: str, size: float) -> str:
        """Name the files of an attack of some size."""
        return f"{attack}-{self.norm}-{size:.12g}"


@dataclass(frozen=True)
class Plan:
    """Hold all conditions of a protocol, and the corruptions that cannot occur.

    Args:
        clean: The records as they are.
        attacks: For each size the attacks by name, the reported one first.
        corruptions: For each kind its five severities.
        left_out: Why a kind of corruption cannot occur, by its title.
    """

    clean: Condition
    attacks: dict[float, dict[str, Condition]]
    corruptions: dict[str, tuple[Condition, ...]]
    left_out: dict[str, str]

    @property
    def conditions(self) -> list[Condition]:
        """List all conditions, the cheap ones first."""
        corrupted = [one for kind in self.corruptions.values() for one in kind]
        return [self.clean, *corrupted, *(c for at in self.attacks.values() for c in at.values())]


def plan(protocol: RobustnessProtocol, task: Task, spec: SignalSpec) -> Plan:
    """Lay out what a protocol computes for a task and an input contract."""
    attacks = {
        size: {
            name: Condition(protocol.key(name, size), attack=attack)
            for name, attack in _attacks(protocol, task, spec, size).items()
        }
        for size in protocol.sizes
    }
    corruptions: dict[str, tuple[Condition, ...]] = {}
    left_out = {}
    for kind in ECG_CORRUPTIONS if protocol.corruptions else ():
        more = {"frequency": protocol.mains} if kind is Mains else {}
        made = kind(leads=spec.leads, unit=spec.unit, **more)
        reason = made.cannot_occur(spec.fs)
        if reason:
            left_out[made.title] = reason
            continue
        name = made.title.lower().replace(" ", "-")
        corruptions[made.title] = tuple(
            Condition(f"{name}-{severity}", corruption=made, severity=severity)
            for severity in SEVERITIES
        )
    return Plan(Condition("clean"), attacks, corruptions, left_out)


def _attacks(
    protocol: RobustnessProtocol, task: Task, spec: SignalSpec, size: float
) -> dict[str, Attack]:
    """Make the attacks of one size: the reported one, its control, and those that check it."""
    shared: dict[str, Any] = {"epsilon": size, "norm": protocol.norm, "final_loss": False}
    if protocol.consistent_leads:
        shared["leads"] = spec.leads
    if task.kind == "regression":
        shared["loss"] = "mse"
    reported = APGD(**shared, steps=protocol.steps, restarts=protocol.restarts)
    found: dict[str, Attack] = {REPORTED: reported, CONTROL: NoiseControl(**shared)}
    if not protocol.worst_case:
        return found
    found["pgd"] = PGD(**shared, steps=protocol.steps)
    if task.kind != "regression":
        found["apgd-margin"] = replace(reported, loss="margin")
    if protocol.norm == "l1":  # one step, which searches of few steps hardly reach
        found["fgsm"] = FGSM(**shared)
    else:  # Square is defined for these two
        found[BLACK_BOX] = Square(**shared, queries=protocol.queries)
    return found
