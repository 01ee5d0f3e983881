"""The sections on robustness of a run's page, and files of it that are damaged or missing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_robustness import fake_robustness, protocol
from fake_runs import TASKS, fake_run
from matplotlib.figure import Figure
from test_reports_page import check

from pahcl.cli import main
from pahcl.reports.attacked import attacked_records, magnification
from pahcl.reports.page import render_run
from pahcl.reports.robust import robustness_sections
from pahcl.reports.robust_figures import place_sizes, power_of_ten, shown_metrics
from pahcl.reports.runs import Run, load_run
from pahcl.reports.sections import sections
from pahcl.reports.strips import STEP_MM, lay_out
from pahcl.signals.recording import Recording

AGAIN = "Run `pahcl robustness {}` again."
PARTS = {"robustness", "attacked", "corruptions"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run with its robustness, corruptions left out."""
    run = fake_run(tmp_path_factory.mktemp("runs") / "e/r", n=120)
    fake_robustness(run)
    return run


@pytest.fixture
def run(measured: Path, tmp_path: Path) -> Path:
    """Give a copy to damage."""
    shutil.copytree(measured, tmp_path / "e/r")
    return tmp_path / "e/r"


def section(run: Run, name: str) -> Any:
    return next(one for one in sections(run) if one.name == name)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_page_shows_what_a_run_bears(tmp_path: Path, kind: str) -> None:
    folder = fake_run(tmp_path / "e/r", kind, 60)
    facts = fake_robustness(folder, asked=protocol(corruptions=True, epsilons=(0.0, 0.01, 0.1)))
    run = load_run(folder)
    page = render_run(run)
    assert set(check(page).identifiers) >= PARTS
    assert "mathdefault" not in page
    assert "Mains cannot occur here: 50 Hz is not below half the rate of 100 Hz" in page
    assert "LA/RA and V1-V6" in page  # a level, whole
    table = section(run, "robustness").tables[0]
    assert table.headers[0] == "epsilon [mV]"
    assert [row[0].text for row in table.rows] == ["0", "0.01", "0.1"]
    ranks = kind == "binary"
    for point, row in zip(facts["curve"], table.rows[1:], strict=True):
        value = point["attacks"]["apgd"]["metrics"][facts["metric"]]["value"]
        assert row[1].text == f"{value:.{3 if ranks else 2}f}"
    assert len(section(run, "robustness").pictures) == (2 if ranks else 1)
    assert (">floor<" in page) == ranks
    assert ("Mean absolute error [years]" in page) != ranks


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_each_class_has_its_curve(tmp_path: Path, kind: str) -> None:
    folder, task = fake_run(tmp_path / "e/r", kind, 60), TASKS[kind]
    facts = fake_robustness(folder, asked=protocol(epsilons=(0.0, 0.01)))
    run = load_run(folder)
    attacked, added = robustness_sections(run, task)
    classes = attacked.tables[1]
    assert [row[0].text for row in classes.rows] == list(task.classes)
    scores = facts["curve"][0]["attacks"]["apgd"]["per_class"][task.classes[1]]
    assert classes.rows[1][2].text == f"{scores['auroc']['value']:.3f}"
    assert added.attacked is not None
    assert all(one.text.count("→") == 3 for one in added.attacked.records)


def test_the_text_says_what_is_left(run: Path) -> None:
    loaded = load_run(run)
    facts = loaded.robustness.facts
    said = section(loaded, "robustness").note
    point = next(p for p in facts["curve"] if p["epsilon"] == facts["examples"]["epsilon"])
    for name in ("apgd", "worst", "noise"):
        assert f"{point['attacks'][name]['metrics']['auroc']['value']:.3f} (" in said
    assert f"{facts['area']['logarithmic']['value']:.3f} (" in said
    assert f"{facts['area']['linear']['value']:.3f} (" in said
    assert "120 records of 60 people, test split, with APGD of 3 steps from 1 start, Linf" in said


def test_the_lines_of_the_auprc_are_those_of_the_labels(run: Path) -> None:
    loaded = load_run(run)
    facts = loaded.robustness.facts
    assert shown_metrics(facts) == ["auroc", "auprc"]
    share = float(loaded.predictions["target/AF"].mean())  # type: ignore[index]
    assert facts["bounds"]["auprc"]["chance"] == pytest.approx(share)
    assert 0 < facts["bounds"]["auprc"]["floor"] < share


def test_masked_gradients_are_warned_of(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "e/r", n=200)
    fake_robustness(folder, force={"square": 2.5})
    loaded = load_run(folder)
    (warning, *_) = section(loaded, "robustness").warnings
    assert "Square, which needs no gradients, does more harm than the reported attack" in warning
    assert "of AUROC at epsilon" in warning
    page = render_run(loaded)
    check(page)
    assert page.index("the gradients are probably masked") > page.index('id="robustness"')


