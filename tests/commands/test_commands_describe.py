"""The verb `describe` through the door."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread

from pahcl.cli import main
from pahcl.commands._common import datasets, find_data_module
from pahcl.commands._describe_contents import find_contents
from pahcl.commands._describe_picture import draw
from pahcl.commands._describe_task import answers
from pahcl.files import sha256_file
from pahcl.reports.datasets import Bars, Histogram, dataset_figure
from pahcl.store import SignalStore
from pahcl.task import Task

DATASETS = datasets()


@pytest.fixture(scope="module")
def stores(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets packed: one with folds and several records a subject, one ragged."""
    folder = tmp_path_factory.mktemp("described")
    for name in ("ptbxl", "cpsc2018"):
        cls = find_data_module(name)
        cls.prepare(corpora / cls.folder, folder / name, fs=min(cls.rates), progress=False)
    return folder


def described(*words: str | Path) -> dict[str, Any]:
    """Give the facts that the verb writes for a program."""
    assert main(["describe", *map(str, words), "--json", "facts.json"]) == 0
    facts: dict[str, Any] = json.loads(Path("facts.json").read_text(encoding="utf-8"))
    return facts


def refused(capsys: pytest.CaptureFixture[str], status: int, *words: str | Path) -> str:
    """Give the sentence in which a question ends."""
    assert main(["describe", *map(str, words)]) == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_all_data_sets_are_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = described()
    said = capsys.readouterr().out
    assert [one["name"] for one in facts["datasets"]] == DATASETS
    for one in facts["datasets"]:
        cls = find_data_module(one["name"])
        assert one["title"] == cls.title
        assert one["title"].split()[0] in said
        assert one["licence"] in said
        assert list(one["tasks"]) == list(cls.tasks)
        # What own recordings hold follows from their files.
        assert one["leads"] == (list(cls.leads) if cls.tasks else [])


@pytest.mark.parametrize("name", DATASETS)
def test_without_data_it_says_what_is_known_and_how_to_see_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cls = find_data_module(name)
    facts = described(name)
    said = capsys.readouterr().out
    assert facts["contents"] is None
    assert facts["dataset"]["citation"] == cls.citation
    assert facts["dataset"]["licence"] == cls.licence
    assert cls.homepage in said
    assert f"no records of {cls.title} are there" in said.lower().replace(
        cls.title.lower(), cls.title
    )
    assert f"pahcl simulate {name} --out" in said
    assert (f"pahcl download {name} --out" in said) == (cls.source is not None)
    if not cls.tasks:
        assert "name the folder with `--root`" in refused(capsys, 2, name, "murmur")
        return
    task = next(iter(cls.tasks.values()))
    facts = described(name, task.name)
    assert facts["task"] == task.to_dict()
    assert "labels" not in facts
    assert task.primary_metric in capsys.readouterr().out


def test_an_empty_folder_is_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAHCL_DATA", str(tmp_path))
    (tmp_path / "ptb-xl").mkdir()
    monkeypatch.chdir(tmp_path)
    assert described("ptbxl")["contents"] is None


