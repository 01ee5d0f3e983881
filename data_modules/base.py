"""What all data sets share: from a publisher's folder to batches on the device."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules._arguments import require_arguments, require_side
from data_modules._augment import Augmenter, RecordSeeds
from data_modules._corpus import Corpus
from data_modules._cycle_batches import CycleDataset, CyclesOnDevice
from data_modules._cycles import Cycles, ServedCycles, serve_cycles
from data_modules._dataset import Batch, BatchDataset, OnDevice, Window, make_loader
from data_modules._published_splits import Protocol, asked
from data_modules._roots import require_same_origin
from data_modules._selection import Selection, Tested, without_tests_of
from data_modules._splits import SPLITS, labelled, require_disjoint
from data_modules._statistics import class_weights, describe_splits, label_statistics
from data_modules._stores import (
    all_cores,
    alone,
    is_complete,
    is_ready,
    make_store,
    open_store,
    original_contents,
    source_path,
    source_rate,
)
from pahcl.errors import DataError
from pahcl.signals import canonical_lead
from pahcl.signals.augment import Augmentation
from pahcl.signals.spec import Filter, Normalisation, Pad, SignalSpec

log = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]
NO_FILTER = Filter()


class SignalDataModule(Corpus):
    """Serve a data set's records as batches for one task.

    A data set is a subclass that says what it is (the class attributes), lists its records
    (`index`) and reads one of them (`read`); an official split (`split`) and labels that do not
    stand in its columns as they are (`labels`) where it has them.

    Args:
        root: The publisher's folder. None means the data set's folder in `$PAHCL_DATA`, or in
            `data/`. Not needed once the store is there.
        store: The packed store, made from `root` if it is missing. None means the data set's name
            in `$PAHCL_STORES`, or in `stores/`. Batches are made of the publisher's
            copy at `fs`, else of the original: if it is not in here, of `<store>-<rate>hz`.
        task: What is asked of the records, by name; None takes the data set's first task.
        fs: Sampling rate of the batches in Hz; None takes the publisher's.
        length: Window in samples; None takes the data set's usual duration. Shorter records are
            padded and masked.
        leads: Names of the leads, in order; None takes all of the data set's.
        filter: Zero-phase filter, applied once when the store for this contract is made.
        normalisation: What is normalised on the device.
        pad: Where a record shorter than the window lies in it.
        crop: Part of a longer record that training sees: drawn anew in every epoch, or the centre.
            Evaluation always takes the centre.
        fraction: Share of training subjects whose labels are used; smaller ones lie in larger ones.
        fraction_of: What the share refers to: the training split, or the whole data set (as in
            Eriksson et al. 2024; it is still drawn from the training split).
        shots: Few-shot: training subjects of each class whose labels are used, instead of a share;
            fewer lie in more. A binary task takes as many without its class.
        folds: Cross-validation: deal the subjects out to so many folds, in place of the
            publisher's split.
        fold: The fold that tests, from 0; the one behind it validates.
        split_tables: Folder of published split tables (see `data_modules._published_splits`), in
            place of split and task.
        protocol: How their labels are read: `legacy` as the published programs do, faults
            included; `fixed` by name and without them.
        exclude_test_of: Data modules (of this data set or others) whose test subjects, and
            recordings of the same samples, neither train nor validate here.
        val_fraction: Share of the subjects that validate, where the publisher gives no split.
        test_fraction: Share of the subjects that test, where the publisher gives no split.
        split_seed: Chooses who is in which split and in which fraction. Keep it when seeds are
            compared: all of them are then measured on the same test subjects.
        seed: Chooses the order of the records and their random crops.
        batch_size: Records in a batch, in each process.
        num_workers: Processes that load batches. 0 gathers in the main process, which is the
            faster way: a gather costs less than handing its result to another process.
        prepare_workers: Processes that pack the store if need be; None takes one for each core.
        predict_split: The split that `predict` serves, unlabelled records included. The test split
            is for `test`, which scores it once: name it only if that is meant.
        cycles: Serve heart cycles, or fixed windows, in place of records of heart sounds; None
            serves records. The window is then one cycle's (`pad` and `crop` do not apply).
        augment: What is done to the training batches, on the device, after normalisation; the draws
            of a record follow from `seed` and the epoch.
    """

    published_key: ClassVar[str | None] = None
    """Column of published split tables that holds a record's identifier or the path of its file."""
    unit_column: ClassVar[str] = "subject_id"
    """Column that names what a task of level `subject` scores: a person, or one examination of it,
    where persons were examined and labelled more than once."""
    sides: ClassVar[tuple[str, ...]] = SPLITS
    """Splits that the data set has; a benchmark may be a test split alone."""
    split_column: ClassVar[str | None] = None
    """Label column over which a drawn split is balanced, the same one for every task."""

    own_root: Path | None = None
    """Folder within which alone subjects are known, where it is given: of one's own recordings."""
    prepare_options: dict[str, Any]
    label_options: dict[str, Any]

    def __init__(
        self,
        root: str | None = None,
        store: str | None = None,
        task: str | None = None,
        fs: float | None = None,
        length: int | None = None,
        leads: list[str] | None = None,
        filter: Filter = NO_FILTER,
        normalisation: Normalisation = "none",
        pad: Pad = "center",
        crop: Literal["random", "center"] = "random",
        fraction: float = 1.0,
        fraction_of: Literal["train", "dataset"] = "train",
        shots: int | None = None,
        folds: int | None = None,
        fold: int = 0,
        split_tables: str | None = None,
        protocol: Protocol = "fixed",
        exclude_test_of: list[SignalDataModule] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
        prepare_workers: int | None = None,
        predict_split: Split = "val",
        cycles: Cycles | None = None,
        augment: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.published, self.task = asked(self, self.tasks, task, split_tables, protocol)
        rate = float(self.rates[0] if fs is None else fs)
        seconds = self.seconds if cycles is None else cycles.seconds
        self.spec = SignalSpec(
            modality=self.modality,
            fs=rate,
            length=round(seconds * rate) if length is None else length,
            leads=tuple(canonical_lead(name) for name in leads or self.leads),
            unit=self.unit,
            filter=filter,
            normalisation=normalisation,
        )
        self.root = Path(root or f"{os.environ.get('PAHCL_DATA', 'data')}/{self.folder}")
        self.store_path = Path(store or f"{os.environ.get('PAHCL_STORES', 'stores')}/{self.name}")
        self.prepare_options, self.label_options = {}, {}
        self.pad, self.crop, self.predict_split = pad, crop, predict_split
        self.selection = Selection(
            fraction=fraction,
            fraction_of=fraction_of,
            shots=shots,
            folds=folds,
            fold=fold,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            split_seed=split_seed,
        )
        self.seed, self.exclude_test_of = seed, exclude_test_of or []
        self.batch_size, self.num_workers = batch_size, num_workers
        self.prepare_workers = all_cores() if prepare_workers is None else prepare_workers
        require_arguments(self.spec, vars(self))
        self.cycles = cycles
        self.served: ServedCycles | None = None
        self.augment, augmenter = augment, Augmenter(augment, rate)
        self._to_batch: OnDevice | CyclesOnDevice = OnDevice(self.spec, augmenter)
        if cycles is not None:
            cycles.require(self.spec, self.title, augment)
            self._to_batch = CyclesOnDevice(self.spec, cycles, augmenter)

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give the label columns of the tasks: here the table's own, and `male` from `sex`."""
        if "sex" not in table:
            return table
        return table.assign(male=table["sex"].map({"male": 1.0, "female": 0.0}).astype(np.float32))

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Say over what a drawn split is balanced, the same for every task: one stratum a record.

        Here whether `split_column` is positive.
        """
        if self.split_column is None:
            return np.zeros(len(table), dtype=np.int64)
        return (self.labels(table)[self.split_column] > 0).to_numpy().astype(np.int64)

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Say which split each record is in: here drawn by subject, the same for every task.

        Returns:
            `train`, `val`, `test`, or None for a record that is left out, on the table's index.
        """
        return self.selection.draw(table["subject_id"], self.strata(table))

    def usable(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Say which records take part at all, however they are split: here every one."""
        return np.ones(len(table), dtype=np.bool_)

    def published_labels(self, labels: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
        """Correct the labels of published split tables for `protocol: fixed`; here as they are."""
        return labels

    # From the publisher's folder to a store

    def prepare_data(self) -> None:
        """Pack the store if it is missing, and derive from it the one for this contract."""
        for other in self.exclude_test_of:
            other.prepare_data()
        if not is_ready(self._source(), self.spec):
            with alone(self.store_path):
                self._make_stores(self._source())  # perhaps another one, after waiting

    def _make_stores(self, source: Path) -> None:
        if not is_complete(source):
            log.info("Packing %s from %s into %s.", self.title, self.root, source)
            rate, workers = source_rate(self.rates, self.spec.fs), self.prepare_workers
            self.prepare(self.root, source, fs=rate, workers=workers, **self.prepare_options)
        make_store(source, self.spec, self.prepare_workers)

    def _source(self) -> Path:
        contract = self.rates, self.spec.fs, self.name, self.prepare_options
        source = source_path(self.store_path, *contract)
        for store in filter(is_complete, (self.store_path, source)):
            require_same_origin(store, self.root)
        return source

    # From the store to batches

    def setup(self, stage: str | None = None) -> None:
        """Read labels and split, and choose the rows of each loader.

        Raises:
            DataError: A split is empty or shares subjects with another one.
            StoreError: The store does not fit.
            UsageError: The data set has no split for this stage.
        """
        require_side(self.title, self.sides, stage, self.predict_split)
        source = self._source()
        self.store = open_store(source, self.spec)
        table, self.records = self.store.table, original_contents(self.store, source)
        self.targets = self.task.targets(self._labels(table))
        self.splits, self.excluded = without_tests_of(
            self._split(table), self.records, self.exclude_test_of, self.shares_subjects
        )
        require_disjoint(table["subject_id"], self.splits)
        self.rows = self._choose_rows(table["subject_id"].astype(str))
        if self.cycles is not None:
            self.served = serve_cycles(self.cycles, self.store, source, self.spec.length or 0)
            names = table["record_id"].to_numpy(dtype=object)
            self.rows = self.served.describe(self.task, self.targets, names, self.rows)
        train = self.targets[self.rows["train"]]
        self.class_weights: Tensor | None = class_weights(self.task, train)
        self.label_statistics = label_statistics(self.task, train)

    def _labels(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.published is None:
            return self.labels(table)
        labels = self.published.labels(table)
        legacy = self.published.protocol == "legacy"
        return labels if legacy else self.published_labels(labels, table)

    def _split(self, table: pd.DataFrame) -> pd.Series:
        if self.published is not None:
            split = self.published.split(table)
        elif self.selection.folds is not None:
            split = self.selection.deal(table["subject_id"], self.strata(table))
        else:
            split = self.split(table)
        return split.where(self.usable(table), None)

    def test_records(self) -> pd.DataFrame:
        """Give `record_id`, `subject_id` and checksums of the test split, labelled or not."""
        if not hasattr(self, "splits"):
            self.setup()
        return self.records[self.splits == "test"]

    def shares_subjects(self, other: Tested) -> bool:
        """Say whether equal identifiers mean one subject here and there."""
        roots = {self.own_root, getattr(other, "own_root", None)}
        return other.name == self.name and (None in roots or len(roots) == 1)

    def used_records(self) -> pd.DataFrame:
        """Give `record_id`, `subject_id`, `digest` and `split` of the records that a run uses."""
        known = self.records[["record_id", "subject_id", "digest"]]
        parts = [known.iloc[rows].assign(split=name) for name, rows in self.rows.items()]
        return pd.concat(parts, ignore_index=True)

    def _choose_rows(self, subjects: pd.Series) -> dict[str, npt.NDArray[np.int64]]:
        """Find each split's labelled rows; of the training split, the wanted fraction."""
        known = labelled(self.task, self.targets)
        inside = {name: (self.splits == name).to_numpy() for name in SPLITS}
        self.unlabelled = {name: int((here & ~known).sum()) for name, here in inside.items()}
        for name, here in inside.items():
            if name in self.sides and not (here & known).any():
                raise DataError(
                    f"The {name} split of {self.title} has no record labelled for the task "
                    f"`{self.task.name}` ({int(here.sum())} record(s), of {len(here)} in "
                    f"{self.store.path}). Use more records, or another task or split."
                )
        train = inside["train"] & known
        inside["train"], self.few = self.selection.training(
            self.task, subjects, self.targets, train, known
        )
        return {name: np.flatnonzero(here & known) for name, here in inside.items()}

    def train_dataloader(self) -> DataLoader[Batch]:
        """Serve the training split in a new order and with new crops in every epoch."""
        return self._loader(self.rows["train"], training=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Serve the validation split."""
        return self._loader(self.rows["val"])

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serve the test split."""
        return self._loader(self.rows["test"])

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serve every record of `predict_split`, labelled or not."""
        rows = np.flatnonzero((self.splits == self.predict_split).to_numpy())
        if self.served is not None:
            rows = self.served.leave_out({self.predict_split: rows})[self.predict_split]
        return self._loader(rows)

    def _loader(self, rows: npt.NDArray[np.int64], training: bool = False) -> DataLoader[Batch]:
        crop = self.crop if training else "center"
        window = Window(self.spec.length or 0, self.pad, crop, self.seed)
        dataset = BatchDataset(self.store, rows, self.targets[rows], window)
        if self.served is not None:
            given = self.store, rows, self.targets[rows], self.seed, training
            dataset = CycleDataset(self.served, *given)
        if training and self.augment is not None:
            dataset.seeds = RecordSeeds(self.seed, dataset.rows)
        size, workers = self.batch_size, self.num_workers
        return make_loader(dataset, training, self.seed, size, workers, self.trainer)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Make signal and mask on the device: cast, scale, mask, normalise, augment."""
        return self._to_batch(batch)

    def data_receipt(self) -> dict[str, Any]:
        """Say which data this was, without paths: digests, counts, and how they were drawn."""
        return {
            "dataset": self.name,
            "dataset_version": self.store.manifest.dataset_version,
            "store": self.store.manifest.digest,
            "task": self.task.name,
            "spec": self.spec.to_dict(),
            **asdict(self.selection),
            "seed": self.seed,
            "published": self.published and self.published.receipt(self.store.table),
            "fewer_than_shots": self.few,
            "excluded": self.excluded,
            "options": {**self.prepare_options, **self.label_options},
            "splits": describe_splits(self.task, self.store.table, self.targets, self.rows),
            "unlabelled": self.unlabelled,
            "left_out": int(self.splits.isna().sum()),
            "cycles": self.served and self.served.told,
            "augment": self.augment and repr(self.augment),
        }
