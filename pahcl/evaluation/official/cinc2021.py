"""PhysioNet Challenge 2021: the challenge metric, with partial credit by a table of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pahcl.evaluation.official._challenge import PartialCredit


@dataclass(frozen=True, kw_only=True)
class CinC2021(PartialCredit):
    """Score diagnoses of ECGs with two to twelve leads."""

    title = "PhysioNet Challenge 2021, ECG diagnoses"
    source = (
        "Reyna et al., Will two do? Varying dimensions in electrocardiography: the "
        "PhysioNet/Computing in Cardiology Challenge 2021, CinC 2021"
    )
    page = "https://github.com/physionetchallenges/evaluation-2021"
    own_weights: ClassVar[Path] = Path(__file__).with_name("cinc2021_weights.csv")
