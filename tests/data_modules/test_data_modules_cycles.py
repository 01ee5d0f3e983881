"""Data modules that serve heart cycles: which, how often, counted by label, scored by record."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from cycle_tables import steady_cycles, write_cycles

from data_modules._cycles import WHOLE_RECORD, Cycles
from data_modules._dataset import Batch
from data_modules.circor import CirCorDataModule
from data_modules.ptbxl import PTBXLDataModule
from pahcl.cli import main
from pahcl.errors import StoreError, UsageError
from pahcl.modules.checkpoint import read_checkpoint
from pahcl.signals import crop_or_pad, resample
from pahcl.signals.augment import RandomCrop, preset
from pahcl.signals.heart_cycles.lengths import SHARES
from pahcl.simulation import circor
from pahcl.store import SignalStore

ROOT = Path(__file__).parents[2]
SILENT, ALL_BAD = 0, 5
LEARNED = Cycles()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small CirCor and its stores, with tables of cycles."""
    base = tmp_path_factory.mktemp("cycles")
    circor.write(base / "data" / "circor", records=24, seed=7)
    original = base / "stores" / "circor"
    CirCorDataModule.prepare(base / "data" / "circor", original, progress=False)
    store = SignalStore(original)
    found = steady_cycles(store, skip=(SILENT,))
    found["quality/noise"] = found["record"] == ALL_BAD
    silent = str(store.table["record_id"].iloc[SILENT])
    write_cycles(original, "learned", found, {silent: "near silence: nothing is heard"})
    write_cycles(original, "upstream", steady_cycles(store, known=False), {})
    module(base, LEARNED).prepare_data()
    return base


def module(base: Path, cycles: Cycles | None, **settings: Any) -> CirCorDataModule:
    given: dict[str, Any] = {"fs": 1000, "batch_size": 16, **settings}
    data, store = str(base / "data" / "circor"), str(base / "stores" / "circor")
    return CirCorDataModule(root=data, store=store, cycles=cycles, prepare_workers=1, **given)


def ready(base: Path, cycles: Cycles | None = LEARNED, **settings: Any) -> CirCorDataModule:
    data = module(base, cycles, **settings)
    data.prepare_data()
    data.setup("fit")
    return data


def served(data: CirCorDataModule, split: str = "train", epoch: int = 0) -> list[Batch]:
    loader: Any = getattr(data, f"{split}_dataloader")()
    loader.sampler.set_epoch(epoch)
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def shown(batches: list[Batch]) -> list[tuple[str, int]]:
    pairs = ((zip(b["record_id"], b["cycle"].tolist(), strict=True)) for b in batches)
    return [pair for batch in pairs for pair in batch]


def test_every_cycle_comes_once_and_every_record_at_least(place: Path) -> None:
    data = ready(place)
    store = data.store
    found = steady_cycles(store, skip=(SILENT,))
    ids = store.table["record_id"].to_numpy()
    seen: list[tuple[str, int]] = []
    for split in ("train", "val", "test"):
        here = shown(served(data, split))
        assert {name for name, _ in here} == set(ids[data.rows[split]])
        seen += here
    assert max(Counter(seen).values()) == 1
    known = set(ids[np.concatenate(list(data.rows.values()))])
    expected = {
        (str(row.record_id), int(row.cycle)) for row in found.itertuples() if row.record_id in known
    }
    assert set(seen) - expected <= {(str(ids[SILENT]), WHOLE_RECORD)}
    assert expected <= set(seen)


