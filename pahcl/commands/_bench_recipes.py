"""The ways of adversarial training that `pahcl bench attack` sets beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pahcl.attacks.apgd import APGD
from pahcl.attacks.fgsm import FGSM
from pahcl.attacks.n_fgsm import NFGSM
from pahcl.attacks.pgd import PGD
from pahcl.encoders.base import Encoder
from pahcl.modules.adversarial import AdversarialPretraining
from pahcl.modules.finetuning import Finetuning
from pahcl.modules.free import FreeAdversarialPretraining
from pahcl.objectives.robust import TRADES, Mixed

Method = Callable[..., Finetuning]


@dataclass(frozen=True)
class Recipe:
    """Name a way of training and how it is made.

    Args:
        title: For people.
        make: Encoder, epsilon and further arguments -> module.
        replays: Steps of the optimiser for each batch; epochs with attacks are divided by it.
    """

    title: str
    make: Method
    replays: int = 1


def _adversarial(encoder: Encoder, attack: Any, **settings: Any) -> Finetuning:
    return AdversarialPretraining(encoder, attack=attack, guard=None, **settings)


CLEAN = "clean"
RECIPES = {
    CLEAN: Recipe("clean", lambda encoder, epsilon, **more: Finetuning(encoder, **more)),
    "paper": Recipe(
        "APGD-10, (clean + adversarial) / 2",
        lambda encoder, epsilon, **more: _adversarial(
            encoder, APGD(epsilon=epsilon, steps=10), objective=Mixed(weight=0.5), **more
        ),
    ),
    "fast": Recipe(
        "PGD-3 on half of each batch",
        lambda encoder, epsilon, **more: _adversarial(
            encoder, PGD(epsilon=epsilon, steps=3), objective=Mixed(weight=0.5, split=True), **more
        ),
    ),
    "one_step": Recipe(
        "N-FGSM, (clean + adversarial) / 2",
        lambda encoder, epsilon, **more: _adversarial(
            encoder, NFGSM(epsilon=epsilon), objective=Mixed(weight=0.5), **more
        ),
    ),
    "free": Recipe(
        "free, two replays",
        lambda encoder, epsilon, **more: FreeAdversarialPretraining(
            encoder=encoder, attack=FGSM(epsilon=epsilon), replays=2, guard=None, **more
        ),
        replays=2,
    ),
    "trades": Recipe(
        "TRADES, PGD-10",
        lambda encoder, epsilon, **more: _adversarial(
            encoder, PGD(epsilon=epsilon, steps=10), objective=TRADES(), **more
        ),
    ),
}
"""`paper` and `fast` are those of configs/pretrain/."""
