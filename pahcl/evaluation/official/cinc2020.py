"""PhysioNet Challenge 2020: the challenge metric, with partial credit by a table of weights."""

from __future__ import annotations

from dataclasses import dataclass

from pahcl.evaluation.official._challenge import PartialCredit


@dataclass(frozen=True, kw_only=True)
class CinC2020(PartialCredit):
    """Score diagnoses of 12-lead ECGs."""

    title = "PhysioNet Challenge 2020, ECG diagnoses"
    source = (
        "Perez Alday et al., Classification of 12-lead ECGs: the PhysioNet/Computing in "
        "Cardiology Challenge 2020, Physiol. Meas. 41(12), 2020"
    )
    page = "https://github.com/physionetchallenges/evaluation-2020"