def test_a_batch_is_what_cutting_by_hand_gives(place: Path) -> None:
    data = ready(place, replace(LEARNED, length="pad"), length=900)
    store, found = data.store, steady_cycles(data.store)
    for batch in served(data, "train")[:2]:
        assert batch["signal"].dtype == torch.float32
        for row, (name, cycle) in enumerate(shown([batch])):
            record = int(np.flatnonzero(store.table["record_id"] == name)[0])
            signal = store.read(record).signal
            if cycle == WHOLE_RECORD:
                cut, mask = crop_or_pad(signal, 900)
            else:
                own = found[(found["record"] == record) & (found["cycle"] == cycle)].iloc[0]
                begin, stop = round(own["start"] * 1000), round(own["end"] * 1000)
                cut, mask = crop_or_pad(signal[:, begin:stop], 900)
            np.testing.assert_allclose(batch["signal"][row], cut, atol=1e-6)
            np.testing.assert_array_equal(batch["mask"][row], mask)


def test_resampled_cycles_agree_with_a_polyphase_filter(place: Path) -> None:
    data = ready(place, replace(LEARNED, length="resample"), length=400)
    found = steady_cycles(data.store)
    batch = served(data, "val")[0]
    for row, (name, cycle) in enumerate(shown([batch])):
        record = int(np.flatnonzero(data.store.table["record_id"] == name)[0])
        own = found[(found["record"] == record) & (found["cycle"] == cycle)].iloc[0]
        half = resample(data.store.read(record).signal, 1000, 500)
        expected = half[0, round(own["start"] * 500) : round(own["end"] * 500)]
        scale = float(np.abs(expected).max())
        error = batch["signal"][row, 0].numpy() - expected
        assert float(np.sqrt((error**2).mean())) < 0.02 * scale


def test_normalised_cycles_with_parts(place: Path) -> None:
    asked = replace(LEARNED, length="phase", parts=4, parts_by="state")
    data = ready(place, asked, normalisation="zscore_record", length=800)
    batch = served(data)[0]
    mean = (batch["signal"].sum(2) / batch["mask"].sum(1, keepdim=True)).abs().max()
    assert float(mean) < 1e-5
    assert batch["parts"].shape == (16, 4, 1, 200)
    assert batch["parts_mask"].shape == (16, 4, 200)
    # In an 800-sample phase-normalised cycle, S1 is its first 120 samples, read at 120 / 200.
    first = batch["signal"][:, 0, :120]
    known = batch["cycle"] != WHOLE_RECORD
    torch.testing.assert_close(
        batch["parts"][known, 0, 0, ::5], first[known, ::3], atol=1e-3, rtol=0
    )


def test_some_cycles_of_each_record_are_drawn_anew_each_epoch(place: Path) -> None:
    data = ready(place, replace(LEARNED, per_record=3))
    epochs = [shown(served(data, "train", epoch)) for epoch in range(40)]
    for epoch in epochs:
        assert max(Counter(epoch).values()) == 1
        assert max(Counter(name for name, _ in epoch).values()) == 3
    assert sorted(epochs[0]) != sorted(epochs[1])
    again = ready(place, replace(LEARNED, per_record=3), batch_size=7)
    assert sorted(shown(served(again, "train", 1))) == sorted(epochs[1]), "whatever the batches"
    # Every cycle of a record is as likely.
    most = Counter(pair for epoch in epochs for pair in epoch)
    name = Counter(n for n, _ in most).most_common(1)[0][0]
    times = np.array([most[pair] for pair in most if pair[0] == name])
    assert len(times) == Counter(n for n, _ in shown(served(ready(place), "train")))[name]
    assert times.sum() == 3 * len(epochs)
    assert times.std() < 2.5 * np.sqrt(times.mean())
    # Evaluation sees all of them.
    assert len(shown(served(data, "val"))) == len(shown(served(ready(place), "val")))


