"""What `pahcl doctor` reads in WFDB headers, without the signals: names, gains, units, ages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pahcl.commands._doctor_tables import shown
from pahcl.store import Finding

Named = dict[str, list[str]]
"""Names of records by what they have in common."""


def _named() -> Named:
    return defaultdict(list)


@dataclass
class Headers:
    """Gather what single headers say.

    Args:
        root: The folder, for names in findings.
    """

    root: Path
    findings: list[Finding] = field(default_factory=list)
    count: int = 0
    signals: dict[Path, Named] = field(default_factory=lambda: defaultdict(_named))
    gains: Named = field(default_factory=_named)
    units: Named = field(default_factory=_named)
    codes: Named = field(default_factory=_named)
    no_age: list[str] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Take in one header."""
        where = str(path.relative_to(self.root))
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            self.findings.append(Finding("header", where, str(error), "warning"))
            return
        self.count += 1
        said = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        if not said:
            self.findings.append(Finding("header", where, "it is empty", "warning"))
            return
        if (stated := said[0][0].split("/")[0]) != path.stem:
            text = f"the header names the record {stated}: WFDB's own readers refuse it"
            self.findings.append(Finding("record name", where, text, "warning"))
        self.signals[path.parent][str(len(said) - 1)].append(path.stem)
        for gain, unit in sorted({_gain(words) for words in said[1:]}):
            self.gains[gain].append(path.stem)
            if unit:
                self.units[unit].append(path.stem)
        if any(_is_missing_age(line) for line in lines):
            self.no_age.append(path.stem)
        for code in sorted({code for line in lines for code in _codes(line)}):
            self.codes[code].append(path.stem)

    def conclude(self) -> Iterator[Finding]:
        """Say what the headers tell together."""
        yield from self.findings
        for folder in sorted(self.signals):
            there = sum(map(len, self.signals[folder].values()))
            yield from _mixture("signals", folder, self.signals[folder], "signals a record", there)
        yield from _mixture("gains", self.root, self.gains, "counts a unit", self.count)
        yield from _mixture("units", self.root, self.units, "unit", self.count)
        yield from _unknown_codes(self.root, self.codes)
        if 0 < len(self.no_age) < self.count:
            text = f"{len(self.no_age)} of {self.count} headers state no age: {shown(self.no_age)}"
            yield Finding("age missing", str(self.root), text, "hint")


def examine_headers(root: Path, headers: Iterable[Path]) -> Iterator[Finding]:
    """Look for what differs from header to header, or is not as WFDB has it.

    Args:
        root: The folder, for names in findings.
        headers: The header files.
    """
    survey = Headers(root)
    for path in headers:
        survey.add(path)
    yield from survey.conclude()


def _gain(words: list[str]) -> tuple[str, str]:
    """Read gain and unit of a signal's line; a gain that is not there is WFDB's 200."""
    if len(words) < 3:
        return "none", ""
    gain, _, unit = words[2].partition("/")
    number = gain.split("(")[0]
    try:
        value = float(number)
    except ValueError:
        return number[:20], unit
    return (f"{value:g}" if value else "none"), unit


def _is_missing_age(line: str) -> bool:
    key, _, value = line.lstrip("# ").partition(":")
    missing = value.strip().lower() in {"", "nan", "unknown"}
    return line.startswith("#") and key.strip().lower() == "age" and missing


def _mixture(
    kind: str, root: Path, found: dict[str, list[str]], what: str, count: int
) -> Iterator[Finding]:
    if len(found) < 2:
        return
    usual = max(found, key=lambda value: len(found[value]))
    others = [
        f"{value} in {len(names)} ({shown(names)})"
        for value, names in sorted(found.items(), key=lambda item: -len(item[1]))
        if value != usual
    ]
    text = f"{what}: {usual} in {len(found[usual])} of {count} headers, {'; '.join(others)}"
    yield Finding(kind, str(root), text, "hint")


def _codes(line: str) -> list[str]:
    """Read the diagnoses' codes of a comment `#Dx: 426783006,59118001`."""
    key, _, value = line.lstrip("# ").partition(":")
    if not line.startswith("#") or key.strip().lower() != "dx":
        return []
    return [word.strip() for word in value.split(",") if word.strip()]


def _unknown_codes(root: Path, codes: dict[str, list[str]]) -> Iterator[Finding]:
    """Hold the codes of diagnoses against the table of codes that lies beside the records."""
    tables = sorted(root.glob("*SNOMED*.csv"))
    if not tables:
        return
    text = tables[0].read_text(encoding="utf-8-sig", errors="replace")
    known = {word.strip().strip('"') for line in text.splitlines() for word in line.split(",")}
    unknown = sorted(set(codes) - known, key=lambda code: (-len(codes[code]), code))
    if unknown:
        records = {record for code in unknown for record in codes[code]}
        text = (
            f"{len(unknown)} codes of diagnoses, in {len(records)} records, are not in "
            f"{tables[0].name}: {shown(f'{code} ({len(codes[code])})' for code in unknown)}"
        )
        yield Finding("codes without a name", str(root), text, "hint")
