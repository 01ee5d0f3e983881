"""What the callback writes of a prediction."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from pahcl.evaluation.aggregation import aggregate
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.run import RunFolder
from pahcl.modules.callbacks import EvidenceWriter
from pahcl.task import Level, Task

RECORDS = ["7_AV", "7_MV", "9_AV", "8_AV"]
EXAMINED = ["7", "7", "9", "8"]
PEOPLE = ["7", "7", "7", "8"]  # who was examined as 7 came again as 9, with another answer


@pytest.mark.parametrize("level", ["subject", "record"])
def test_predictions_name_the_examination_where_it_is_scored(tmp_path: Path, level: Level) -> None:
    task = Task("murmur", "binary", ("Present",), ("murmur",), "auroc", level=level)
    answers = np.array([[1], [1], [0], [0]], np.float32)
    table = predictions_table(task, RECORDS, PEOPLE, answers, answers * 0.8, np.array([0.5]))
    held = pd.DataFrame({"record_id": RECORDS, "patient_id": EXAMINED})
    store = SimpleNamespace(table=held)
    data = SimpleNamespace(task=task, store=store, unit_column="patient_id", predict_split="val")
    trainer: Any = SimpleNamespace(world_size=1, is_global_zero=True, datamodule=data)
    writer = EvidenceWriter(RunFolder(tmp_path / "run"))
    writer.predicted = [table.head(2), table.tail(2)]
    writer.on_predict_end(trainer, cast("Any", None))
    found = pd.read_parquet(tmp_path / "run" / "predicted_val.parquet")
    assert ("examination_id" in found) == (level == "subject")
    if level == "subject":
        one = aggregate(found, "subject", "mean").set_index("examination_id")
        assert dict(one["target/Present"]) == {"7": 1, "9": 0, "8": 0}
