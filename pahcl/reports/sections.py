"""The sections of a run's page: figures with captions, tables, notes where a part is missing."""

from __future__ import annotations

from collections.abc import Sequence

from pahcl.errors import PahclError
from pahcl.reports.classification import (
    ClassScores,
    class_scores,
    confusion_matrix,
    confusion_tables,
    main_classes,
    precision_recall_curves,
    roc_curves,
)
from pahcl.reports.curves import learning_curves
from pahcl.reports.names import count, listing, metric_title, number, scored_units
from pahcl.reports.paper import gallery
from pahcl.reports.regression import agreement, error_by_group, estimates
from pahcl.reports.robust import robustness_sections
from pahcl.reports.runs import Run, as_dict
from pahcl.reports.scores import reliability_diagrams, score_histograms
from pahcl.reports.section import Section, picture
from pahcl.reports.tables import (
    Table,
    class_table,
    key_numbers,
    official_table,
    threshold_table,
)
from pahcl.task import Task

MOST_OUTPUTS = 3
"""Outputs of a regression that are drawn; the others are in the table."""


def sections(run: Run) -> list[Section]:
    """Make all sections of a run's page that say something of this run."""
    task = run.task
    made = [_numbers(run, task), _curves(run)]
    if task is None:
        return made
    if task.kind != "regression":
        made.append(Section("classes", "Class by class", tables=(class_table(run, task),)))
    elif len(task.classes) > 1:
        made.append(Section("classes", "Output by output", tables=(class_table(run, task),)))
    try:
        made += _predictions(run, task)
    except PahclError as error:
        made.append(Section("predictions", "Predictions", note=str(error)))
    made += robustness_sections(run, task)
    return [*made, Section("records", "Records on paper", gallery=gallery(run))]


def _numbers(run: Run, task: Task | None) -> Section:
    if task is None:
        note = "There are no numbers yet: `pahcl test` writes metrics.json."
        return Section("numbers", "Key numbers", note=note)
    notes = run.metrics.get("notes") or []
    official = as_dict(run.metrics.get("official"))
    tables = [key_numbers(run, task)]
    if "metrics" in official:
        tables.append(official_table(official, run.bootstrap("level", 0.95)))
        notes = [*notes, *(note for note in official.get("notes", []) if note not in notes)]
    elif official:
        notes = [*notes, f"{official.get('scorer')} gave no score: {official.get('failed')}"]
    remarks = tuple(f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in map(str, notes))
    return Section("numbers", "Key numbers", tables=tuple(tables), remarks=remarks)


def _curves(run: Run) -> Section:
    if run.log is None:
        note = "No training log (metrics.csv) lies in the run folder."
        return Section("training", "Training", note=note)
    metric = run.task.primary_metric if run.task else run.log.likely_metric
    best = run.log.best_epoch(metric) if metric else None
    alt = f"Loss and validation metric over {count(run.log.n_epochs, 'epoch')}."
    caption = (
        "Training and validation loss should fall together; where validation loss rises while "
        "training loss goes on falling, the network learns its training records by heart. (The two "
        "may be weighted differently, so compare their shapes rather than their heights.)"
    )
    if best is not None and metric is not None:
        value = number(float(run.log.epochs(f"val/{metric}")[best]))
        alt += f" The best {metric_title(metric)} is {value} in epoch {best}."
        caption += " The ring marks the best epoch, whose checkpoint is tested."
        if best == run.log.n_epochs > 1:
            caption += " It is the last one: longer training may do better."
    drawn = picture(learning_curves(run.log, metric), "training", alt, caption)
    return Section("training", "Training", (drawn,))


def _predictions(run: Run, task: Task) -> list[Section]:
    """Make the sections that read the predictions table."""
    if run.predictions is None or not len(run.predictions):
        note = "The predictions table is missing or empty; `pahcl test` writes it."
        return [Section("predictions", "Predictions", note=note)]
    if task.kind == "regression":
        return [_agreement(run, task)]
    areas = {
        name: (run.class_interval(name, "auroc").value, run.class_interval(name, "auprc").value)
        for name in task.classes
    }
    scores = class_scores(task, run.predictions, run.thresholds(), areas)
    main = main_classes(scores)
    left = len(scores) - len(main)
    note = (
        f"Drawn are the {len(main)} classes with most positives; the other {left} are in the table "
        "above."
        if left
        else ""
    )
    return [
        _ranking(task, main, note),
        _decisions(run, task, main, scores, note),
        _calibration(run, task, main, note),
    ]


def _names(scores: Sequence[ClassScores]) -> str:
    return listing([one.name for one in scores], 12)