def test_attacked_records_are_drawn_with_the_perturbation_magnified(run: Path) -> None:
    loaded = load_run(run)
    facts = loaded.robustness.facts
    found = attacked_records(loaded, TASKS["binary"])
    assert [one.title for one in found.records] == [
        f"Record {name}" for name in facts["examples"]["records"]
    ]
    assert f"At epsilon {facts['examples']['epsilon']:g} mV" in found.note
    factor = magnification(facts["examples"]["epsilon"])
    for one in found.records:
        clean, change, both = (strip for _, strip in one.strips)
        assert one.strips[1][0] == f"The perturbation alone, {factor:,} times as high"
        assert (clean.gain, change.gain, both.gain) == (1, factor, 1)
        assert re.fullmatch(r"AF \(truly (positive|negative)\): 0\.\d{3} → 0\.\d{3}", one.text)
    short = found.records[0].strips[0][1]
    assert short.seconds == 9  # what is no signal is not drawn
    page = render_run(loaded)
    check(page)
    assert page == render_run(load_run(run))
    assert f"25 mm/s · 10 mm = {1000 / factor:g} µV" in page


@pytest.mark.parametrize(
    ("peak", "factor"), [(0.0005, 1000), (0.01, 50), (0.0100004, 50), (0.3, 1), (4.0, 1)]
)
def test_factors_are_round_and_stay_on_paper(peak: float, factor: int) -> None:
    assert magnification(peak) == factor


def test_a_magnified_perturbation_keeps_its_baseline() -> None:
    change = np.full((12, 1000), 0.01, np.float32)
    leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    strip = lay_out(Recording(change, 100.0, leads, "mV", "r", "p"), 50)
    for trace in strip.traces:
        first = int(trace.path[3:].split("l")[0])
        assert first * STEP_MM == pytest.approx(-5)  # 0.01 mV × 50 = 5 mm above the line
    assert strip.scale == "25 mm/s · 10 mm = 20 µV"


def test_a_run_without_it_says_how_to_measure_it(tmp_path: Path) -> None:
    loaded = load_run(fake_run(tmp_path / "e/r", n=60))
    page = render_run(loaded)
    check(page)
    assert f"It was not measured yet; <code>pahcl robustness {tmp_path / 'e/r'}</code>" in page
    assert not loaded.damaged
    assert not loaded.changed


def test_what_was_measured_on_validation_alone_is_marked(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "e/r", n=60)
    fake_robustness(folder, split="val")
    said = section(load_run(folder), "robustness").warnings[0]
    assert said.startswith("Measured on the validation split")


def test_a_metric_that_is_not_defined_has_no_curve(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "e/r", n=20, targets=np.zeros((20, 1)))
    fake_robustness(folder)
    loaded = load_run(folder)
    assert "AUROC is not defined on the 20 records" in section(loaded, "robustness").note
    check(render_run(loaded))


@pytest.mark.parametrize(
    "changed",
    [{"epsilons": (0.0,)}, {"epsilons": (0.01,), "worst_case": False}, {"norm": "l1"}],
    ids=lambda one: "-".join(one),
)
def test_shorter_protocols_have_their_page(tmp_path: Path, changed: dict[str, Any]) -> None:
    folder = fake_run(tmp_path / "e/r", n=40)
    fake_robustness(folder, asked=protocol(**changed))
    page = render_run(load_run(folder))
    check(page)
    assert ("Worst of all attacks" in page) == (changed.get("norm") == "l1")


def test_other_units_and_rates_are_said(tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "e/r", n=40)
    fake_robustness(folder, fs=500.0, unit="bar")
    loaded = load_run(folder)
    assert "only ECGs stand on paper" in attacked_records(loaded, TASKS["binary"]).note
    fake_robustness(folder, fs=500.0)
    said = attacked_records(load_run(folder), TASKS["binary"]).note
    assert "above 125 Hz is in the spectrum alone" in said


def test_names_from_data_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>x</script>"
    folder = fake_run(tmp_path / "e/r", n=40, prefix=hostile)
    fake_robustness(folder)
    page = render_run(load_run(folder))
    check(page)
    assert "Record &lt;script&gt;" in page


def facts_in(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "robustness.json").read_text())
    return found


def without(*keys: str | int) -> Any:
    def cut(facts: dict[str, Any]) -> bytes:
        inner: Any = facts
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return json.dumps(facts).encode()

    return cut


