"""The top of the page: what was done, what came out, and what to be careful about."""

from __future__ import annotations

from dataclasses import dataclass

from pahcl.evaluation.receipt import NO_EVIDENCE, is_simulated
from pahcl.reports.names import (
    UNITS_OF_TARGET,
    count,
    digits_for,
    listing,
    metric_in_sentence,
    metric_title,
    number,
    percent,
    scored_units,
    span,
    split_average,
)
from pahcl.reports.runs import Run
from pahcl.task import Task

FEW_POSITIVES = 20
"""Positives below which one record moves the sensitivity by five hundredths or more."""

FEW_FOR_THRESHOLD = 20
"""Positives on validation below which a threshold is mostly luck."""

FEW_PEOPLE = 30
"""People below which a bootstrap interval cannot be trusted to hold its level."""

WIDE = 0.1
"""Width of an interval of a metric in 0..1 beyond which runs of one table cannot be told apart."""

KINDS = {
    "binary": "a yes-or-no question",
    "multiclass": "one class of several",
    "multilabel": "several findings at once",
    "regression": "a number",
}

SPLITS = {"test": "test split", "val": "validation split", "train": "training split"}


@dataclass(frozen=True)
class Verdict:
    """Hold the first lines of a page.

    Args:
        sentences: What was done and what came out.
        headline: The primary metric's name, "" where there is none.
        value: Its value.
        ends: Its interval in words, "" where there is none.
        warnings: What to be careful about.
    """

    sentences: tuple[str, ...]
    headline: str
    value: str
    ends: str
    warnings: tuple[str, ...]


def verdict(run: Run) -> Verdict:
    """Say in plain words what a run is and what it is worth."""
    task = run.task
    sentences = [_what(run), _start(run), _training(run)]
    headline = value = ends = ""
    if task is not None and run.primary is not None:
        digits = digits_for(task.primary_metric)
        headline = metric_title(task.primary_metric)
        value = number(run.primary.value, digits) + _unit(task, task.primary_metric)
        if run.primary.has_ends:
            ends = f"{_level(run)} interval {span(run.primary, digits)}"
        sentences.append(_result(run, task, value, ends))
    elif not run.damaged:
        sentences.append("It has not been tested yet, so there is no result to report.")
    return Verdict(
        tuple(sentence for sentence in sentences if sentence),
        headline,
        value,
        ends,
        tuple(warnings(run)),
    )


def _unit(task: Task, metric: str) -> str:
    has_unit = task.unit and split_average(metric)[1] in UNITS_OF_TARGET
    return f" {task.unit}" if has_unit else ""


def _level(run: Run) -> str:
    return f"{100 * run.bootstrap('level', 0.95):g} %"


def _what(run: Run) -> str:
    """Name network, data and question."""
    task = run.task
    asked = run.setting("data.init_args.task")
    encoder = f"A {run.encoder}" if run.encoder else "A network"
    data = f" on {run.dataset}" if run.dataset else ""
    if task is None:
        question = f" for the task {asked}" if asked else ""
        return f"{encoder} was trained{data}{question}."
    if task.kind == "binary":
        about = f" ({task.classes[0]}, yes or no)"
    elif task.kind == "regression":
        unit = f" in {task.unit}" if task.unit else ""
        about = f" (predicts {listing(list(task.classes))}{unit})"
    else:
        about = f" ({KINDS[task.kind]}: {listing(list(task.classes))})"
    return f"{encoder} was trained{data} for the task {task.name}{about}."


def _start(run: Run) -> str:
    """Say where the weights came from and what was trained."""
    if not run.config:
        return ""
    ways = {
        "Full": "all weights were trained",
        "LinearProbe": "the encoder was frozen and the head alone was trained",
    }
    way = ways.get(run.strategy, f"the strategy was {run.strategy}") if run.strategy else ""
    start = f"the pretrained weights of {run.pretrained}" if run.pretrained else "random weights"
    return f"It started from {start}{'; ' if way else ''}{way}."


