"""Training of the segmenter's network: from a config to weights that segment."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_modules._heart_state_batches import NOTHING, UNKNOWN, simulated_hearts
from data_modules._heart_states import HeartStatesDataModule
from pahcl.cli import main
from pahcl.errors import UsageError
from pahcl.evaluation.run import RunFolder
from pahcl.modules._heart_sound_changes import SoundChanges
from pahcl.modules.heart_states_export import export
from pahcl.modules.heart_states_export import main as export_main
from pahcl.signals import Filter
from pahcl.signals.heart_cycles.learned import Learned
from pahcl.signals.heart_cycles.state_network import FRAME_RATE
from pahcl.signals.heart_cycles.state_weights import CARD, WEIGHTS

CONFIG = Path(__file__).parents[2] / "configs" / "segment" / "heart_states.yaml"


def data_module(corpora, stores, **settings):
    given = {"fs": 1000, "length": 8000, "pad": "end", "batch_size": 4, **settings}
    return HeartStatesDataModule(
        root=str(corpora / "physionet2016"),
        store=str(stores / "physionet2016"),
        filter=Filter(highpass=25, lowpass=400),
        **given,
    )


@pytest.fixture(scope="module")
def data(corpora, tmp_path_factory):
    module = data_module(corpora, tmp_path_factory.mktemp("stores"), simulated=3, windows=2)
    module.prepare_data()
    module.setup()
    return module


def test_a_checksum_of_the_name_says_who_trains(data):
    used = data.used_records()
    tenths = used["record_id"].map(lambda name: zlib.crc32(name.encode()) % 10)
    assert set(used.loc[tenths < 6, "split"]) == {"train"}
    assert set(used.loc[tenths == 6, "split"]) == {"val"}
    assert set(used.loc[tenths > 6, "split"]) == {"test"}


def test_frames_have_the_annotated_state_of_their_middle(data):
    for batch in data.val_dataloader():
        for name, target, stop in zip(
            batch["record_id"], batch["target"], batch["stop"], strict=True
        ):
            row = data.store.table.index[data.store.table["record_id"] == name][0]
            length = int(data.store.lengths[row])
            begin = max(length - 8000, 0) // 2
            states = data.states_of[row]
            for frame in (0, 17, len(target) // 3):
                if 10 * frame + 5 >= int(stop):
                    continue
                when = (begin + 10 * frame + 5) / 1000
                inside = (states.start <= when) & (when < states.end)
                wanted = states.state[inside][-1] - 1 if inside.any() else UNKNOWN
                assert int(target[frame]) == wanted
            assert (target[int(stop) // 10 + 1 :] == UNKNOWN).all()


def test_an_epoch_holds_the_windows_and_the_simulated_hearts(data):
    batches = list(data.train_dataloader())
    names = [name for batch in batches for name in batch["record_id"]]
    recorded = [name for name in names if not name.startswith("simulated")]
    assert pd.Series(recorded).value_counts().eq(2).mean() > 0.9  # one may be left out at the end
    assert len(names) - len(recorded) in (2, 3)
    assert all(batch["target"].shape[1] == 8 * FRAME_RATE for batch in batches)
    again = list(data.train_dataloader())
    for one, other in zip(batches, again, strict=True):
        assert torch.equal(one["samples"], other["samples"])
        assert torch.equal(one["target"], other["target"])


def test_simulated_hearts_are_a_function_of_the_seed(data):
    one, other = (simulated_hearts(6, data.spec, seed=2) for _ in range(2))
    np.testing.assert_array_equal(one.samples, other.samples)
    assert not np.array_equal(one.samples, simulated_hearts(6, data.spec, seed=3).samples)
    for row in one.states:
        assert set(np.unique(row)) in ({NOTHING}, {0, 1, 2, 3})


def test_another_rate_is_refused(corpora, tmp_path):
    with pytest.raises(UsageError, match=r"set data\.init_args\.fs to 1000"):
        data_module(corpora, tmp_path, fs=2000)


def test_changes_keep_the_shape_and_can_be_left_out():
    torch.manual_seed(0)
    signal, target = torch.randn(4, 3000), torch.zeros(4, 300, dtype=torch.long)
    target[3] = NOTHING
    changes = SoundChanges()
    assert not torch.allclose(changes.sounds(signal, target), signal, atol=0.1)
    features = torch.randn(4, 10, 300)
    assert (changes.features(features) != features).any()
    none = SoundChanges(colour=0, noise=0, disturbance=0, bands=0, gaps=0)
    torch.testing.assert_close(none.sounds(signal, target), signal, atol=1e-5, rtol=1e-4)
    assert torch.equal(none.features(features), features)


def test_from_the_command_to_a_segmenter(corpora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    monkeypatch.setenv("PAHCL_STORES", str(tmp_path / "stores"))
    words = [
        f"--config={CONFIG}",
        "--data.init_args.simulated=8",
        "--data.init_args.windows=1",
        "--trainer.max_epochs=1",
        "--trainer.check_val_every_n_epoch=1",
        "--trainer.accelerator=cpu",
        "--model.init_args.network.init_args.channels=[8,8,8]",
        "--run.name=small",
        "--trainer.logger=false",
    ]
    assert main(["fit", *words]) == 0
    folder = RunFolder(tmp_path / "runs" / "segment" / "small")
    with pytest.raises(UsageError, match="was not tested"):
        export(folder.path, tmp_path / "weights")
    assert main(["test", f"--config={folder.config}"]) == 0
    assert folder.load_metrics()["metrics"]["macro_f1"]["value"] >= 0
    assert export_main([str(folder.path), "--out", str(tmp_path / "weights")]) == 0
    card = json.loads((tmp_path / "weights" / CARD).read_text())
    split = pd.read_parquet(folder.splits)
    trained = sorted(split.loc[split["split"] == "train", "record_id"])
    assert card["recordings"]["physionet2016"]["train"] == trained
    assert str(tmp_path) not in json.dumps(card), "a card tells nothing of the machine"
    signal = np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32)
    mine = Learned(weights=tmp_path / "weights" / WEIGHTS).scores(signal)
    np.testing.assert_allclose(Learned(weights=folder.best).scores(signal), mine, atol=1e-6)
