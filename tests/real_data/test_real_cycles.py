"""Heart cycles of real recordings: in the store, judged, exported and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data_modules.circor import CirCorDataModule
from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.cli import main
from pahcl.signals.heart_cycles.cycles import whole_cycles
from pahcl.signals.heart_cycles.quality import Quality, UpstreamQuality
from pahcl.store import SignalStore, verify


def test_circor_goes_from_the_publisher_to_cycles_and_back(samples: Path, tmp_path: Path) -> None:
    root, out, export = samples / "circor", tmp_path / "store", tmp_path / "export"
    line = ["prepare", "circor", "--root", str(root), "--out", str(out), "--workers", "1"]
    assert main([*line, "--cycles", "rhythm"]) == 0
    assert main([*line, "--cycles", "annotated", "--export-cycles", str(export)]) == 0
    store = SignalStore(out)
    marked = store.cycles("annotated")
    assert len(marked) > 50
    assert store.cycles("rhythm").manifest.counts["records_without_cycles"] < len(store) / 4
    assert verify(store) == []
    for record, row in enumerate(store.table.to_dict("records")):
        states = CirCorDataModule.states(root, row)
        if states is not None:
            np.testing.assert_array_equal(marked.of(record).end, whole_cycles(states).end)
    line = ["prepare", "folder", "--root", str(export), "--out", str(tmp_path / "again")]
    assert main([*line, "--labels", "murmur", "--workers", "1"]) == 0
    again = SignalStore(tmp_path / "again")
    assert again.manifest.counts == {"found": len(marked), "kept": len(marked), "rejected": 0}
    assert again.spec.fs == 5000
    assert set(again.lengths) == {4000}
    subjects = set(store.table["subject_id"].iloc[marked.frame["record"].unique()])
    assert set(again.table["subject_id"]) == subjects


def test_few_annotated_cycles_are_flagged_and_many_would_have_been_dropped(samples: Path) -> None:
    root = samples / "physionet2016"
    table = PhysioNet2016DataModule.index(root, 2000.0).table
    ours, original, shares = [], [], {}
    for _, row in table.iloc[::12].iterrows():
        states = PhysioNet2016DataModule.states(root, row.to_dict())
        cycles = None if states is None else whole_cycles(states)
        if not cycles:
            continue
        signal = PhysioNet2016DataModule.read(root, row.to_dict()).signal[0]
        flags = Quality()(signal, 2000.0, cycles).flags
        ours.append(np.stack([*flags.values()]).any(axis=0))
        flags = UpstreamQuality()(signal, 2000.0, cycles).flags
        original.append(np.stack([*flags.values()]).any(axis=0))
        shares.setdefault(row["abnormal"], []).append(ours[-1])
    assert len(ours) > 20
    assert np.concatenate(ours).mean() < 0.1
    assert np.concatenate(original).mean() > 2 * np.concatenate(ours).mean()
    by_label = pd.Series({label: np.concatenate(found).mean() for label, found in shares.items()})
    assert by_label.max() < 0.12  # neither class is what the flags take
