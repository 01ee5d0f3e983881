"""Publishers' lists, and parts of them."""

from __future__ import annotations

import hashlib
import json
import os
from itertools import islice
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publisher import record

from pahcl.download.listing import (
    Digest,
    RemoteFile,
    SumsListing,
    read_digest,
    safe_path,
    zenodo_files,
)
from pahcl.download.selection import Selection, parse_records, select
from pahcl.errors import DownloadError, UsageError

ORIGIN = "https://physionet.org/files/x/1.0/"


def listing(folder: Path, text: str, **settings: object) -> SumsListing:
    path = folder / "sums"
    path.write_bytes(text.encode())
    return SumsListing(path, ORIGIN, "the publisher's", **settings)  # type: ignore[arg-type]


def line(path: str, blanks: str = " ") -> str:
    return f"{hashlib.sha256(path.encode()).hexdigest()}{blanks}{path}\n"


def sums_of(*paths: str) -> str:
    return "".join(map(line, paths))


def test_lines_are_read_as_publishers_and_tools_write_them(tmp_path: Path) -> None:
    text = (
        line("a.hea") + line("b c.dat", "  ") + line("./d/e#1.dat", " *") + "\n" + line("f").upper()
    )
    text = text.replace("F\n", "f\r\n")
    files = list(listing(tmp_path, text))
    assert [file.path for file in files] == ["a.hea", "b c.dat", "d/e#1.dat", "f"]
    assert [file.url.removeprefix(ORIGIN) for file in files] == [
        "a.hea",
        "b%20c.dat",
        "d/e%231.dat",
        "f",
    ]
    assert files[3].digest == Digest("sha256", hashlib.sha256(b"f").hexdigest())


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html>\n",
        "d41d8cd98f00b204e9800998ecf8427e  a.dat\n",
        line("a")[:60],
        "x" * 64 + " a\n",
    ],
)
def test_what_is_no_list_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(DownloadError, match=r"SHA256SUMS\.txt, line 2, is not a checksum"):
        list(listing(tmp_path, line("fine") + text))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "C:\\x", "a\\b", "a\x01b", "c:x"]
)
def test_a_list_does_not_lead_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(DownloadError, match="no path below the data set's folder"):
        list(listing(tmp_path, line(path)))


@given(st.text(max_size=40))
def test_a_safe_path_stays_below_its_folder(text: str) -> None:
    try:
        found = PurePosixPath(safe_path(text, "here"))
    except DownloadError:
        return
    assert not found.is_absolute()
    assert ".." not in found.parts
    assert found.parts


def test_a_part_of_a_project_and_its_other_forms(tmp_path: Path) -> None:
    text = sums_of("training/a/1.hea", "training/b/2.hea", "training/a/3.zip", "RECORDS")
    found = listing(tmp_path, text, below="training/a/", leave_out=("*.zip",))
    assert [(file.path, file.url) for file in found] == [("1.hea", f"{ORIGIN}training/a/1.hea")]


def test_the_publishers_own_lists_are_read(samples: Path) -> None:
    for name, records in (("ptb-xl", 400), ("circor", 3163)):
        folder = samples / name
        found = SumsListing(folder / "SHA256SUMS.txt", ORIGIN, "")
        files = {file.path: file for file in found}
        lines = (folder / "SHA256SUMS.txt").read_text().splitlines()
        assert len(files) == len(lines)
        headers = [path for path in files if path.endswith(".hea")]
        # Tables of the samples are cut to the records that are there.
        there = [path for path in files if "/" in path and (folder / path).is_file()]
        assert len(there) > 10
        for path in islice(there, 40):
            digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
            assert files[path].digest == Digest("sha256", digest)
        if name == "circor":
            assert len(headers) == records
            names = (folder / "RECORDS").read_text().split()
            # In RECORDS they stand by number, in the list of checksums by letter.
            assert {path.removesuffix(".hea") for path in headers} == set(names)