def _ranking(task: Task, main: Sequence[ClassScores], note: str) -> Section:
    dot = "The dot marks the decisions that were taken."
    if task.kind == "multiclass":
        dot += " It may lie off the curve, for the likeliest of several classes was taken."
    many = scored_units(task)[1]
    roc = ", ".join(f"{by.name} {number(by.auroc)}" for by in main)
    prc = ", ".join(f"{by.name} {number(by.auprc)}" for by in main)
    drawn = (
        picture(
            roc_curves(main),
            "roc",
            f"ROC curves. AUROC: {roc}.",
            "ROC: sensitivity against false alarms as the threshold falls. The nearer to the upper "
            f"left corner the better; the dashed diagonal is chance. {dot} With rare findings the "
            "curve looks kinder than daily work is: read the next one too.",
        ),
        picture(
            precision_recall_curves(main),
            "prc",
            f"Precision-recall curves. AUPRC: {prc}.",
            f"Precision and recall: how many of the {many} that were called positive are so "
            "(upwards), against how many of the positives were found (to the right). The dashed "
            f"line is chance: the share of positives. Steps are single {many}: a staircase means "
            "few positives.",
        ),
    )
    return Section("ranking", f"Does it rank the right {many} first?", drawn, note=note)


def _decisions(
    run: Run, task: Task, main: Sequence[ClassScores], scores: Sequence[ClassScores], note: str
) -> Section:
    if task.kind == "multiclass" and run.predictions is not None:
        figure = confusion_matrix(task, run.predictions)
        alt = f"Confusion matrix of {_names(scores)}."
    else:
        figure = confusion_tables(main)
        alt = f"Confusion tables of {_names(main)}."
    caption = (
        "Confusion: rows are the truth, columns what was decided. Each cell holds the number of "
        f"{scored_units(task)[1]} and its share of the row; the stronger the colour, the larger "
        "the share. Right decisions lie on the diagonal from the upper left."
    )
    tables: tuple[Table, ...] = ()
    if run.thresholds():
        tables = (threshold_table(run, scores),)
    elif task.kind == "multiclass":
        note = "Decided is the most probable class; there are no thresholds."
    drawn = (picture(figure, "confusion", alt, caption),)
    return Section("decisions", "What does it decide?", drawn, tables, note)


def _calibration(run: Run, task: Task, main: Sequence[ClassScores], note: str) -> Section:
    if run.predictions is None:
        return Section("calibration", "Are its probabilities honest?", note=note)
    errors = {one.name: run.class_interval(one.name, "calibration_error").value for one in main}
    many = scored_units(task)[1]
    drawn = (
        picture(
            reliability_diagrams(task, run.predictions, main, errors),
            "reliability",
            f"Reliability diagrams of {_names(main)}.",
            f"Reliability: {many} are sorted into 15 bins by their probability; of those given "
            "30 %, 30 % should be positive (dashed). Below the line the probabilities are too "
            "high, above it too low. Whiskers are 95 % intervals of the share, grey bars the "
            f"number of {many} a bin. ECE, the expected calibration error, is the mean gap.",
        ),
        picture(
            score_histograms(main),
            "scores",
            f"Histograms of the probabilities of {_names(main)}, by truth.",
            f"Scores: how the probabilities of the truly positive and the truly negative {many} "
            "are spread, each group by itself (its bars add up to 1). The less the two overlap the "
            "better. A dashed line is the threshold.",
        ),
    )
    return Section("calibration", "Are its probabilities honest?", drawn, note=note)


def _agreement(run: Run, task: Task) -> Section:
    found = estimates(task, run.predictions) if run.predictions is not None else []
    drawn = []
    for i, one in enumerate(found[:MOST_OUTPUTS]):
        bias = number(float((one.estimate - one.truth).mean()), 2)
        drawn += [
            picture(
                agreement(one),
                f"agreement-{i}",
                f"Prediction over truth, and Bland-Altman plot, of {one.name}. The bias is {bias}.",
                "Left: each dot is a record; on the dashed line the prediction is right. A cloud "
                "that is flatter than the line means that the network retreats to the mean. Right: "
                "the difference over the mean of prediction and truth; the solid line is the mean "
                "difference (bias), and 95 % of the differences lie between the dashed lines if "
                "they are normal.",
            ),
            picture(
                error_by_group(one),
                f"groups-{i}",
                f"Error of {one.name} by groups of the true value.",
                "Error by true value: boxes hold the middle half of each group's errors, whiskers "
                "reach from 5 to 95 %, the line in the box is the median; groups of fewer than 5 "
                "are drawn record by record. Above the dashed line the network says too much.",
            ),
        ]
    note = "" if found else "No record has a label, so there is nothing to compare with."
    return Section("agreement", "How near are the estimates?", tuple(drawn), note=note)
