"""What is shown of an attack: its spectrum, and a few records in physical units."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from test_evaluation_robustness import (
    BINARY,
    FS,
    LENGTH,
    QUICK,
    RECORDS,
    SPEC,
    Linear,
    corpus,
    examined,
    walk,
)

from pahcl.evaluation.perturbed import disturb, examine
from pahcl.evaluation.protocol import plan
from pahcl.evaluation.robustness import examples, telling_records, telling_size


def test_the_spectrum_shows_where_the_perturbation_lies() -> None:
    model = Linear()
    time = torch.arange(LENGTH) / FS
    with torch.no_grad():
        model.weight[:] = 0.01 * torch.sin(2 * torch.pi * 25 * time + 0.1).repeat(12)
    condition = plan(QUICK, BINARY, SPEC).attacks[0.01]["apgd"]
    data = corpus()
    data.mask[:] = True
    spectrum = examine(examined(model), condition, data).facts["spectrum"]
    frequency, power = np.array(spectrum["frequency"]), np.array(spectrum["perturbation"])
    assert frequency[power.argmax()] == pytest.approx(25, abs=1)
    assert len(frequency) <= 100
    # Parseval: a perturbation of one size has the power size²; a record without a label has none.
    width = np.diff(frequency).mean()
    labelled = (RECORDS - 1) / RECORDS
    assert power.sum() * width == pytest.approx(labelled * 0.01**2, rel=0.05)
    signal = np.array(spectrum["signal"])
    assert signal.sum() * width == pytest.approx(float(data.signal.square().mean()), rel=0.05)


@pytest.mark.parametrize("normalisation", ["none", "zscore_lead", "zscore_record", "minmax"])
def test_examples_come_back_in_physical_units(normalisation: Any) -> None:
    spec = dataclasses.replace(SPEC, normalisation=normalisation)
    data = corpus()
    condition = plan(QUICK, BINARY, spec).attacks[0.01]["apgd"]
    found = examples(examined(Linear(), spec=spec), condition, data, ["r3", "r31"], 0)
    assert found["record_id"].tolist() == ["r3", "r31"]
    physical = torch.tensor(found["clean"] + found["perturbation"])
    assert torch.equal(torch.tensor(found["clean"]), data.signal[[3, 31]])
    clean, mask = data.signal[[3, 31]], data.mask[[3, 31]]
    one = examined(Linear(), spec=spec)
    batch = {
        "signal": clean,
        "mask": mask,
        "target": data.target[[3, 31]],
        "record_id": ["r3", "r31"],
        "subject_id": ["a", "b"],
    }
    done = disturb(one, condition, batch, 0)
    if normalisation == "none":
        torch.testing.assert_close(physical, done.signal)
        return
    # The affine map that brings the clean signal back brings the attacked one too.
    for record in range(2):
        for lead in range(12):
            real = mask[record]
            x, y = done.clean[record, lead][real], clean[record, lead][real]
            slope = (y[1] - y[0]) / (x[1] - x[0])
            back = y[0] + slope * (done.signal[record, lead][real] - x[0])
            torch.testing.assert_close(physical[record, lead][real], back, atol=1e-4, rtol=1e-3)


def test_shown_are_the_size_and_the_records_that_tell_most() -> None:
    facts, found = walk(Linear())
    size = telling_size(BINARY, facts)
    assert size in (0.002, 0.01)
    clean, attacked = (found[key].predictions for key in ("clean", "apgd-linf-0.01"))
    names = telling_records(clean, attacked)
    assert len(set(names)) == 3
    rise = (attacked["loss"] - clean["loss"]).set_axis(clean["record_id"])
    assert names[0] == rise.idxmax()
    assert "r0" not in names  # it has no label
