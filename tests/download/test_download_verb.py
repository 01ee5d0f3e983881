"""`pahcl download` against a publisher on this machine, at the addresses of the real ones."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from publisher import (
    Handler,
    Local,
    Publisher,
    breaks_off,
    record,
    says,
    serving,
    sums,
    tree,
    zipped,
)

from data_modules.ptbxl import PTBXLDataModule
from pahcl.cli import main
from pahcl.commands import download as verb
from pahcl.download import Site, workplace
from pahcl.errors import DownloadError

PTBXL = "physionet.org/files/ptb-xl/1.0.3/"
FILES = {
    "LICENSE.txt": b"licence",
    "RECORDS": b"records100/1_lr\nrecords100/2_lr\n",
    "ptbxl_database.csv": b"ecg_id\n1\n2\n",
    "records100/1_lr.dat": bytes(range(256)) * 300,
    "records100/1_lr.hea": b"1_lr 12 100 1000",
    "records100/2_lr.dat": bytes(range(255, -1, -1)) * 300,
    "records100/2_lr.hea": b"2_lr 12 100 1000",
}


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Publisher]:
    monkeypatch.chdir(tmp_path)
    with serving() as found:
        monkeypatch.setattr(verb, "make_client", lambda: Local(found.port))
        yield found


def publish(publisher: Publisher, at: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        publisher.files[at + path] = content
    publisher.files[f"{at}SHA256SUMS.txt"] = sums(files)


@pytest.fixture
def ptbxl(publisher: Publisher) -> Publisher:
    publish(publisher, PTBXL, FILES)
    return publisher


def ask(*words: str) -> tuple[int, dict[str, Any]]:
    """Run the verb; the facts are {} where it wrote none."""
    place = Path("facts.json")
    place.unlink(missing_ok=True)
    status = main(["download", *words, "--out", "out", "--json", str(place)])
    return status, json.loads(place.read_text()) if place.exists() else {}


def there(folder: str = "out") -> dict[str, bytes]:
    """What stands in the data set's folder but for our own note and the list."""
    found = tree(Path(folder))
    for name in ("SHA256SUMS.txt", "download.json"):
        found.pop(name, None)
    return found


def nothing_is_left() -> bool:
    return not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_a_data_set_comes_whole_and_is_not_fetched_twice(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    status, facts = ask("ptbxl")
    assert status == 0
    assert facts["counts"] == {"fetched": 7, "replaced": 0, "there": 0, "failed": 0}
    assert facts["bytes"] == sum(map(len, FILES.values()))
    assert there() == FILES
    assert nothing_is_left()
    assert Path("out/SHA256SUMS.txt").read_bytes() == ptbxl.files[f"{PTBXL}SHA256SUMS.txt"]
    receipt = json.loads(Path("out/download.json").read_text())
    assert (receipt["dataset"], receipt["version"]) == ("ptbxl", "ptb-xl 1.0.3")
    assert "the publisher's SHA256SUMS.txt" in receipt["checked_by"]
    said = capsys.readouterr().out
    for text in ("CC-BY-4.0", "open: no account", "doi", "7 file(s) fetched", "pahcl prepare"):
        assert text in said
    before = tree(Path("out"))
    ptbxl.requests.clear()
    status, facts = ask("ptbxl")
    assert (status, facts["counts"]["there"], facts["bytes"]) == (0, 7, 0)
    assert ptbxl.bodies() == {f"{PTBXL}SHA256SUMS.txt": 1}
    assert tree(Path("out")) == before


def test_what_was_fetched_is_prepared(
    publisher: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "ptbxl", "--out", "made", "--records", "12"]) == 0
    Path("made/simulation.json").unlink()
    publish(publisher, PTBXL, tree(Path("made")))
    status, facts = ask("ptbxl", "--only", "records100/*", "--only", "*.csv", "--workers", "8")
    assert status == 0
    assert facts["counts"]["fetched"] > 24
    words = ["--root", "out", "--out", "store", "--fs", "100", "--workers", "1"]
    assert main(["prepare", "ptbxl", *words]) == 0
    manifest = json.loads(Path("store/manifest.json").read_text())
    assert manifest["counts"]["kept"] >= 12
    assert manifest["dataset_version"] != "simulated"


