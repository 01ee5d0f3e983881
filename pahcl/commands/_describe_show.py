"""What `pahcl describe` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pahcl.commands._describe_task import pairs
from pahcl.reports.names import count, number, percent, rounded_percent
from pahcl.task import Task

WIDE = 200
"""Columns of a table that is written to a file or a pipe."""

_REASONS = 12
_PAIRS = 12
_GROUP_VALUES = 12
_CLASSES = 12
_Facts = Mapping[str, Any]


def console() -> Console:
    """Write as wide as the terminal is, or wide where there is none."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDE)


def overview(console: Console, datasets: Iterable[_Facts]) -> None:
    """Draw one row a data set."""
    rows = [
        (
            facts["name"],
            facts["title"],
            facts["modality"],
            str(len(facts["leads"]) or "any"),
            facts["unit"],
            _rates(facts["rates"]) or "any",
            facts["version"],
            facts["licence"],
            facts["here"],
            ", ".join(facts["tasks"]),
        )
        for facts in datasets
    ]
    heads = ("name", "title", "modality", "leads", "unit", "Hz", "version", "licence", "here")
    _table(console, (*heads, "tasks"), rows, "Data sets")
    _say(
        console,
        "here: whether its store or its files are where training looks for them. `pahcl describe "
        "DATASET` says more.",
    )


def dataset(console: Console, facts: _Facts) -> None:
    """Print what is known of a data set, and what is there."""
    known, there = facts["dataset"], facts["contents"]
    _say(console, known["summary"])
    _facts(console, f"{known['name']}: {known['title']}", _about(known))
    labelled = facts.get("labelled_records")
    heads = ("task", "kind", "level", "primary metric", "classes")
    rows = [
        (
            name,
            task["kind"],
            task["level"],
            task["primary_metric"],
            _some(task["classes"], _CLASSES),
            *([f"{labelled[name]:,}"] if labelled else []),
        )
        for name, task in known["tasks"].items()
    ]
    if rows:
        _table(console, (*heads, *(["labelled records"] if labelled else [])), rows, "Tasks")
    if known["options"]:
        _facts(console, f"Options of `pahcl prepare {known['name']}`", known["options"].items())
    if there is not None:
        _facts(console, f"What is there: {there['path']}", _there(there))
        _notes(console, there)


def task(console: Console, facts: _Facts, task: Task) -> None:
    """Print what is known of a task, and its labels where there are any."""
    known, there = facts["dataset"], facts["contents"]
    rows = [
        ("data set", f"{known['title']} {known['version']} ({known['licence']})"),
        ("kind", task.kind),
        ("level", task.level),
        ("primary metric", f"{task.primary_metric} ({task.mode})"),
        ("outputs" if task.kind == "regression" else "classes", ", ".join(task.classes)),
        ("label columns", _some(task.columns, _CLASSES)),
    ]
    rows += [("unit", task.unit)] if task.unit else []
    rows += [("official scorer", task.scorer)] if task.scorer else []
    _facts(console, f"{known['name']} {task.name}", rows)
    if there is None:
        return
    _origin(console, there)
    labels = facts["labels"]
    if task.kind == "regression":
        _outputs(console, task, labels)
    else:
        alone = there["subjects"] == there["counts"]["kept"]
        for unit in ("records",) if alone else ("records", "subjects"):
            _classes(console, labels["parts"], unit)
        if alone:
            _say(
                console,
                "Each record counts as a subject of its own, so counts are the same.",
            )
    _together(console, task, labels)
    if there["why_no_splits"]:
        _say(console, f"No splits: {there['why_no_splits']}")


def _about(known: _Facts) -> list[tuple[str, str]]:
    signals = [
        ("leads", f"{len(known['leads'])}: {', '.join(known['leads'])}"),
        ("unit", known["unit"]),
        ("rates", f"{_rates(known['rates'])} Hz"),
        ("usual window", f"{known['window_seconds'] or 0:g} s"),
    ]
    return [
        ("modality", known["modality"]),
        *(signals if known["rates"] else [("signals", "what the files hold")]),
        ("version", known["version"]),
        ("licence", known["licence"]),
        ("homepage", known["homepage"]),
        ("cite", known["citation"]),
    ]


def _there(there: _Facts) -> list[tuple[str, str]]:
    counts, per_subject = there["counts"], there["records_per_subject"]
    packed = there["kind"] == "store"
    rows = [
        ("read from", "a store" if packed else "the publisher's tables"),
        ("version", "SIMULATED records" if there["simulated"] else there["version"]),
        ("records found", f"{counts['found']:,}"),
        ("kept" if packed else "listed", f"{counts['kept']:,}"),
        ("rejected" if packed else "rejected so far", f"{counts['rejected']:,}"),
        ("subjects", f"{there['subjects']:,}"),
    ]
    if per_subject["known"]:
        text = f"{per_subject['mean']:.3g} on average, {per_subject['max']:.0f} at most"
        rows.append(("records a subject", text))
    if packed:
        signals = f"{len(there['leads'])} leads, {there['fs']:g} Hz, {there['unit']}"
        rows.append(("signals", signals))
        rows.append(("duration", f"{_spread(there['seconds'], 's')}; {there['hours']:,.1f} h"))
    if there["age"] is not None:
        rows.append(("age", _spread(there["age"], "years")))
    rows += [("sex", _values(there["sex"]))] if there["sex"] is not None else []
    rows += [(name, _values(values)) for name, values in there["groups"].items()]
    for name, size in (there["splits"] or {}).items():
        text = f"{count(size['records'], 'record')} of {count(size['subjects'], 'subject')}"
        rows.append((name if name == "left out" else f"split: {name}", text))
    flags = {name: found for name, found in (there["quality"] or {}).items() if found}
    rows += [(f"quality: {name}", count(found, "record")) for name, found in flags.items()]
    if there["quality"] is not None and not flags:
        rows.append(("quality", "no record is flagged"))
    rows += [(f"note: {text}", f"{found:,}") for text, found in there["notes"].items()]
    return rows


