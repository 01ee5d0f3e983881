"""Paired differences between the starts of runs, over the share of labels."""

from __future__ import annotations

import pandas as pd

from pahcl.reports.comparison import Compared
from pahcl.reports.curves import paired_efficiency
from pahcl.reports.names import UNITS_OF_TARGET, metric_in_sentence
from pahcl.reports.section import picture
from pahcl.reports.style import Picture
from pahcl.task import Task


def paired_pictures(compared: Compared, task: Task) -> tuple[Picture, ...]:
    """Draw the differences, where there are some at more than one share of labels."""
    points = pd.DataFrame(
        [
            {
                "against": compared.label(b),
                "initialisation": compared.label(a),
                "fraction": a.fraction,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
            }
            for a, b, found in compared.differences
            if a.fraction is not None and found.metric == task.primary_metric
        ],
        columns=["against", "initialisation", "fraction", "difference", "low", "high"],
    )
    if points["fraction"].nunique() < 2:
        return ()
    has_unit = task.primary_metric in UNITS_OF_TARGET
    figure = paired_efficiency(
        points, task.primary_metric, compared.colours, task.unit if has_unit else None
    )
    caption = (
        "Both sides of a difference are scored on the same records and the same resamples of "
        "people, so that what makes a test set easy or hard falls out of it: these whiskers, not "
        "those above, say whether one start is better than another. Where they leave the dashed "
        "line out, chance is an unlikely reason."
    )
    alt = f"Paired differences of the {metric_in_sentence(task.primary_metric)} over label shares."
    return (picture(figure, "differences", alt, caption),)
