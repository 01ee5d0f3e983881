"""The learned segmenter on recordings that its weights have not seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.signals.heart_cycles.learned import Learned
from pahcl.signals.heart_cycles.state_weights import CARD, weights_path
from pahcl.signals.states import S1, S2

RECORDINGS = 12
NEAR = 0.06


def test_unseen_sounds_are_found(samples: Path) -> None:
    root = samples / "physionet2016"
    card = json.loads(weights_path(None).with_name(CARD).read_text(encoding="utf-8"))
    unseen = set(card["recordings"]["physionet2016"]["test"])
    table = PhysioNet2016DataModule.index(root, 2000.0).table
    rows = table[table["record_id"].isin(unseen)].to_dict("records")
    assert len(rows) == len(unseen)
    right = said = there = 0
    for row in rows[:: len(rows) // RECORDINGS]:
        truth = PhysioNet2016DataModule.states(root, {str(key): x for key, x in row.items()})
        assert truth is not None
        samples_, fs = soundfile.read(root / f"{row['file']}.wav")
        found = Learned()(samples_, fs).states
        for state in (S1, S2):
            mine, real = ((one.start + one.end)[one.state == state] / 2 for one in (found, truth))
            near = np.abs(mine[:, None] - real) <= NEAR
            right += min(near.any(0).sum(), near.any(1).sum())
            said, there = said + len(mine), there + len(real)
    assert 2 * right / (said + there) > 0.9