def test_whatever_breaks_off_the_tree_is_the_publishers(ptbxl: Publisher) -> None:
    for number, path in enumerate(FILES):
        ptbxl.trouble[PTBXL + path] = [breaks_off(number), says(503), breaks_off(2 * number)]
    ptbxl.trouble[f"{PTBXL}SHA256SUMS.txt"] = [breaks_off(99), says(429, {"Retry-After": "1"})]
    assert ask("ptbxl", "--workers", "3")[0] == 0
    assert there() == FILES
    assert nothing_is_left()


def test_a_part_comes_and_the_rest_later(ptbxl: Publisher) -> None:
    status, facts = ask("ptbxl", "--records", "2-2")
    assert (status, facts["counts"]["fetched"]) == (0, 5)
    assert set(FILES) - set(there()) == {"records100/1_lr.dat", "records100/1_lr.hea"}
    status, facts = ask("ptbxl", "--only", "*.hea")
    assert facts["counts"] == {"fetched": 1, "replaced": 0, "there": 1, "failed": 0}
    status, facts = ask("ptbxl")
    assert facts["counts"] == {"fetched": 1, "replaced": 0, "there": 6, "failed": 0}
    assert there() == FILES


def test_a_list_that_names_files_twice_is_fetched_all_the_same(ptbxl: Publisher) -> None:
    big = {f"records100/{name}.dat": bytes([name]) * 3_000_000 for name in (1, 2, 3)}
    publish(ptbxl, PTBXL, big)
    name = f"{PTBXL}SHA256SUMS.txt"
    lines = ptbxl.files[name].splitlines(keepends=True)
    ptbxl.files[name] = b"".join(line * 3 for line in lines)
    status, facts = ask("ptbxl", "--workers", "4")
    assert (status, there()) == (0, big)
    assert facts["counts"] == {"fetched": 3, "replaced": 0, "there": 6, "failed": 0}
    assert facts["bytes"] == sum(map(len, big.values()))