def test_what_is_not_served_is_counted_by_label_and_named(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data = ready(place, replace(LEARNED, reject=("clipped", "noise"), min_confidence=0.5))
    told = data.data_receipt()["cycles"]
    json.dumps(told)
    assert told["reject"] == ["clipped", "noise"]
    assert told["source"]["finder"] == {"name": "learned"}
    table = steady_cycles(data.store, skip=(SILENT,))
    table["noise"] = table["record"] == ALL_BAD
    for split, found in told["splits"].items():
        own = table[table["record"].isin(data.rows[split])]
        counts = {reason: one["count"] for reason, one in found["rejected"].items()}
        assert counts["clipped"] == int(own["quality/clipped"].sum())
        assert counts["noise"] == int(own["noise"].sum())
        assert counts["confidence below 0.5"] == int((own["confidence"] < 0.5).sum())
        for one in found["rejected"].values():
            assert sum(one["by_class"].values()) == one["count"]
        gone = own["quality/clipped"] | own["noise"] | (own["confidence"] < 0.5)
        assert found["cycles"] == int((~gone).sum())
        assert sum(found["by_class"].values()) == found["cycles"]
    ids = data.store.table["record_id"].astype(str)
    why: dict[str, str] = {}
    for one in told["splits"].values():
        why |= one["records_without_cycles"]["why"]
    labelled = np.concatenate(list(data.rows.values()))
    expected = {SILENT: "near silence: nothing is heard", ALL_BAD: "no cycle is left"}
    assert why == {ids[row]: text for row, text in expected.items() if row in labelled}
    assert "have no heart cycle that is served" in caplog.text
    assert "rejected (clipped; Present" in caplog.text


def test_records_without_cycles_are_left_out_only_where_that_is_asked_for(place: Path) -> None:
    asked = replace(LEARNED, reject=("noise",), without_cycles="leave_out")
    kept, left = ready(place, replace(LEARNED, reject=("noise",))), ready(place, asked)
    gone = set(np.concatenate(list(kept.rows.values()))) - set(
        np.concatenate(list(left.rows.values()))
    )
    assert gone
    assert gone <= {SILENT, ALL_BAD}
    assert len(left.used_records()) == len(kept.used_records()) - len(gone)
    why = left.data_receipt()["cycles"]["splits"]["train"]["records_without_cycles"]["why"]
    assert set(why) <= set(left.store.table["record_id"].iloc[[SILENT, ALL_BAD]])
    assert (torch.cat([b["cycle"] for b in served(left)]) != WHOLE_RECORD).all()


def test_windows_need_no_table(place: Path) -> None:
    data = ready(place, Cycles(table="windows", window=1.5, hop=0.5))
    assert data.spec.length == 1500
    names = Counter(name for name, _ in shown(served(data, "val")))
    for name, count in names.items():
        seconds = data.store.lengths[data.store.table["record_id"] == name][0] / 1000
        assert count == int(np.ceil(round((seconds - 1.5) / 0.5, 6))) + 1


def test_unknown_states_are_counted_where_states_are_asked_for(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data = ready(place, Cycles(table="upstream", length="phase"))
    plain = ready(place, Cycles(table="upstream", length="resample"))
    torch.testing.assert_close(served(data, "val")[0]["signal"], served(plain, "val")[0]["signal"])
    told = data.data_receipt()["cycles"]["splits"]["val"]
    assert told["without_states"] == told["cycles"] > 0
    assert f"{told['cycles']} without states" in caplog.text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"min_confidence": 2.0}, r"cycles\.min_confidence must be from 0 to 1"),
        ({"per_record": 0}, r"cycles\.per_record must be at least 1"),
        ({"parts": 3, "parts_by": "state"}, "2, 4, 6, 8 parts by state"),
        ({"table": "windows", "length": "phase"}, "windows have no states"),
        ({"table": "windows", "hop": 3.0}, "Windows need"),
        ({"length": "phase", "shares": (1.0, 0.0, 1.0, 1.0)}, "four positive shares"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    place: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        module(place, Cycles(**asked))


def test_parts_by_state_stand_beside_what_leaves_times_alone(place: Path) -> None:
    asked = replace(LEARNED, parts=4, parts_by="state")
    with pytest.raises(UsageError, match=r"TimeShift, TimeStretch would move the sounds"):
        module(place, asked, augment=preset("pretrain"))
    module(place, replace(asked, parts_by="equal"), augment=preset("pretrain"))
    module(place, replace(asked, parts=None), augment=preset("pretrain"))
    crop = RandomCrop(p=1.0, keep=(0.5, 0.6))
    plain, cropped = (served(ready(place, asked, augment=one)) for one in (None, crop))
    for before, after in zip(plain, cropped, strict=True):
        assert 0 < after["parts_mask"].sum() < before["parts_mask"].sum()
        # What is left of a part stands where it stood; the last samples of it read over the edge.
        left = F.avg_pool1d(after["parts_mask"].flatten(1).float()[:, None], 65, 1, 32)[:, 0] > 0.99
        left = left.view(after["parts_mask"].shape).unsqueeze(2)
        same = torch.isclose(after["parts"], before["parts"], atol=1e-4)
        assert left.any()
        assert same[left].float().mean() > 0.99


def test_what_is_not_there_is_named(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"PTB-XL holds ECGs"):
        PTBXLDataModule(root=str(tmp_path), cycles=LEARNED)
    with pytest.raises(StoreError, match=r"pahcl prepare .* --cycles rhythm"):
        ready(place, Cycles(table="rhythm"))
    with pytest.raises(UsageError, match="no cycle is flagged loud; the flags of `learned` are"):
        ready(place, Cycles(reject=("loud",)))


def test_a_run_on_cycles_is_scored_by_patient_and_record(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PAHCL_DATA", str(place / "data"))
    monkeypatch.setenv("PAHCL_STORES", str(place / "stores"))
    monkeypatch.chdir(tmp_path)
    configs = [
        f"--config={ROOT / 'configs' / name}.yaml"
        for name in ("finetune/circor_murmur", "size/small_pcg", "cycles/phase")
    ]
    words = [
        *configs,
        "--data.init_args.val_fraction=0.25",
        "--data.init_args.test_fraction=0.25",
        "--data.init_args.cycles.per_record=2",
        "--data.init_args.cycles.kernel=linear",
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=1",
        "--run.name=one",
    ]
    assert main(["fit", *words]) == 0
    assert main(["test", *words]) == 0
    run = tmp_path / "runs" / "finetune" / "one"
    splits = pd.read_parquet(run / "splits.parquet")
    tested = splits[splits["split"] == "test"]
    units = pd.read_parquet(run / "predictions.parquet")
    assert sorted(units["subject_id"]) == sorted(tested["subject_id"].unique())
    records = pd.read_parquet(run / "predictions_records.parquet")
    assert sorted(records["record_id"]) == sorted(tested["record_id"])
    facts = json.loads((run / "receipt.json").read_text())
    told = facts["data"]["cycles"]
    assert told["per_record"] == 2
    assert told["splits"]["test"]["cycles"] > len(tested)
    assert main(["predict", *words, "--data.init_args.predict_split=test"]) == 0
    predicted = pd.read_parquet(run / "predicted_test.parquet").set_index("record_id")
    for name in ("Present", "Absent"):
        np.testing.assert_allclose(
            predicted[f"probability/{name}"],
            records.set_index("record_id")[f"probability/{name}"].loc[predicted.index],
            atol=1e-5,
        )
    assert main(["robustness", str(run)]) == 2
    assert "reads heart cycles" in capsys.readouterr().err
    best = run / "checkpoints" / "best.ckpt"
    assert read_checkpoint(best).cycles == {**asdict(LEARNED), "shares": [*SHARES],
        "reject": [], "length": "phase", "kernel": "linear", "per_record": 2}  # fmt: skip
    other = [*words, "--run.name=two", f"--ckpt_path={best}"]
    assert main(["test", *other, "--data.init_args.cycles.table=upstream"]) == 0
    capsys.readouterr()
    other[-2] = "--run.name=three"
    assert main(["test", *other, "--data.init_args.cycles.length=pad"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "was trained on heart cycles (`cycles.length` phase, shares [0.15" in said
    assert "the data module shows heart cycles (`cycles.length` pad)" in said
