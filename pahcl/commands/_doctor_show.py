"""How `pahcl doctor` says what it has found: by severity and kind, with counts and examples."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from pahcl.store import Finding
from pahcl.store.verify import Severity

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")
SHOWN_TEXTS = 4
SHOWN_RECORDS = 5
SHOWN_GROUPS = 20

_NAMES = re.compile(r"\S*\d\S*")


def verdict(findings: Iterable[Finding]) -> str:
    """Count findings by severity, in words."""
    counts = Counter(finding.severity for finding in findings)
    said = [f"{counts[name]} {name}(s)" for name in SEVERITIES if counts[name]]
    return ", ".join(said) if said else "sound, nothing was found."


def lines_of(findings: list[Finding]) -> Iterator[str]:
    """Write findings, the worst first; equal sentences once, with all that they concern."""
    groups: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.kind].append(finding)
    order = sorted(groups, key=lambda key: SEVERITIES.index(key[0]))
    for severity, kind in order[:SHOWN_GROUPS]:
        group = groups[severity, kind]
        yield f"  {severity}: {kind}" + (f" ({len(group)})" if len(group) > 1 else "")
        yield from _texts(group)
    if len(order) > SHOWN_GROUPS:
        yield f"  {len(order) - SHOWN_GROUPS} more kinds; `--json FILE` holds them all"


def _texts(group: list[Finding]) -> Iterator[str]:
    """Write each sort of sentence once, as it stands for its first record."""
    sorts: dict[str, list[Finding]] = defaultdict(list)
    for finding in group:
        sorts[_alike(finding)].append(finding)
    for sort in list(sorts.values())[:SHOWN_TEXTS]:
        names = [finding.where for finding in sort]
        shown = "; ".join(names[:SHOWN_RECORDS])
        if len({finding.text for finding in sort}) > 1:
            yield f"    {names[0]}: {sort[0].text}"
            if len(names) > 1:
                yield f"      alike: {'; '.join(names[1:SHOWN_RECORDS])}{_more(names)}"
        else:
            yield f"    {shown}{_more(names)}: {sort[0].text}"
    if len(sorts) > SHOWN_TEXTS:
        left = sum(len(sort) for sort in list(sorts.values())[SHOWN_TEXTS:])
        yield f"    … and {left} more; `--json FILE` holds them all"


def _more(names: list[str]) -> str:
    return f" and {len(names) - SHOWN_RECORDS} more" if len(names) > SHOWN_RECORDS else ""


def _alike(finding: Finding) -> str:
    """Write a sentence without what names or counts in it, by which sorts are told."""
    return _NAMES.sub("…", finding.text)
