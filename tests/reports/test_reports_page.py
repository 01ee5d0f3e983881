from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_runs import CODE6, TASKS, fake_run, make_store, write_log

from pahcl.errors import PahclError, UsageError
from pahcl.reports.page import code, render_run, write_page
from pahcl.reports.paper import find_store
from pahcl.reports.runs import load_run
from pahcl.reports.sections import sections
from pahcl.reports.verdict import verdict, warnings
from pahcl.store import SignalStore
from pahcl.task import Task

MOST_BYTES = 3_000_000
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Checker(HTMLParser):
    """Collect what makes a page whole: tags that close, anchors, identifiers, descriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.identifiers: list[str] = []
        self.anchors: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.plots_without_words = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if found.get("id"):
            self.identifiers.append(str(found["id"]))
        href = found.get("href") or ""
        self.anchors += [href[1:]] if href.startswith("#") else []
        self.addresses += [str(found[name]) for name in ("src", "href") if found.get(name)]
        if "plot" in (found.get("class") or "").split():
            self.plots_without_words += not found.get("aria-label")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> Checker:
    """Assert what holds of every page."""
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.identifiers) == len(set(checker.identifiers))
    assert set(checker.anchors) <= set(checker.identifiers)
    assert checker.plots_without_words == 0
    assert not {"script", "link", "img", "iframe"} & set(checker.tags)
    assert all(address.startswith("#") for address in checker.addresses)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert len(page.encode()) < MOST_BYTES
    assert ">nan<" not in page.lower()
    return checker


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SignalStore:
    return make_store(tmp_path_factory.mktemp("stores") / "code15", 60)


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_a_run_of_every_kind_has_its_page(tmp_path: Path, store: SignalStore, kind: str) -> None:
    run = load_run(fake_run(tmp_path / "exp/one", kind, 60, store=store))
    page = render_run(run)
    checker = check(page)
    names = {"numbers", "training", "records", "provenance"}
    names |= {"agreement"} if kind == "regression" else {"ranking", "decisions", "calibration"}
    assert names <= set(checker.identifiers)
    assert page.count("<figure") == page.count("<figcaption")
    if kind == "multilabel":
        assert all(f"{name}: AUROC" in page for name in CODE6)
    assert "25 mm/s · 10 mm/mV" in page
    assert "before normalisation: 100 Hz, unfiltered" in page


def test_the_same_run_gives_the_same_page(tmp_path: Path, store: SignalStore) -> None:
    run = fake_run(tmp_path / "exp/one", "binary", 60, store=store)
    assert render_run(load_run(run)) == render_run(load_run(run))


def test_the_verdict_says_what_was_done_and_what_came_out(tmp_path: Path) -> None:
    weights = "runs/pretrain/af/checkpoints/best.ckpt"
    run = load_run(fake_run(tmp_path / "e/r", n=300, fraction=0.05, pretrained=weights))
    said = verdict(run)
    text = " ".join(said.sentences)
    metrics = json.loads((tmp_path / "e/r/metrics.json").read_text())["metrics"]["auroc"]
    assert "SmallResNet1d was trained on CODE15 for the task af" in text
    assert f"pretrained weights of {weights}; all weights were trained" in text
    assert "5 % of the training split's subjects gave their labels: 1,200 records" in text
    assert "300 records of 150 people" in text
    assert said.value == f"{metrics['value']:.3f}"
    assert f"{metrics['low']:.3f} to {metrics['high']:.3f}" in said.ends
    assert run.initialisation == "pretrain/af"


def test_few_and_missing_positives_are_warned_of(tmp_path: Path) -> None:
    target = np.zeros((14, 6))
    target[:3, 0] = 1
    run = load_run(fake_run(tmp_path / "e/r", "multilabel", 14, targets=target))
    found = " ".join(warnings(run))
    assert "Not defined" in found
    assert "the mean over 1 of 6 classes" in found
    assert "Fewer than 20 positive records: 1dAVb (3)" in found
    assert "Thresholds were chosen on fewer than 20 positive validation records" in found
    assert "Only 7 people" in found
    page = render_run(run)
    check(page)
    assert "no positive record" in page


def test_people_are_not_called_records_where_people_are_scored(tmp_path: Path) -> None:
    task = replace(TASKS["multiclass"], level="subject")
    page = render_run(load_run(fake_run(tmp_path / "e/r", task=task, n=30)))
    check(page)
    assert "Fewer than 20 positive people: " in page
    assert "One person more or less" in page
    assert "Does it rank the right people first?" in page
    assert "Each cell holds the number of people" in page
    assert "Reliability: people are sorted" in page
    assert not re.search(r"positive records?|single records|negative records?", page)


def test_a_note_that_the_official_scores_share_is_told_once(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "e/r", n=60)
    metrics = json.loads((run / "metrics.json").read_text())
    shared = "fewer than 10 positive subjects: AF (3)"
    metrics["notes"] = [shared]
    metrics["official"] = {
        "title": "A challenge",
        "source": "Its authors",
        "headline": "score",
        "lower_is_better": [],
        "metrics": {
            name: {"value": 0.5, "low": 0.4, "high": 0.6}
            for name in ("score", "macro_auroc", "uar")
        },
        "notes": [shared, "another note"],
    }
    (run / "metrics.json").write_text(json.dumps(metrics))
    page = render_run(load_run(run))
    assert page.count("Fewer than 10 positive subjects: AF (3)") == 1
    assert "Another note" in page
    assert "Unweighted average recall" in page
    assert ">Score<" in page.replace("<strong>", "").replace("</strong>", "")


def test_a_class_that_nobody_labelled_does_not_break_the_page(tmp_path: Path) -> None:
    target = np.full((20, 6), np.nan)
    target[:, 0] = np.arange(20) % 2
    page = render_run(load_run(fake_run(tmp_path / "e/r", "multilabel", 20, targets=target)))
    check(page)
    assert "no labelled record" in page


def test_a_wide_interval_is_warned_of(tmp_path: Path) -> None:
    run = load_run(fake_run(tmp_path / "e/r", n=90, skill=0.2))
    assert any("interval is wide" in text for text in warnings(run))


def test_a_run_that_was_not_tested_says_what_to_do(tmp_path: Path) -> None:
    run = load_run(fake_run(tmp_path / "e/r", tested=False, epochs=3))
    found = " ".join(warnings(run))
    assert f"pahcl test --config {tmp_path / 'e/r/config.yaml'}" in found
    page = render_run(run)
    check(page)
    assert "has not been tested yet" in page
    assert "AUROC on validation" in page


def test_an_interrupted_training_is_warned_of(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "e/r", epochs=9, n=60)
    write_log(run / "logs/version_0/metrics.csv", "auroc", range(4))
    assert any("after 4 of 9 epochs" in text for text in warnings(load_run(run)))


@pytest.mark.parametrize(
    "missing", ["config.yaml", "metrics.json", "predictions.parquet", "receipt.json", "logs"]
)
def test_a_page_is_written_without(tmp_path: Path, missing: str) -> None:
    run = fake_run(tmp_path / "e/r", n=60)
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    loaded = load_run(run)
    page = render_run(loaded)
    check(page)
    if missing == "logs":
        assert "No training log" in page
    else:
        assert missing in " ".join(warnings(loaded))


@pytest.mark.parametrize(
    "damaged", ["config.yaml", "metrics.json", "predictions.parquet", "receipt.json"]
)
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str) -> None:
    run = fake_run(tmp_path / "e/r", n=60)
    (run / damaged).write_text("{ no")
    loaded = load_run(run)
    check(render_run(loaded))
    assert any(damaged in text for text in warnings(loaded))


def test_evidence_that_was_changed_is_warned_of(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "e/r", n=60)
    facts = json.loads((run / "metrics.json").read_text())
    facts["metrics"]["auroc"]["value"] = 0.999
    (run / "metrics.json").write_text(json.dumps(facts))
    assert any("metrics.json is not the file" in text for text in warnings(load_run(run)))


def test_numbers_of_the_validation_split_are_marked(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "e/r", n=60)
    for name in ("metrics.json", "predictions.parquet", "receipt.json"):
        stem, suffix = name.split(".")
        (run / name).rename(run / f"{stem}_val.{suffix}")
    loaded = load_run(run)
    assert loaded.split == "val"
    assert any("they flatter" in text for text in warnings(loaded))
    check(render_run(loaded))


def test_names_from_data_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script>\"><i>"
    own = make_store(tmp_path / "stores" / "code15", 30, hostile)
    task = Task("t", "multilabel", (hostile, "$x_1$"), ("a", "b"), "macro_auroc")
    run = fake_run(tmp_path / "e" / "<i>run", n=30, store=own, task=task, prefix=hostile)
    loaded = load_run(run)
    loaded.receipt["note"] = hostile
    loaded.metrics["notes"] = [f"`{hostile}`"]
    page = render_run(loaded)
    check(page)
    assert "<script" not in page
    assert "<i>" not in page
    assert "Record &lt;script&gt;" in page
    assert 'class="paper"' in page


def test_code_marks_escape_what_they_hold() -> None:
    assert code("run `a <b>` & go") == "run <code>a &lt;b&gt;</code> &amp; go"


def test_a_store_that_is_gone_is_said(tmp_path: Path) -> None:
    own = make_store(tmp_path / "stores" / "code15", 4)
    run = fake_run(tmp_path / "runs/e/r", n=60, store=own)
    shutil.rmtree(own.path)
    page = render_run(load_run(run))
    check(page)
    assert "is not there any more" in page


def test_a_store_is_found_beside_the_runs_after_a_move(tmp_path: Path) -> None:
    own = make_store(tmp_path / "old/stores/code15", 4)
    run = fake_run(tmp_path / "old/runs/e/r", n=60, store=own)
    for file in ("config.yaml", "receipt.json"):
        text = (run / file).read_text()
        (run / file).write_text(text.replace(str(own.path), "stores/code15"))
    (tmp_path / "old").rename(tmp_path / "new")
    found, note = find_store(load_run(tmp_path / "new/runs/e/r"))
    assert found is not None
    assert "as the network got them" in note


@pytest.mark.parametrize("told", [True, False])
def test_a_store_that_nothing_names_is_where_data_modules_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    own = make_store(tmp_path / ("elsewhere" if told else "stores") / "code15", 4)
    run = fake_run(tmp_path / "runs/e/r", n=60, store=own)
    loaded = load_run(run)
    loaded.receipt["data"] = {"dataset": "code15", "store": own.manifest.digest}
    loaded.config["data"]["init_args"].update(store=None, root=str(tmp_path / "data" / "code15"))
    if told:
        monkeypatch.setenv("PAHCL_STORES", str(own.path.parent))
    found, _ = find_store(loaded)
    assert found is not None
    assert found.path.resolve() == own.path.resolve()


def test_another_store_than_the_receipts_is_said(tmp_path: Path) -> None:
    own = make_store(tmp_path / "stores" / "code15", 4)
    run = fake_run(tmp_path / "e/r", n=60, store=own)
    shutil.rmtree(own.path)
    make_store(own.path, 5)
    _, note = find_store(load_run(run))
    assert "not the very store of the receipt" in note


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no run at"):
        load_run(tmp_path)


def test_sections_of_a_large_task_say_what_is_not_drawn(tmp_path: Path) -> None:
    names = tuple(f"S{i:02d}" for i in range(14))
    task = Task("all", "multilabel", names, names, "macro_auroc")
    run = load_run(fake_run(tmp_path / "e/r", task=task, n=60))
    notes = {section.name: section.note for section in sections(run)}
    assert "Drawn are the 12 classes with most positives; the other 2" in notes["ranking"]


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PahclError, match="--out"):
        write_page(tmp_path / "file" / "page.html", "text")


def test_the_official_score_stands_below_the_key_numbers(tmp_path: Path) -> None:
    task = Task("abnormal", "binary", ("abnormal",), ("abnormal",), "auroc", scorer="cinc2016")
    page = render_run(load_run(fake_run(tmp_path / "runs" / "e" / "a", task=task)))
    assert "Official score" in page
    assert "scored as its publisher does" in page
    check(page)
    other = Task("abnormal", "binary", ("odd",), ("abnormal",), "auroc", scorer="cinc2016")
    page = render_run(load_run(fake_run(tmp_path / "runs" / "e" / "b", task=other)))
    assert "Cinc2016 gave no score: " in page
