"""How `pahcl doctor` examines one path after the other, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pahcl.commands import _doctor_content as content
from pahcl.commands import _doctor_runs as of_runs
from pahcl.commands._doctor_headers import examine_headers
from pahcl.commands._doctor_place import Place
from pahcl.commands._doctor_places import is_store, open_folder, open_store
from pahcl.commands._doctor_records import Survey
from pahcl.commands._doctor_sounds import States
from pahcl.commands._doctor_tables import examine_table, stem_of
from pahcl.errors import PahclError, RecordError, UsageError
from pahcl.evaluation.run import RunFolder, find_runs
from pahcl.signals.recording import Recording
from pahcl.store import Finding, verify

if TYPE_CHECKING:
    from rich.progress import Progress

_NAMED = 5
_MANY = 1000


@dataclass
class Examined:
    """Hold what was found at one path, or between several.

    Args:
        described: What was examined, in words.
        findings: What was found.
        said: Facts for `--json`.
        place: The recordings.
        digests: Contents of the records read, by row.
    """

    described: str
    findings: list[Finding]
    said: dict[str, Any] = field(default_factory=dict)
    place: Place | None = None
    digests: dict[int, bytes] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Write it as plain types."""
        return {**self.said, "findings": [asdict(finding) for finding in self.findings]}


def sort_out(paths: list[Path], dataset: str | None) -> tuple[list[RunFolder], list[Path]]:
    """Tell runs (and folders of runs) from recordings.

    Raises:
        UsageError: There is nothing at a path, or only stores below it.
    """
    runs: list[RunFolder] = []
    folders: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(
                f"There is no folder {path}, and no file: `pahcl doctor` wants a store, a folder "
                "of recordings, or a run."
            )
        if dataset is None and not is_store(path) and (below := _runs(path)):
            runs += below
            continue
        _require_no_shelf(path, dataset)
        folders.append(path)
    return list(dict.fromkeys(runs)), list(dict.fromkeys(folders))


def _runs(path: Path) -> list[RunFolder]:
    """Find the runs at or below a folder: `runs`, `runs/<experiment>` or a run itself."""
    levels = (path, *path.glob("*"), *path.glob("*/*")) if path.is_dir() else ()
    # A folder of recordings may hold a `config.yaml` somewhere deep down: it is no folder of runs.
    looks = next((level for level in levels if RunFolder(level).is_run), None)
    return find_runs([path]) if looks is not None else []


def _require_no_shelf(path: Path, dataset: str | None) -> None:
    if dataset is not None or is_store(path) or not path.is_dir():
        return
    stores = [str(folder) for folder in sorted(path.glob("*")) if is_store(folder)]
    if stores:
        more = " …" if len(stores) > _NAMED else ""
        raise UsageError(
            f"{path} is not the folder of a store. It holds stores, to be examined by their own "
            f"names: {' '.join(stores[:_NAMED])}{more}."
        )


def examine(path: Path, dataset: str | None, records: int) -> Examined:
    """Examine the recordings at a path.

    Args:
        path: A store, a folder or a file.
        dataset: Name of the data set, or None.
        records: How many signals are read at most; 0 = all.
    """
    place = open_store(path) if dataset is None and is_store(path) else open_folder(path, dataset)
    if isinstance(place, Finding):
        return Examined(str(path), [place], {"path": str(path), "kind": "store"})
    findings = list(place.findings)
    if place.store is not None:
        findings += verify(place.store)
    findings += examine_table(place)
    survey, rows = _read_records(place, records, findings)
    if place.store is None:
        findings += _equal_files(place, survey)
        findings += _headers(place, rows)
    count = len(place.table)
    read = "" if len(rows) == count else f", {len(rows)} of them read"
    described = f"{path}: {place.dataset} ({place.kind}), {count} records{read}"
    said = {
        "path": str(path),
        "kind": place.kind,
        "dataset": place.dataset,
        "records": count,
        "records_read": survey.read,
    }
    return Examined(described, findings, said, place, survey.digests)


def _read_records(place: Place, records: int, findings: list[Finding]) -> tuple[Survey, list[int]]:
    """Read records that are spread evenly over the table, and say what is found in them."""
    count = len(place.table)
    rows = (
        range(count)
        if records in (0, count) or records > count
        else (np.unique(np.linspace(0, count - 1, records).round().astype(int)).tolist())
    )
    survey, states = Survey(place.unsaid), States()
    annotated = place.store is None and hasattr(place.module, "states")
    with _progress() as bar:
        task = bar.add_task("reading", total=len(rows))
        for row in rows:
            recording = _read(place, row, findings)
            if recording is not None:
                survey.add(row, recording)
                if annotated:
                    said = {str(k): v for k, v in place.table.iloc[row].to_dict().items()}
                    states.add(place.module, place.path, said, recording)
            bar.advance(task)
    findings += survey.conclude(place.dataset)
    findings += states.conclude(place.dataset)
    return survey, list(rows)


def _read(place: Place, row: int, findings: list[Finding]) -> Recording | None:
    """Read one record; a record that cannot be read is a finding."""
    record = str(place.table["record_id"].iloc[row])
    try:
        return place.read(row)
    except RecordError as error:
        findings.append(Finding("not usable", record, error.reason, "warning"))
    except (PahclError, OSError, ValueError, KeyError) as error:
        text = f"cannot be read ({type(error).__name__}: {error})"
        findings.append(Finding("not usable", record, text, "warning"))
    return None


def _equal_files(place: Place, survey: Survey) -> Iterator[Finding]:
    with _progress() as bar:
        task = bar.add_task("comparing files", total=len(place.table))
        files = content.fingerprints(place, lambda: bar.advance(task))
    yield from content.repeated(place, survey.digests, files)


def _headers(place: Place, rows: list[int]) -> Iterator[Finding]:
    """Look at the WFDB headers of the records that were read, and of as many that are no use."""
    files = [str(file) for file in place.table["file"].iloc[rows]]
    files += [one.file for one in place.rejected[: max(len(rows), _MANY)]]
    # A rejected row may name a file outside of the folder, which is none of its own.
    inside = [f for f in files if not Path(f).is_absolute() and ".." not in Path(f).parts]
    headers = dict.fromkeys(place.path / f"{stem_of(file)}.hea" for file in inside)
    yield from examine_headers(place.path, (path for path in headers if path.is_file()))


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar


def examine_between(examined: list[Examined], runs: list[RunFolder]) -> list[Examined]:
    """Examine runs, and hold data sets and runs against each other."""
    done: list[Examined] = []
    placed = [one for one in examined if one.place is not None]
    if len(placed) > 1:
        places = [one.place for one in placed if one.place is not None]
        names = [str(place.path) for place in places]
        found = list(content.across(places, [one.digests for one in placed], names))
        done.append(Examined("between the data sets", found, {"kind": "between data sets"}))
    known: list[of_runs.RunSplits] = []
    for run in runs:
        opened = of_runs.open_run(run)
        what = {"path": str(run.path), "kind": "run"}
        if isinstance(opened, Finding):
            done.append(Examined(str(run.path), [opened], what))
            continue
        known.append(opened)
        described = f"{run.path}: run on {opened.dataset}, {len(opened.table)} records"
        said = {**what, "dataset": opened.dataset, "records": len(opened.table)}
        done.append(Examined(described, list(of_runs.within(opened)), said))
    if len(known) > 1:
        described = f"between {len(known)} runs"
        findings = list(of_runs.between(known))
        done.append(Examined(described, findings, {"kind": "between runs"}))
    return done