@pytest.mark.parametrize("name", ["ptbxl", "cpsc2018"])
def test_a_store_is_described_by_its_table(
    name: str, stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = described(name, "--store", stores / name)
    there, store = facts["contents"], SignalStore(stores / name)
    table, said = store.table, capsys.readouterr().out
    assert there["kind"] == "store"
    assert there["simulated"]
    assert "SIMULATED" in said
    assert there["counts"] == store.manifest.counts
    assert sum(there["rejected"].values()) == there["counts"]["rejected"] > 0
    assert there["subjects"] == table["subject_id"].nunique()
    seconds = store.lengths / store.spec.fs
    assert there["seconds"]["max"] == seconds.max()
    assert there["seconds"]["median"] == np.median(seconds)
    assert there["hours"] == pytest.approx(seconds.sum() / 3600)
    assert there["age"]["missing"] == table["age"].isna().sum() > 0
    assert there["age"]["mean"] == pytest.approx(table["age"].astype(float).mean())
    assert there["sex"]["counts"] == table["sex"].value_counts().to_dict()
    assert there["quality"]["nan"] == (table["quality/nan"] > 0).sum() > 0
    assert there["notes"] == store.manifest.notes
    module = find_data_module(name)(store=str(stores / name))
    splits = module.split(table)
    for split in ("train", "val", "test"):
        size = there["splits"][split]
        assert size["records"] == (splits == split).sum()
        assert size["subjects"] == table["subject_id"][splits == split].nunique()
        assert f"split: {split}" in said
    group = {"ptbxl": "fold", "cpsc2018": "form"}[name]
    assert sum(there["groups"][group]["counts"].values()) == len(table)


def test_the_publishers_tables_are_described_without_a_store(
    corpora: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PAHCL_STORES")
    there = described("code15")["contents"]
    assert there["kind"] == "folder"
    assert there["seconds"] is None
    assert there["quality"] is None
    cls = find_data_module("code15")
    index = cls.index(corpora / "code15", 400.0)
    assert there["counts"]["kept"] == len(index.table)
    assert there["counts"]["rejected"] == len(index.rejected) > 0
    assert "pahcl prepare code15 --root" in capsys.readouterr().out


def test_a_named_root_goes_before_a_store_that_is_found(
    corpora: Path, stores: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAHCL_STORES", str(stores))
    assert described("ptbxl")["contents"]["kind"] == "store"
    named = described("ptbxl", "--root", corpora / "ptb-xl")["contents"]
    assert named["kind"] == "folder"
    both = described("ptbxl", "--root", corpora / "ptb-xl", "--store", stores / "ptbxl")
    assert both["contents"]["kind"] == "store"


@pytest.mark.parametrize("name", ["superclass", "code6", "af", "sex"])
def test_classes_are_counted_by_record_and_by_subject(
    name: str, stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = described("ptbxl", name, "--store", stores / "ptbxl")
    module = find_data_module("ptbxl")(store=str(stores / "ptbxl"), task=name)
    table = SignalStore(stores / "ptbxl").table
    labels, splits = module.labels(table), module.split(table)
    task = module.task
    long = labels[list(task.columns)].assign(subject=table["subject_id"], split=splits)
    sides = {"all": long, **{split: long[splits == split] for split in ("train", "val", "test")}}
    for side, rows in sides.items():
        part = facts["labels"]["parts"][side]
        known = rows[list(task.columns)].notna().any(axis=1)
        assert part["records"] == {"number": len(rows), "unlabelled": int((~known).sum())}
        people = rows["subject"].nunique() - rows["subject"][known].nunique()
        assert part["subjects"]["unlabelled"] == people
        for output, column in zip(task.classes, task.columns, strict=True):
            found = part["classes"][output]
            assert found["records"]["positive"] == (rows[column] == 1).sum()
            assert found["records"]["labelled"] == rows[column].notna().sum()
            any_record = rows.groupby("subject")[column].max().dropna()
            assert found["subjects"]["positive"] == (any_record == 1).sum()
            assert found["subjects"]["labelled"] == len(any_record)
            assert found["subjects"]["prevalence"] == pytest.approx((any_record == 1).mean())
    said = capsys.readouterr().out
    assert "Positive records" in said
    assert "Positive subjects" in said


def test_one_of_many_classes_is_true_of_a_labelled_record() -> None:
    task = Task("rhythm", "multiclass", ("a", "b", "c"), ("rhythm",), primary_metric="macro_auroc")
    labels = pd.DataFrame({"rhythm": ["b", None, "a"]})
    true, known = answers(task, task.targets(labels))
    assert true.tolist() == [[False, True, False], [False] * 3, [True, False, False]]
    assert known.tolist() == [[True] * 3, [False] * 3, [True] * 3]


def test_what_occurs_together_is_counted(
    stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SignalStore(stores / "cpsc2018")
    task = find_data_module("cpsc2018").tasks["nine"]
    facts = described("cpsc2018", "nine", "--store", stores / "cpsc2018")["labels"]
    marks = store.table[list(task.classes)].to_numpy() == 1
    for one, row in enumerate(facts["together"]):
        for other, found in enumerate(row):
            assert found == (marks[:, one] & marks[:, other]).sum()
    counts = pd.Series(marks.sum(axis=1)).value_counts()
    assert facts["labels_per_record"] == {str(key): value for key, value in counts.items()}
    said = capsys.readouterr().out
    assert "Records with both classes" in said
    assert "Each record counts as a subject of its own" in said
    described("ptbxl", "all", "--store", stores / "ptbxl")
    assert "Most frequent pairs" in capsys.readouterr().out


def test_a_regressions_targets_are_described(
    stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = described("ptbxl", "age", "--store", stores / "ptbxl")["labels"]["parts"]
    table = SignalStore(stores / "ptbxl").table
    ages = table["age"].astype(float)
    found = facts["all"]["outputs"]["age"]
    assert found["known"] == ages.notna().sum()
    assert found["missing"] == ages.isna().sum() == facts["all"]["records"]["unlabelled"]
    assert found["median"] == pytest.approx(ages.median())
    assert found["three_quarters"] == pytest.approx(ages.quantile(0.75))
    assert found["std"] == pytest.approx(ages.std(ddof=0))
    test = ages[table["fold"] == 10]
    assert facts["test"]["outputs"]["age"]["mean"] == pytest.approx(test.mean())
    assert "age in years" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("ptbxl",), ("ptbxl", "all"), ("ptbxl", "age"), ("cpsc2018",)])
def test_the_picture_is_whole_and_the_same_every_time(
    words: tuple[str, ...], stores: Path, place: Path
) -> None:
    digests = []
    for name in ("a.svg", "new/b.svg"):
        described(*words, "--store", stores / words[0], "--picture", name)
        digests.append(sha256_file(Path(name)))
    assert digests[0] == digests[1]
    assert "</svg>" in Path("a.svg").read_text(encoding="utf-8")
    described(*words, "--store", stores / words[0], "--picture", "a.PNG")
    pixels = imread("a.PNG", format="png")
    assert pixels.shape[1] > 1500
    assert (pixels[..., 3] == 1).all()  # on white, wherever it is pasted


def test_the_picture_counts_people_where_people_are_scored(corpora: Path, place: Path) -> None:
    cls = find_data_module("circor")
    contents = find_contents(cls, str(corpora / "circor"), None)
    assert contents is not None
    task = cls.tasks["murmur"]
    bars = draw(task, contents).axes[0]
    facts = described("circor", "murmur", "--root", corpora / "circor")["labels"]["parts"]["all"]
    assert bars.get_xlabel() == "positive subjects"
    assert [int(text.get_text().split()[0]) for text in bars.texts] == [
        facts["classes"][name]["subjects"]["positive"] for name in task.classes
    ]


def test_a_picture_of_the_publishers_tables_has_no_durations(corpora: Path, place: Path) -> None:
    described("ptbxl", "--root", corpora / "ptb-xl", "--picture", "a.svg")
    assert Path("a.svg").stat().st_size > 10_000


def test_the_figure_says_its_numbers() -> None:
    counts = {"train": np.array([30, 0, 0]), "test": np.array([10, 0, 0])}
    bars = Bars(("a", "b", "c"), counts, np.array([50, 50, 0]))
    ages = Histogram("Ages", "years", {"records": np.array([1.0, 2.0, np.nan, 9.0])})
    nothing = Histogram("Durations", "seconds", {"records": np.array([np.nan])})
    figure = dataset_figure("title", bars, [ages, nothing])
    drawn, right, empty = figure.axes
    assert [text.get_text().split() for text in drawn.texts] == [
        ["40", "80", "%"],
        ["0"],
        ["not", "labelled"],
    ]
    assert right.get_title(loc="left") == "Ages: 1 to 9, median 2"
    assert sum(patch.get_extents().height > 0 for patch in right.patches) == 3
    assert [text.get_text() for text in empty.texts] == ["not known"]


def test_of_many_classes_the_frequent_ones_are_drawn() -> None:
    names = [f"class {number}" for number in range(100)]
    counts = np.zeros(100, dtype=np.int64)
    counts[[90, 5, 40]] = 1, 7, 3
    figure = dataset_figure("title", Bars(names, {"train": counts}, np.full(100, 9)), [])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["class 5", "class 40", "class 90"]
    assert "the 3 most frequent of 100" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ptblx"], "did you mean `ptbxl`?"),
        (["xyzzy"], "there are: c"),
        (["ptbxl", "supercalss"], "did you mean `superclass`?"),
        (["ptbxl", "--picture", "a.jpg"], "ends in .jpg: name a file that ends in .svg or .png"),
        (["ptbxl", "--picture", "a"], "has no suffix"),
        (["ptbxl", "--picture", "folder.svg"], "is a folder"),
        (["ptbxl", "--picture", "file/new/a.svg"], "file is a file, not a folder"),
        (["--root", "somewhere"], "name it first, as in `pahcl describe ptbxl --root somewhere`"),
        (["--picture", "a.svg"], "goes with a data set"),
    ],
)
def test_a_wrong_question_ends_in_a_sentence(
    words: list[str], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder.svg").mkdir()
    Path("file").touch()
    assert says in refused(capsys, 2, *words)


def test_nothing_to_draw_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, 1, "ptbxl", "--picture", "a.svg")
    assert "nothing to draw" in said
    assert "pahcl simulate ptbxl" in said
    assert not Path("a.svg").exists()


def test_a_named_folder_that_is_not_there_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "There is no folder gone" in refused(capsys, 1, "ptbxl", "--root", "gone")
    assert "There is no store at gone" in refused(capsys, 1, "ptbxl", "--store", "gone")
    Path("empty").mkdir()
    assert "is not a complete store" in refused(capsys, 1, "ptbxl", "--store", "empty")
    Path("other").mkdir()
    assert "ptbxl_database.csv is missing" in refused(capsys, 1, "ptbxl", "--root", "other")


def test_the_store_of_another_data_set_is_named(
    stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, 2, "ptbxl", "--store", stores / "cpsc2018")
    assert "holds the data set `cpsc2018`, not `ptbxl`" in said


def test_a_damaged_store_is_named(
    stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path("stores/ptbxl")
    shutil.copytree(stores / "ptbxl", store)
    (store / "records.parquet").write_bytes(b"no table")
    assert "the store is damaged" in refused(capsys, 1, "ptbxl", "--store", store)
    (store / "manifest.json").write_text("{", encoding="utf-8")
    assert "manifest.json is damaged" in refused(capsys, 1, "ptbxl", "--store", store)


@pytest.mark.parametrize(("column", "task"), [("scp/NORM", "superclass"), ("age", "age")])
def test_a_table_without_its_labels_is_named(
    column: str, task: str, stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path("stores/ptbxl")
    shutil.copytree(stores / "ptbxl", store)
    table = pq.read_table(store / "records.parquet")
    pq.write_table(table.drop_columns([column]), store / "records.parquet")
    said = refused(capsys, 1, "ptbxl", task, "--store", store)
    assert column in said
    assert "run `pahcl prepare` again" in said


def test_a_split_that_cannot_be_drawn_is_said(
    stores: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path("stores/ptbxl")
    shutil.copytree(stores / "ptbxl", store)
    table = pq.read_table(store / "records.parquet").to_pandas()
    table["subject_id"] = "one"
    table.to_parquet(store / "records.parquet")
    facts = described("ptbxl", "af", "--store", store)
    assert facts["contents"]["splits"] is None
    assert list(facts["labels"]["parts"]) == ["all"]
    assert "No splits: 1 subject(s) are in more than one split" in capsys.readouterr().out


def test_the_real_tables_are_described(samples: Path, place: Path) -> None:
    there = described("ptbxl", "superclass", "--root", samples / "ptb-xl")
    raw = pd.read_csv(samples / "ptb-xl" / "ptbxl_database.csv")
    assert there["contents"]["counts"]["found"] == len(raw)
    assert not there["contents"]["simulated"]
    assert there["contents"]["subjects"] == raw["patient_id"].nunique()
    classes = there["labels"]["parts"]["all"]["classes"]
    normal = raw["scp_codes"].str.contains("'NORM'").sum()
    assert classes["NORM"]["records"]["positive"] == normal


@pytest.mark.parametrize("name", ["cpsc2018", "csn"])
def test_real_records_are_described(name: str, samples: Path, place: Path) -> None:
    cls = find_data_module(name)
    cls.prepare(samples / cls.folder, "packed", progress=False)
    facts = described(name, "--store", "packed", "--picture", "a.png")
    there = facts["contents"]
    counts = there["counts"]
    assert counts["found"] == counts["kept"] + counts["rejected"]
    assert there["seconds"]["min"] >= 5
    assert not there["simulated"]
    assert facts["labelled_records"][next(iter(cls.tasks))] > 0