DAMAGE = {
    "cut short": lambda facts: json.dumps(facts).encode()[:500],
    "no text": lambda _: b"\xff\xfe\x00",
    "no object": lambda _: b"[1]",
    "empty": lambda _: b"{}",
    "no curve": without("curve"),
    "no attack": without("curve", 0, "attacks", "apgd"),
    "no scores": without("curve", 1, "attacks", "worst", "metrics"),
    "no classes": without("clean", "per_class"),
    "no digests": without("sha256", "files"),
    "no spectrum": without("curve", 0, "attacks", "apgd", "spectrum", "signal"),
}


@pytest.mark.parametrize("how", sorted(DAMAGE))
def test_what_is_damaged_is_named_and_not_shown(run: Path, how: str) -> None:
    (run / "robustness.json").write_bytes(DAMAGE[how](facts_in(run)))
    loaded = load_run(run)
    (said,) = loaded.damaged
    assert str(run / "robustness.json") in said
    assert loaded.robustness.note == f"robustness.json cannot be read. {AGAIN.format(run)}"


def test_a_damaged_file_ends_in_one_and_has_its_page(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "robustness.json").write_bytes(DAMAGE["cut short"](facts_in(run)))
    assert main(["report", str(run)]) == 1
    said = capsys.readouterr().err
    assert str(run / "robustness.json") in said
    assert "Traceback" not in said
    page = (run / "report.html").read_text(encoding="utf-8")
    check(page)
    assert "robustness.json cannot be read. Run <code>pahcl robustness" in page
    assert 'id="ranking"' in page


@pytest.mark.parametrize(
    ("file", "how"),
    [("examples.npz", "gone"), ("clean.parquet", "changed"), ("worst-linf-0.1.parquet", "gone")],
)
def test_files_beside_it_that_are_lost_are_named(
    run: Path, file: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = run / "robustness" / file
    lost.unlink() if how == "gone" else lost.write_bytes(lost.read_bytes()[:-9])
    assert main(["report", str(run)]) == 1
    assert f"1 file beside robustness.json is gone or changed since: robustness/{file}" in (
        capsys.readouterr().err
    )
    page = (run / "report.html").read_text(encoding="utf-8")
    check(page)
    assert 'aria-label="AUROC under attack' in page  # the curve needs none of them
    assert ("The perturbation alone" in page) == file.startswith("worst")
    assert (f"robustness/{file} is gone or was changed since." in page) != file.startswith("worst")


def test_examples_that_are_none_are_said(run: Path) -> None:
    loaded = load_run(run)
    np.savez(run / "robustness/examples.npz", record_id=np.array(["r00001"]))
    assert "cannot be read" in attacked_records(loaded, TASKS["binary"]).note
    (run / "robustness/examples.npz").write_bytes(b"PK no")
    assert "cannot be read" in attacked_records(loaded, TASKS["binary"]).note


def test_robustness_of_another_checkpoint_is_not_shown(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = facts_in(run)
    facts["sha256"]["checkpoint"] = "0" * 64
    (run / "robustness.json").write_text(json.dumps(facts))
    assert main(["report", str(run)]) == 1
    assert "measured of another checkpoint" in capsys.readouterr().err
    loaded = load_run(run)
    assert not section(loaded, "robustness").pictures
    assert "attacked" not in {one.name for one in sections(loaded)}


def test_names_of_sizes_keep_apart() -> None:
    axis = Figure().subplots()
    sizes = [0.0, *np.geomspace(0.001, 0.1, 30).round(6).tolist()]
    places = place_sizes(axis, sizes, "mV")
    names = [label.get_text() for label in axis.get_xticklabels()]
    named = [place for place, name in zip(places, names, strict=True) if name]
    assert names[0] == "clean"
    assert names[-1] == "0.1"
    assert min(np.diff(named)) >= 0.0999 * places[-1]
    assert len(axis.get_xticks()) == 31


def test_ticks_of_powers_are_plain_text() -> None:
    assert [power_of_ten(x) for x in (1e-12, 0.1, 1, 1000, 0.02, 0, -1)] == [
        "10⁻¹²", "10⁻¹", "10⁰", "10³", "", "", "",
    ]  # fmt: skip


def test_the_json_holds_area_and_warnings(run: Path, tmp_path: Path) -> None:
    assert main(["report", str(run), "--json", str(tmp_path / "f.json")]) == 0
    (found,) = json.loads((tmp_path / "f.json").read_text())["runs"]
    facts = facts_in(run)
    assert found["robustness"]["mean_height"] == facts["area"]["logarithmic"]
    assert found["robustness"]["warnings"] == facts["warnings"]
