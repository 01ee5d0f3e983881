"""The packed signal store: written once, read by batched gathers."""

from pahcl.store.cycles import CycleManifest, CycleTable, cycle_names
from pahcl.store.derive import derive_store
from pahcl.store.manifest import FORMAT_VERSION, Index, Manifest, Rejection, ShardInfo
from pahcl.store.patience import is_machines_fault
from pahcl.store.reader import Gathered, SignalStore
from pahcl.store.verify import Finding, verify
from pahcl.store.writer import merge, write_store

__all__ = [
    "FORMAT_VERSION",
    "CycleManifest",
    "CycleTable",
    "Finding",
    "Gathered",
    "Index",
    "Manifest",
    "Rejection",
    "ShardInfo",
    "SignalStore",
    "cycle_names",
    "derive_store",
    "is_machines_fault",
    "merge",
    "verify",
    "write_store",
]