def test_a_list_says_what_would_come_and_writes_nothing(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    status, facts = ask("ptbxl", "--list", "--only", "records100/*")
    assert status == 0
    wanted = {path for path in FILES if path.startswith("records100/")}
    assert {file["path"] for file in facts["files"]} == wanted
    assert facts["bytes"] == sum(len(FILES[path]) for path in wanted)
    assert facts["bytes_exact"] is True
    digest = hashlib.sha256(FILES["records100/1_lr.hea"]).hexdigest()
    assert f"sha256:{digest}" in [file["checksum"] for file in facts["files"]]
    assert "4 file(s), 154 kB (2 .dat, 2 .hea)" in capsys.readouterr().out
    assert not Path("out").exists()
    assert nothing_is_left()
    assert set(ptbxl.bodies()) == {f"{PTBXL}SHA256SUMS.txt"}


def test_sizes_of_many_files_are_taken_from_samples(ptbxl: Publisher) -> None:
    files = {f"r/{number:03}.dat": bytes(100 + number % 2) for number in range(64)}
    publish(ptbxl, PTBXL, files)
    _, facts = ask("ptbxl", "--list", "--only", "r/*")
    assert facts["bytes_exact"] is False
    assert abs(facts["bytes"] - 64 * 100) <= 64
    assert len([1 for how, _, _ in ptbxl.requests if how == "HEAD"]) == 8


def test_a_bad_file_does_not_keep_the_others_and_is_fetched_once_it_is_mended(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    ptbxl.files[f"{PTBXL}records100/1_lr.dat"] = b"another"
    lost = ptbxl.files.pop(f"{PTBXL}LICENSE.txt")
    status, facts = ask("ptbxl")
    assert status == 1
    assert facts["counts"] == {"fetched": 5, "replaced": 0, "there": 0, "failed": 2}
    reasons = {one["file"]: one["reason"] for one in facts["failures"]}
    assert "sha256" in reasons["records100/1_lr.dat"]
    assert "404" in reasons["LICENSE.txt"]
    assert "failed: records100/1_lr.dat" in capsys.readouterr().out
    assert set(there()) == set(FILES) - set(reasons)
    publish(ptbxl, PTBXL, FILES)
    ptbxl.files[f"{PTBXL}LICENSE.txt"] = lost
    status, facts = ask("ptbxl")
    assert facts["counts"] == {"fetched": 2, "replaced": 0, "there": 5, "failed": 0}
    assert there() == FILES


def test_a_damaged_file_in_place_is_replaced(ptbxl: Publisher) -> None:
    ask("ptbxl")
    Path("out/records100/1_lr.dat").write_bytes(b"cut")
    _, facts = ask("ptbxl")
    assert facts["counts"] == {"fetched": 0, "replaced": 1, "there": 6, "failed": 0}
    assert there() == FILES


def test_a_closed_door_ends_with_what_to_do(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in FILES:
        ptbxl.always[PTBXL + path] = says(403)
    status, facts = ask("ptbxl")
    assert (status, facts) == (1, {})
    said = capsys.readouterr().err
    assert "pahcl download: " in said
    assert "signed agreement" in said
    assert "~/.netrc" in said
    assert there() == {}


def test_a_list_that_is_a_page_is_named(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    ptbxl.files[f"{PTBXL}SHA256SUMS.txt"] = b"<html>Please sign in</html>\n"
    assert ask("ptbxl")[0] == 1
    assert "perhaps answers with a page instead of the list" in capsys.readouterr().err


ZIP = "physionet.org/content/ptb-xl/get-zip/1.0.3/"


def wrapped(files: Mapping[str, bytes]) -> bytes:
    top = "ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3/"
    return zipped({top + path: content for path, content in files.items()})


def test_one_archive_gives_the_same_tree_at_one_stroke(
    ptbxl: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = ptbxl.files[f"{PTBXL}SHA256SUMS.txt"]
    content = wrapped({**FILES, "SHA256SUMS.txt": listed, "not/listed.txt": b"?"})
    ptbxl.files["static.zip"] = content
    ptbxl.always[ZIP] = says(302, {"Location": f"http://localhost:{ptbxl.port}/static.zip"})
    ptbxl.trouble["static.zip"] = [breaks_off(500)]
    seen: list[set[str]] = []
    renamed = Path.rename

    def watched(path: Path, target: Path) -> Path:
        assert not Path("out").exists()
        seen.append(set(tree(path)))
        return renamed(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    status, facts = ask("ptbxl", "--zip")
    assert (status, facts["counts"]["fetched"], facts["bytes"]) == (0, 7, len(content))
    assert there() == FILES
    assert seen == [set(FILES)]
    assert nothing_is_left()
    assert set(ptbxl.bodies()) == {f"{PTBXL}SHA256SUMS.txt", ZIP, "static.zip"}
    for words in (("ptbxl", "--zip"), ("ptbxl",)):
        ptbxl.requests.clear()
        assert ask(*words)[1]["counts"]["there"] == 7
        assert set(ptbxl.bodies()) == {f"{PTBXL}SHA256SUMS.txt"}


@pytest.mark.parametrize(
    ("change", "says_what"),
    [
        ({"records100/1_lr.dat": b"another"}, "records100/1_lr.dat has the sha256"),
        ({"records100/1_lr.dat": None}, "records100/1_lr.dat is missing"),
        ({"../../outside": b"x"}, "no path below the data set's folder"),
    ],
)
def test_an_archive_with_anything_else_in_it_leaves_nothing(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str], change: dict[str, bytes | None],
    says_what: str,
) -> None:  # fmt: skip
    files = {path: content for path, content in {**FILES, **change}.items() if content is not None}
    ptbxl.files[ZIP] = wrapped(files)
    assert ask("ptbxl", "--zip")[0] == 1
    assert says_what in capsys.readouterr().err
    assert there() == {}
    assert not [path for path in Path().rglob("*") if path.suffix in (".dat", ".part")]


CODE15 = "zenodo.org/records/4916206/files/"
PARTS = {"exams_part0.hdf5": b"\x89HDF" * 999, "exams_part1.hdf5": b"\x89HDG" * 999}


@pytest.fixture
def code15(publisher: Publisher) -> Publisher:
    files = {"exams.csv": b"exam_id,trace_file\n"}
    for number, (path, content) in enumerate(PARTS.items()):
        files[f"exams_part{number}.zip"] = zipped({path: content})
    publisher.files["zenodo.org/api/records/4916206"] = record(4916206, files)
    for path, content in files.items():
        publisher.files[CODE15 + path] = content
    return publisher


def test_parts_of_zenodo_are_unpacked_and_known_again(code15: Publisher) -> None:
    code15.trouble[f"{CODE15}exams_part1.zip"] = [breaks_off(40)]
    status, facts = ask("code15", "--workers", "2")
    assert (status, facts["counts"]["fetched"]) == (0, 3)
    assert there() == {"exams.csv": b"exam_id,trace_file\n", **PARTS}
    assert nothing_is_left()
    received = json.loads(Path("out/download.json").read_text())["received"]
    assert list(received) == ["exams_part0.zip", "exams_part1.zip"]
    assert received["exams_part0.zip"]["publisher"].startswith("md5:")
    code15.requests.clear()
    assert ask("code15")[1]["counts"]["there"] == 3
    assert set(code15.bodies()) == {"zenodo.org/api/records/4916206"}
    Path("out/exams_part1.hdf5").write_bytes(b"damaged")
    assert ask("code15")[1]["counts"]["there"] == 2
    assert there()["exams_part1.hdf5"] == PARTS["exams_part1.hdf5"]


@pytest.mark.parametrize("said", [{}, {"size": 1}, {"members": {"a": [1]}}, {"members": [1]}, 7])
def test_a_note_that_somebody_has_edited_says_nothing(code15: Publisher, said: Any) -> None:
    assert ask("code15")[0] == 0
    before, note = there(), Path("out/download.json")
    facts = json.loads(note.read_text())
    for name, entry in facts["received"].items():
        kept = {"publisher": entry["publisher"]}
        facts["received"][name] = {**kept, **said} if isinstance(said, dict) else said
    note.write_text(json.dumps(facts if said != 7 else {**facts, "received": [7]}))
    status, again = ask("code15")
    assert (status, there()) == (0, before)
    assert again["counts"]["failed"] == 0


def test_a_bad_part_of_zenodo_leaves_the_good_ones(code15: Publisher) -> None:
    bad = zipped({"exams_part0.hdf5": b"x", "/etc/passwd": b"x"})
    code15.files[f"{CODE15}exams_part0.zip"] = bad
    status, facts = ask("code15")
    assert (status, facts["counts"]["failed"]) == (1, 1)
    assert "announces" in facts["failures"][0]["reason"]
    assert set(there()) == {"exams.csv", "exams_part1.hdf5"}
    files = {"exams_part0.zip": bad}
    code15.files["zenodo.org/api/records/4916206"] = record(4916206, files)
    _, facts = ask("code15")
    assert "no path below the data set's folder" in facts["failures"][0]["reason"]
    assert set(there()) == {"exams.csv", "exams_part1.hdf5"}


def test_a_part_of_a_challenge_lies_without_the_folders_above(publisher: Publisher) -> None:
    at = "physionet.org/files/challenge-2021/1.0.3/"
    files = {
        "LICENSE.txt": b"x",
        "training/cpsc_2018/g1/A0001.hea": b"A0001",
        "training/cpsc_2018/g1/A0001.mat": b"mat",
        "training/cpsc_2018_extra/g1/Q0001.hea": b"Q0001",
    }
    publish(publisher, at, files)
    assert ask("cpsc2018")[0] == 0
    assert there() == {"g1/A0001.hea": b"A0001", "g1/A0001.mat": b"mat"}
    assert not Path("out/SHA256SUMS.txt").exists()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_gives_files_and_list(publisher: Publisher, slash: str) -> None:
    publish(publisher, "here/", FILES)
    status, facts = ask("ptbxl", "--mirror", f"{publisher.url}here{slash}")
    assert status == 0
    assert "the mirror's own SHA256SUMS.txt" in facts["checked_by"]
    assert there() == FILES


def test_a_mirror_of_zenodo_has_a_copy_of_the_record(publisher: Publisher) -> None:
    publisher.files["here/exams.csv"] = b"a,b\n"
    publisher.files["here/record.json"] = record(4916206, {"exams.csv": b"a,b\n"})
    assert ask("code15", "--mirror", f"{publisher.url}here")[0] == 0
    assert there() == {"exams.csv": b"a,b\n"}


def test_a_site_without_checksums_is_recorded_and_changes_are_noticed(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(origin="https://www.peter.com/wav/", files=(("a.zip", "set_a"), ("t.csv", "")))
    monkeypatch.setattr(PTBXLDataModule, "source", site)
    at = "www.peter.com/wav/"
    sounds = {"Normal/1.wav": b"RIFF1", "Normal/2.wav": b"RIFF2"}
    publisher.files[f"{at}a.zip"] = zipped(sounds)
    publisher.files[f"{at}t.csv"] = b"x\n"
    status, facts = ask("ptbxl")
    assert status == 0
    assert "no checksums" in facts["checked_by"]
    assert there() == {**{f"set_a/{k}": v for k, v in sounds.items()}, "t.csv": b"x\n"}
    received = json.loads(Path("out/download.json").read_text())["received"]
    assert received["t.csv"]["sha256"] == hashlib.sha256(b"x\n").hexdigest()
    assert received["a.zip"]["publisher"] is None
    publisher.requests.clear()
    assert ask("ptbxl")[1]["counts"]["there"] == 2
    assert not publisher.bodies()
    Path("out/t.csv").write_bytes(b"y\n")
    assert ask("ptbxl")[1]["counts"]["replaced"] == 1
    assert there()["t.csv"] == b"x\n"


def test_another_version_is_not_mixed_in(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    ask("ptbxl")
    publish(ptbxl, PTBXL, {**FILES, "LICENSE.txt": b"changed"})
    assert ask("ptbxl")[0] == 1
    assert "Name another folder with --out; or remove SHA256SUMS.txt" in capsys.readouterr().err
    assert there() == FILES
    Path("out/SHA256SUMS.txt").unlink()
    assert ask("ptbxl")[1]["counts"]["replaced"] == 1


def test_a_simulated_corpus_is_not_mixed_with(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/simulation.json").write_text("{}")
    assert ask("ptbxl")[0] == 1
    assert "holds a simulated corpus" in capsys.readouterr().err
    assert not ptbxl.requests


def test_two_at_once_are_told(ptbxl: Publisher, capsys: pytest.CaptureFixture[str]) -> None:
    with workplace(Path("out").resolve()):
        assert ask("ptbxl")[0] == 1
    assert "Another process is fetching into" in capsys.readouterr().err
    assert ask("ptbxl")[0] == 0


def test_a_disk_that_is_too_small_is_told_at_once(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(ptbxl, PTBXL, {f"{n}.dat": bytes(2**20) for n in range(4)})
    usage = type("Usage", (), {"free": 2**26 + 3 * 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert ask("ptbxl")[0] == 1
    said = capsys.readouterr().err
    assert "PTB-XL (4.2 MB to fetch) needs 4.2 MB" in said
    assert set(ptbxl.bodies()) == {f"{PTBXL}SHA256SUMS.txt"}


@pytest.mark.parametrize(
    ("words", "says_what"),
    [
        (["ptbx"], "did you mean `ptbxl`"),
        (["ptbxl", "--workers", "0"], "`--workers 0`: give 1 to 16"),
        (["ptbxl", "--workers", "99"], "give 1 to 16"),
        (["ptbxl", "--records", "9"], "there are 2 records"),
        (["ptbxl", "--records", "x"], "as in 1-100"),
        (["ptbxl", "--only", "*.wav"], "fits none of the files"),
        (["ptbxl", "--zip", "--only", "*.hea"], "whole archive"),
        (["ptbxl", "--zip", "--mirror", "http://x/"], "whole archive"),
        (["code15", "--zip"], "in parts of its own"),
        (["cpsc2018", "--zip"], "holds all of challenge-2021"),
        (["ptbxl", "--mirror", "/mnt/ptb"], "`pahcl prepare` with --root"),
        (["ptbxl", "--mirror", "ftp://x/y"], "begins with https://"),
    ],
)
def test_what_cannot_be_asked_ends_with_2(
    ptbxl: Publisher, capsys: pytest.CaptureFixture[str], words: list[str], says_what: str
) -> None:
    assert ask(*words)[0] == 2
    assert says_what in capsys.readouterr().err
    assert there() == {}


SCRIPT = """
import sys
from pathlib import Path
from pahcl.download import Client, Fetcher, PhysioNet, Selection, select, workplace
out = Path(sys.argv[2])
with workplace(out) as work:
    client = Client()
    listing = PhysioNet(slug="x", version="1").listing(client, work, sys.argv[1])
    Fetcher(client, out, work).bring_all(select(listing, Selection()), 2)
"""


def test_kill_9_in_the_middle_costs_nothing_that_came(publisher: Publisher, tmp_path: Path) -> None:
    big = os.urandom(3_000_000)
    publish(publisher, "here/", {**FILES, "big.dat": big})
    let_go = threading.Event()

    def stalls(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in handler.state(big).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(big)))
        handler.end_headers()
        handler.wfile.write(big[:1_500_000])
        handler.wfile.flush()
        let_go.wait(60)
        handler.drop()

    publisher.trouble["here/big.dat"] = [stalls]
    out = tmp_path / "out"
    words = [sys.executable, "-c", textwrap.dedent(SCRIPT), f"{publisher.url}here/", str(out)]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[2])
    partial = tmp_path / ".out.download"
    while process.poll() is None:
        came = [path.stat().st_size for path in partial.glob("*.part")]
        if max(came, default=0) >= 1_000_000 and there(str(out)) == FILES:
            break
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    let_go.set()
    came = [path.stat().st_size for path in partial.glob("*.part")]
    assert not (out / "big.dat").exists()
    # What a process leaves that is killed while it unpacks: never taken for the data set's.
    (partial / "unpacked-x").mkdir()
    (partial / "unpacked-x/1.hea").write_bytes(b"half")
    status, facts = ask("ptbxl", "--mirror", f"{publisher.url}here/")
    assert (status, facts["counts"]["there"]) == (0, len(FILES))
    assert publisher.asked("here/big.dat")[-1]["range"] == f"bytes={max(came)}-"
    assert there() == {**FILES, "big.dat": big}
    assert nothing_is_left()


def test_ctrl_c_keeps_what_came(
    ptbxl: Publisher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupts(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pahcl.download.work._take", interrupts)
        assert ask("ptbxl")[0] == 130
    assert "goes on from it" in capsys.readouterr().err
    assert ask("ptbxl")[0] == 0
    assert there() == FILES


def test_a_workplace_is_given_to_one_process(tmp_path: Path) -> None:
    with workplace(tmp_path / "out") as work:
        assert work == tmp_path / ".out.download"
        with pytest.raises(DownloadError), workplace(tmp_path / "out"):
            pass
    assert list(tmp_path.iterdir()) == []
