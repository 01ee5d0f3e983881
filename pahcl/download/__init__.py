"""Fetch data sets from their publishers: resumable, checked, unpacked with care."""

from pahcl.download.client import Client, Patience
from pahcl.download.selection import Selection, parse_records, select
from pahcl.download.sources import PhysioNet, Site, Source, Zenodo
from pahcl.download.work import Failure, Fetcher, Outcome, require_place, workplace

__all__ = [
    "Client",
    "Failure",
    "Fetcher",
    "Outcome",
    "Patience",
    "PhysioNet",
    "Selection",
    "Site",
    "Source",
    "Zenodo",
    "parse_records",
    "require_place",
    "select",
    "workplace",
]
