"""Several attacks, of which each record keeps the worst."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from pahcl.attacks.apgd import APGD
from pahcl.attacks.base import Attack, Found
from pahcl.attacks.best import Best
from pahcl.attacks.norms import Norm
from pahcl.attacks.oracle import Oracle
from pahcl.attacks.square import Square
from pahcl.errors import UsageError


def default_attacks(norm: Norm) -> tuple[Attack, ...]:
    """Give the members where none are named: APGD on two losses and, but for L1, Square."""
    climbs = (APGD(steps=20), APGD(steps=20, loss="margin"))
    return climbs if norm == "l1" else (*climbs, Square())


@dataclass(frozen=True, kw_only=True)
class WorstCase(Attack):
    """Run several attacks and keep, for each record, the signal that harms most.

    A signal that fools the model harms more than one that does not; else the higher loss (that of
    this class, not the member's own) decides. With estimates (`mse`) the loss alone decides. Every
    attack runs on every record; calls are those of all members and one forward pass for each.
    Source: the ensemble of Croce & Hein, ICML 2020, section 6. Epsilon is in the unit of the
    signal.

    Args:
        attacks: The members; none = APGD-20, APGD-20 on the margin and, but for L1, Square. Budget,
            norm, constraints and aim are this class's; a member brings its own search and, if it
            names one, its own loss.

    Raises:
        UsageError: A member sets a budget, norm or constraint of its own.
    """

    attacks: tuple[Attack, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "attacks", tuple(self.attacks) or default_attacks(self.norm))
        shared = [one for one in fields(Attack) if one.name not in ("loss", "final_loss")]
        for attack in self.attacks:
            for one in shared:
                own = getattr(attack, one.name)
                if own not in (one.default, getattr(self, one.name)):
                    raise UsageError(
                        f"WorstCase: its member {type(attack).__name__} sets `{one.name}` to "
                        f"{own!r}; set it on WorstCase, which lends it to all members."
                    )
            replace(attack, norm=self.norm)  # which it may refuse
            if attack.budget_factor != 1.0:
                raise UsageError(
                    f"WorstCase: {type(attack).__name__} leaves the budget that the others keep."
                )

    @property
    def starts_clean(self) -> bool:
        """Say whether every member takes its first gradient at the clean signal."""
        return all(attack.starts_clean for attack in self.attacks)

    def search(self, oracle: Oracle) -> Found:
        """Run the members one after the other."""
        best: Best | None = None
        for attack in self.attacks:
            criterion = oracle.criterion.renamed(attack.loss)
            point = attack.search(oracle.with_criterion(criterion)).signal
            answer = oracle.ask(point)
            estimates = oracle.criterion.loss == "mse"
            fooled = None if estimates else oracle.criterion.fooled(answer.outputs)
            if best is None:
                best = Best(point, answer.loss, fooled)
            else:
                best.take(point, answer.loss, fooled)
        if best is None:
            raise UsageError("WorstCase needs at least one attack.")
        return Found(best.signal, best.loss)