def test_a_record_of_zenodo_in_both_forms(tmp_path: Path) -> None:
    files = {"exams.csv": b"a,b", "exams part0.zip": b"PK"}
    new = json.loads(record(7, files))
    old = {
        "id": 7,
        "files": [
            {"filename": one["key"], "filesize": one["size"], "checksum": one["checksum"][4:]}
            for one in new["files"]
        ],
    }
    found = list(zenodo_files(new, None, True, "here"))
    assert found == list(zenodo_files(old, None, True, "here"))
    base = "https://zenodo.org/records/7/files/"
    md5 = [Digest("md5", hashlib.md5(content).hexdigest()) for content in files.values()]
    assert found == [
        RemoteFile("exams.csv", f"{base}exams.csv?download=1", md5[0], 3),
        RemoteFile("exams part0.zip", f"{base}exams%20part0.zip?download=1", md5[1], 2, ""),
    ]
    mirrored = list(zenodo_files(new, "http://m/", False, "here"))
    assert mirrored[1] == RemoteFile("exams part0.zip", "http://m/exams%20part0.zip", md5[1], 2)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "lists no files"),
        (None, "lists no files"),
        ([{"key": "a", "size": 1}], "neither md5 nor sha256"),
        ([{"key": "a", "size": 1, "checksum": "crc:00"}], "neither md5 nor sha256"),
        ([{"key": "a", "size": "1", "checksum": "md5:" + "0" * 32}], "without a name or a size"),
        ([{"key": "../a", "size": 1, "checksum": "md5:" + "0" * 32}], "no path below"),
        (["a"], "without a name or a size"),
    ],
)
def test_an_odd_record_is_refused(files: object, says: str) -> None:
    with pytest.raises(DownloadError, match=says):
        list(zenodo_files({"id": 7, "files": files}, None, True, "here"))


def test_checksums_are_md5_or_sha256() -> None:
    assert read_digest(" MD5:" + "A" * 32, "x") == Digest("md5", "a" * 32)
    assert read_digest("sha256:" + "0" * 64, "x") == Digest("sha256", "0" * 64)
    with pytest.raises(DownloadError, match="x: the checksum"):
        read_digest("md5:" + "g" * 32, "x")


PATHS = (
    "LICENSE.txt", "r100/2_lr.dat", "r100/2_lr.hea", "r100/10_lr.dat", "r100/10_lr.hea",
    "r500/2_hr.hea", "r500/2_hr.dat", "table.csv",
)  # fmt: skip


@pytest.mark.parametrize(
    ("only", "records", "wanted"),
    [
        ((), None, PATHS),
        (("r100/*",), None, PATHS[1:5]),
        (("r100/*", "*.csv"), None, (*PATHS[1:5], PATHS[7])),
        (("*.hea",), None, (PATHS[2], PATHS[4], PATHS[5])),
        ((), (2, 2), (PATHS[0], *PATHS[3:5], PATHS[7])),
        ((), (1, 3), PATHS),
        (("r500/*",), (1, 1), PATHS[5:7]),
        (("r500/*", "*.csv"), (1, 1), PATHS[5:8]),
    ],
)
def test_parts_are_chosen_by_pattern_and_number(
    tmp_path: Path, only: tuple[str, ...], records: tuple[int, int] | None, wanted: tuple[str, ...]
) -> None:
    chosen = select(listing(tmp_path, sums_of(*PATHS)), Selection(only, records))
    assert tuple(file.path for file in chosen) == wanted
    assert tuple(file.path for file in chosen) == wanted  # as often as asked


@pytest.mark.parametrize(
    ("only", "records", "says"),
    [
        (("*.wav",), None, r"--only \*.wav` fits none.*The first ones are LICENSE.txt"),
        ((), (3, 4), "there are 3 records at"),
        (("r500/*",), (2, 2), "there are 1 records at .* that fit --only"),
        (("*.csv",), (1, 1), "there are 0 records.*--only instead"),
    ],
)
def test_a_part_that_is_not_there_is_named(
    tmp_path: Path, only: tuple[str, ...], records: tuple[int, int] | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        select(listing(tmp_path, sums_of(*PATHS)), Selection(only, records))


def test_an_empty_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="is empty"):
        select(listing(tmp_path, "\n"), Selection())


def test_names_of_no_known_writing_are_kept_byte_for_byte(tmp_path: Path) -> None:
    found = listing(tmp_path, "")
    found.sums.write_bytes(b"0" * 64 + b"  \xff.dat\n")
    (file,) = found
    assert os.fsencode(file.path) == b"\xff.dat"
    assert file.url == f"{ORIGIN}%FF.dat"


def test_records_are_numbers_from_1() -> None:
    assert parse_records(None) is None
    assert parse_records("3") == (3, 3)
    assert parse_records("1-100") == (1, 100)
    for text in ("", "0-3", "5-2", "a-b", "-3", "1-", "1-2-3", "²"):
        with pytest.raises(UsageError, match="as in 1-100"):
            parse_records(text)
