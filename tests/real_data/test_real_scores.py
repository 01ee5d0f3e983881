"""The publishers' own label tables, scored with answers whose score is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pahcl.cli import main
from pahcl.evaluation.predictions import predictions_table, write_predictions
from pahcl.task import Task

NINE = ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")


def scored(folder: Path, *words: str) -> dict[str, dict[str, float]]:
    out = folder / "s.json"
    assert main(["score", *words, "--samples", "20", "--json", str(out)]) == 0
    metrics: dict[str, dict[str, float]] = json.loads(out.read_text())["metrics"]
    return metrics


def test_every_patient_of_circor_called_present(samples: Path, tmp_path: Path) -> None:
    labels = samples / "circor" / "training_data.csv"
    patients = pd.read_csv(labels)
    task = Task("m", "multiclass", ("Present", "Unknown", "Absent"), ("Murmur",), "macro_auroc")
    ids = patients["Patient ID"].astype(str).tolist()
    answers = np.tile([0.8, 0.1, 0.1], (len(ids), 1))
    path = tmp_path / "p.parquet"
    write_predictions(path, predictions_table(task, ids, ids, task.targets(patients), answers))
    found = scored(tmp_path, "cinc2022_murmur", str(path), "--labels", str(labels))
    assert round(found["weighted_accuracy"]["value"], 3) == 0.499
    assert round(found["cost"]["value"]) == 14851


def test_the_right_answers_to_cpsc2018(samples: Path, tmp_path: Path) -> None:
    labels = samples / "cpsc2018" / "REFERENCE.csv"
    reference = pd.read_csv(labels)
    codes = reference[["First_label", "Second_label", "Third_label"]].to_numpy(float)
    target = (codes[:, :, None] == np.arange(1, 10)).any(axis=1).astype(float)
    ids = reference["Recording"].tolist()
    task = Task("nine", "multilabel", NINE, NINE, "macro_auroc")
    path = tmp_path / "p.parquet"
    write_predictions(path, predictions_table(task, ids, ids, target, target))
    found = scored(tmp_path, "cpsc2018", str(path), "--labels", str(labels))
    assert {name: value["value"] for name, value in found.items()} == pytest.approx(
        dict.fromkeys(("f1", "f1_af", "f1_block", "f1_premature", "f1_st"), 1.0)
    )


@pytest.mark.parametrize("part", list("abcdef"))
def test_every_recording_of_2016_called_unsure(samples: Path, tmp_path: Path, part: str) -> None:
    labels = samples / "physionet2016" / f"training-{part}" / "REFERENCE-SQI.csv"
    reference = pd.read_csv(labels, header=None, names=["record_id", "label", "quality"])
    ids = reference["record_id"].tolist()
    task = Task("abnormal", "binary", ("abnormal",), ("abnormal",), "auroc")
    table = predictions_table(
        task, ids, ids, (reference["label"] == 1).to_numpy(float), np.full(len(ids), 0.5)
    )
    path = tmp_path / "p.parquet"
    write_predictions(path, table)
    words = ("cinc2016", str(path), "--labels", str(labels), "--unsure", "0.4", "0.6")
    found = scored(tmp_path, *words)
    # Unsure is right for noisy recordings alone, so each rate is the share of noisy ones.
    noisy = (reference["quality"] == 0).groupby(reference["label"]).mean()
    assert found["sensitivity"]["value"] == pytest.approx(noisy[1])
    assert found["specificity"]["value"] == pytest.approx(noisy[-1])