def _notes(console: Console, there: _Facts) -> None:
    reasons = list(there["rejected"].items())
    for reason, found in reasons[:_REASONS]:
        _say(console, f"rejected {found:,}: {reason}")
    if len(reasons) > _REASONS:
        rest = sum(found for _, found in reasons[_REASONS:])
        _say(console, f"rejected {rest:,}: {len(reasons) - _REASONS} further reasons")
    if there["why_no_splits"]:
        _say(console, f"No splits: {there['why_no_splits']}")
    for sentence in there["found"]:
        _say(console, f"found out: {sentence}")


def _origin(console: Console, there: _Facts) -> None:
    read = "store" if there["kind"] == "store" else "publisher's tables"
    kind = "SIMULATED records" if there["simulated"] else f"version {there['version']}"
    kept = count(there["counts"]["kept"], "record")
    subjects = count(there["subjects"], "subject")
    _say(console, f"{there['path']} ({read}, {kind}): {kept} of {subjects}.")


def _classes(console: Console, parts: Mapping[str, _Facts], unit: str) -> None:
    rows = [
        (name, *(_share(part["classes"][name][unit]) for part in parts.values()))
        for name in parts["all"]["classes"]
    ]
    rows.append(("unlabelled", *(f"{part[unit]['unlabelled']:,}" for part in parts.values())))
    rows.append((f"all {unit}", *(f"{part[unit]['number']:,}" for part in parts.values())))
    more = "" if unit == "records" else "; a subject has a class if any of its records has it"
    title = f"Positive {unit}, and their share of the labelled ones{more}"
    _table(console, ("class", *parts), rows, title, numbers=True)


def _outputs(console: Console, task: Task, labels: _Facts) -> None:
    names = ("min", "quarter", "median", "three_quarters", "max", "mean", "std")
    for output in task.classes:
        rows = []
        for name, part in labels["parts"].items():
            found = part["outputs"][output]
            values = (number(found.get(key, float("nan")), 1) for key in names)
            subjects = part["subjects"]
            people = subjects["number"] - subjects["unlabelled"]
            counts = (found["known"], found["missing"], people)
            rows.append((name, *(f"{value:,}" for value in counts), *values))
        heads = ("", "records", "unlabelled", "subjects", "min", "25 %", "median", "75 %", "max")
        title = f"{output} in {task.unit}" if task.unit else output
        _table(console, (*heads, "mean", "std"), rows, title, numbers=True)


def _together(console: Console, task: Task, labels: _Facts) -> None:
    """Print what occurs together: a matrix of few classes, the pairs of many."""
    if task.kind != "multilabel":
        return
    per_record = labels["labels_per_record"].items()
    text = ", ".join(f"{found:,} with {positive}" for positive, found in per_record)
    _say(console, f"Labelled records by their number of positive classes: {text or 'none'}.")
    together = labels["together"]
    if len(task.classes) <= _CLASSES:
        cells = zip(task.classes, together, strict=True)
        rows = [(name, *(f"{value:,}" for value in values)) for name, values in cells]
        title = "Records with both classes"
        _table(console, ("", *task.classes), rows, title, numbers=True)
        return
    found = pairs(task, together, _PAIRS)
    rows = [(f"{one} + {other}", f"{value:,}") for one, other, value in found]
    _table(console, ("pair", "records"), rows, "Most frequent pairs", numbers=True)


def _share(counted: _Facts) -> str:
    if counted["prevalence"] is None:
        return "not labelled"
    if not counted["positive"]:
        return "0"
    return f"{counted['positive']:,} ({rounded_percent(counted['prevalence'])})"


def _spread(found: _Facts, unit: str) -> str:
    """Write a distribution: median, quartiles, ends, and what is missing."""
    missing = f"; missing {found['missing']:,}" if found["missing"] else ""
    if not found["known"]:
        return f"not known{missing}"
    low, one, middle, three, high = (
        f"{found[name]:.4g}" for name in ("min", "quarter", "median", "three_quarters", "max")
    )
    if low == high:
        return f"{low} {unit}{missing}"
    return f"{middle} {unit} (half {one} to {three}, all {low} to {high}){missing}"


def _values(found: _Facts) -> str:
    counts = list(found["counts"].items())
    total = sum(found["counts"].values()) + found["missing"]
    text = ", ".join(f"{name} {value:,}" for name, value in counts[:_GROUP_VALUES])
    if found["different"] > len(counts[:_GROUP_VALUES]):
        text += f" and {found['different'] - len(counts[:_GROUP_VALUES]):,} more"
    if found["missing"]:
        text += f"; missing {found['missing']:,} ({percent(round(found['missing'] / total, 3))})"
    return text.removeprefix("; ")


def _rates(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)


def _some(names: Iterable[str], most: int) -> str:
    """Write names in a row, and how many there are where some are left out."""
    listed = list(names)
    text = ", ".join(listed[:most])
    return text if len(listed) <= most else f"{text} … ({len(listed)})"


def _facts(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    table = Table(title=Text(title, style="bold"), show_header=False, title_justify="left")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    console.print(table)


def _table(
    console: Console,
    heads: Iterable[str],
    rows: Iterable[tuple[str, ...]],
    title: str,
    numbers: bool = False,
) -> None:
    table = Table(title=Text(title, style="bold"), title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(
            Text(head), overflow="fold", justify="right" if numbers and place else "left"
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _say(console: Console, text: str) -> None:
    """Print a sentence whole, however narrow the terminal."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