def _training(run: Run) -> str:
    """Say how much was learned from, and for how long."""
    parts = []
    train = run.counted("train")
    if run.shots is not None:
        parts.append(f"{count(run.shots, 'subject')} of each class gave their labels")
    elif run.fraction is not None and run.fraction < 1:
        of = "the data set's" if run.fraction_of == "dataset" else "the training split's"
        parts.append(f"{percent(run.fraction)} of {of} subjects gave their labels")
    elif run.config:
        parts.append("the whole training split gave its labels")
    if train:
        people = count(int(train.get("subjects", 0)), "person", "people")
        parts[-1:] = [
            f"{parts[-1] if parts else 'it was trained on'}: "
            f"{count(int(train.get('records', 0)), 'record')} of {people}"
        ]
    if run.log is not None and run.log.n_epochs:
        parts.append(f"training ran for {count(run.log.n_epochs, 'epoch')}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _result(run: Run, task: Task, value: str, ends: str) -> str:
    records = count(int(run.metrics.get("n_records", 0)), "record")
    people = count(int(run.metrics.get("n_subjects", 0)), "person", "people")
    counted = people if task.level == "subject" else f"{records} of {people}"
    where = f"On the {SPLITS.get(run.split, run.split)} ({counted})"
    if run.primary is None or not run.primary.known:
        return f"{where} the {metric_in_sentence(task.primary_metric)} is not defined."
    tail = f" ({ends}; people were resampled)" if ends else ""
    name = metric_in_sentence(task.primary_metric)
    return f"{where} it reaches {'an' if name[0] in 'AE' else 'a'} {name} of {value}{tail}."


def warnings(run: Run) -> list[str]:
    """List what a careful reader should know before quoting a number."""
    task = run.task
    found = [f"A file could not be read. {text}" for text in run.damaged]
    found += _unfinished(run)
    if task is None:
        return found
    if run.split != "test":
        found.append(
            "These are numbers of the validation split, on which the checkpoint and the thresholds "
            "were chosen: they flatter. Run `pahcl test` for the test split."
        )
    found += [*support_warnings(run, task), *_thresholds(run, task), *_wide(run, task)]
    looks = run.receipt.get("times_scored", 1)
    if isinstance(looks, int) and looks > 1 and run.split == "test":
        found.append(
            f"The test split was scored {looks} times in this run. Choices made between two looks "
            "make the last number too good."
        )
    return found


def _unfinished(run: Run) -> list[str]:
    """Name what has still to be done before this is evidence."""
    found = []
    if is_simulated(run.receipt):
        found.append(NO_EVIDENCE)
    config = run.folder.config
    missing = [name for name in run.missing if run.split == "test" or name == config.name]
    if {"metrics.json", "predictions.parquet"} & set(missing):
        if run.folder.best.is_file():
            step = f"Run `pahcl test --config {config}`."
        else:
            step = f"There is no checkpoint yet either: run `pahcl fit --config {config}`."
        found.append(f"The run is not finished: {listing(missing)} not written yet. {step}")
    elif missing:
        found.append(f"{listing(missing)} is missing; the numbers cannot be traced back fully.")
    found += run.changed
    last = run.setting("trainer.max_epochs")
    done = run.log.n_epochs if run.log else 0
    stops_early = run.setting("run.patience") is not None
    if isinstance(last, int) and 0 < done < last and not stops_early:
        found.append(
            f"Training stopped after {done} of {last} epochs; `pahcl fit` goes on with it."
        )
    return found


def support_warnings(run: Run, task: Task) -> list[str]:
    """Warn of classes and outputs with too little to measure in the records that were scored."""
    one, many = scored_units(task)
    if task.kind == "regression":
        labelled = {name: run.support(name).get("labelled", FEW_POSITIVES) for name in task.classes}
        thin = [f"{name} ({n})" for name, n in labelled.items() if n < FEW_POSITIVES]
        return [f"Fewer than {FEW_POSITIVES} labelled {many}: {listing(thin)}."] if thin else []
    supports = {name: run.support(name) for name in task.classes}
    known = {name: s for name, s in supports.items() if "positives" in s}
    undefined = [n for n, s in known.items() if not s["positives"] or not s.get("negatives", 1)]
    few = [
        f"{n} ({s['positives']})" for n, s in known.items() if 0 < s["positives"] < FEW_POSITIVES
    ]
    found = []
    if undefined:
        left = len(task.classes) - len(undefined)
        effect = f"; the macro AUROC is the mean over {left} of {len(task.classes)} classes"
        found.append(
            f"Not defined, because all {many} are positive or all are negative: "
            f"{listing(undefined)}{effect if len(task.classes) > 1 else ''}."
        )
    if few:
        found.append(
            f"Fewer than {FEW_POSITIVES} positive {many}: {listing(few)}. One {one} more or less "
            "moves these numbers visibly."
        )
    return found


def _thresholds(run: Run, task: Task) -> list[str]:
    """Warn of thresholds that were chosen on too few positives."""
    by_class = run.counted("val").get("by_class")
    if not isinstance(by_class, dict) or task.kind not in ("binary", "multilabel"):
        return []
    rare = [f"{name} ({n})" for name, n in by_class.items() if int(n) < FEW_FOR_THRESHOLD]
    if not rare:
        return []
    return [
        f"Thresholds were chosen on fewer than {FEW_FOR_THRESHOLD} positive validation records: "
        f"{listing(rare)}. F1, sensitivity and specificity depend on them."
    ]


def people_warnings(run: Run) -> list[str]:
    """Warn where too few people were scored for a bootstrap over them."""
    people = run.metrics.get("n_subjects")
    if not isinstance(people, int) or people >= FEW_PEOPLE:
        return []
    return [
        f"Only {count(people, 'person', 'people')} were scored; intervals drawn from so few are "
        "narrower than the truth."
    ]


def _wide(run: Run, task: Task) -> list[str]:
    primary = run.primary
    bounded = task.kind != "regression"
    if primary is None or not primary.known:
        return []
    if not primary.has_ends:
        return ["The primary metric has no interval: too few people to resample."]
    if found := people_warnings(run):
        return found
    if bounded and primary.width > WIDE:
        return [
            f"The interval is wide ({number(primary.width, 2)}): there are too few test people to "
            "tell runs apart that differ by less."
        ]
    return []
