"""Heart cycles by their rhythm in real recordings, against what was annotated by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.evaluation.heart_cycle_pool import pool
from pahcl.evaluation.heart_cycles import score_recording
from pahcl.signals.heart_cycles.rhythm import Rhythm


def test_beats_of_all_sets_are_found_and_confidence_tells_right_from_wrong(samples: Path) -> None:
    root = samples / "physionet2016"
    table = PhysioNet2016DataModule.index(root, 2000.0).table
    scores = []
    for _, one in table.iloc[::6].iterrows():
        row = {str(name): value for name, value in one.items()}
        states = PhysioNet2016DataModule.states(root, row)
        if states is not None:
            recording = PhysioNet2016DataModule.read(root, row)
            scores.append(score_recording(Rhythm()(recording.signal[0], recording.fs), states))
    assert len(scores) > 80
    found = pool(scores, samples=0)
    assert found.metrics["f1_60"].value > 0.88
    assert found.metrics["whole_beats"].value > 0.9
    assert found.metrics["rate_close"].value > 0.93
    right = np.concatenate([one.right for one in scores])
    sure = np.concatenate([one.confidence for one in scores])
    assert right[sure > 0.9].mean() > 0.93
    assert right[sure < 0.5].mean() < 0.85
