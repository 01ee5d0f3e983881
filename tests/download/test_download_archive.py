"""Archives from strangers."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from publisher import tree, zipped

from pahcl.download.archive import settle, unpack
from pahcl.errors import ArchiveError, DownloadError

GOOD = {"set/a.hea": b"header", "set/deep/a.dat": bytes(range(256)) * 40, "set/README": b""}


def archive(folder: Path, content: bytes) -> Path:
    path = folder / "data.zip"
    path.write_bytes(content)
    return path


def test_files_come_out_without_the_folder_around_all(tmp_path: Path) -> None:
    found = unpack(archive(tmp_path, zipped(GOOD)), "data.zip", tmp_path / "staged", unwrap=True)
    wanted = {path.removeprefix("set/"): content for path, content in GOOD.items()}
    assert tree(tmp_path / "staged") == wanted
    assert {one.path: one.size for one in found} == {name: len(wanted[name]) for name in wanted}


def test_a_folder_that_says_something_is_kept(tmp_path: Path) -> None:
    unpack(archive(tmp_path, zipped(GOOD)), "data.zip", tmp_path / "staged")
    assert tree(tmp_path / "staged") == GOOD


def test_two_folders_are_kept_and_litter_is_not(tmp_path: Path) -> None:
    files = {"a/x.wav": b"1", "b/x.wav": b"2"}
    litter = {"__MACOSX/a/._x.wav": b"3", "a/.DS_Store": b"4", "b/": b""}
    path = archive(tmp_path, zipped({**litter, **files}))
    unpack(path, "data.zip", tmp_path / "staged", unwrap=True)
    assert tree(tmp_path / "staged") == files


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside",
        "set/../../outside",
        "set/..",
        "C:/outside",
        "set\\..\\outside",
        "set/a\nb",
        "x" * 300,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_before_anything_is_written(
    tmp_path: Path, path: str
) -> None:
    content = zipped({**GOOD, path: b"bad"})
    with pytest.raises(ArchiveError, match="no path below the data set's folder"):
        unpack(archive(tmp_path, content), "data.zip", tmp_path / "staged")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["data.zip"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "no plain file"), (stat.S_IFIFO, "no plain file")],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int, says: str) -> None:
    content = zipped({**GOOD, "set/link": b"/etc/passwd"}, {"set/link": kind | 0o777})
    with pytest.raises(ArchiveError, match=says):
        unpack(archive(tmp_path, content), "data.zip", tmp_path / "staged")
    assert not (tmp_path / "staged").exists()


def test_a_name_twice_or_within_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own: a duplicate name
        with zipfile.ZipFile(path, "w") as target:
            target.writestr("a", b"1")
            target.writestr("a", b"2")
    with pytest.raises(ArchiveError, match="holds a twice"):
        unpack(path, "data.zip", tmp_path / "staged")
    with pytest.raises(ArchiveError, match="lies in a file"):
        unpack(archive(tmp_path, zipped({"a": b"1", "a/b": b"2"})), "data.zip", tmp_path / "staged")


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    content = zipped({"zeros": bytes(20_000_000)})
    assert len(content) * 200 < 20_000_000
    with pytest.raises(ArchiveError, match="claims to hold 20000000"):
        unpack(archive(tmp_path, content), "data.zip", tmp_path / "staged")
    assert not (tmp_path / "staged").exists()


def test_a_bomb_that_declares_less_than_it_holds_is_cut_off(tmp_path: Path) -> None:
    content = bytearray(zipped({"zeros": bytes(1_000_000)}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(signature)
        struct.pack_into("<I", content, start + at, 1000)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(archive(tmp_path, bytes(content)), "data.zip", tmp_path / "staged")
    assert sum(path.stat().st_size for path in (tmp_path / "staged").rglob("*")) <= 1000


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_archive_is_damaged(tmp_path: Path, share: float) -> None:
    content = zipped(GOOD)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(
            archive(tmp_path, content[: int(len(content) * share)]), "d.zip", tmp_path / "staged"
        )


def test_a_flipped_byte_is_found_by_the_members_checksum(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": bytes(range(256))}))
    content[60] ^= 0xFF
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(archive(tmp_path, bytes(content)), "data.zip", tmp_path / "staged")


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"secret"}))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    with pytest.raises(ArchiveError, match="is encrypted"):
        unpack(archive(tmp_path, bytes(content)), "data.zip", tmp_path / "staged")


def test_an_empty_archive_is_none(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no files"):
        unpack(archive(tmp_path, zipped({})), "data.zip", tmp_path / "staged")


def test_the_disk_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**26))
    with pytest.raises(DownloadError, match=r"data.zip needs 10\.2 kB"):
        unpack(archive(tmp_path, zipped(GOOD)), "data.zip", tmp_path / "staged")


def test_a_tree_appears_by_one_rename_or_joins_what_is_there(tmp_path: Path) -> None:
    staged, target = tmp_path / "staged", tmp_path / "new/out"
    unpack(archive(tmp_path, zipped(GOOD)), "data.zip", staged, unwrap=True)
    inode = staged.stat().st_ino
    settle(staged, target)
    assert target.stat().st_ino == inode
    (target / "own.txt").write_bytes(b"mine")
    (target / "a.hea").write_bytes(b"damaged")
    unpack(tmp_path / "data.zip", "data.zip", staged, unwrap=True)
    settle(staged, target)
    found = tree(target)
    assert found.pop("own.txt") == b"mine"
    assert found["a.hea"] == b"header"
    assert len(found) == 3


@pytest.mark.parametrize(
    ("inside", "says"), [("deep", "is a file where"), ("a.hea/x", "is a folder where")]
)
def test_what_is_in_the_way_of_a_tree_is_named(tmp_path: Path, inside: str, says: str) -> None:
    target = tmp_path / "out"
    (target / inside).parent.mkdir(parents=True)
    (target / inside).write_bytes(b"mine")
    unpack(archive(tmp_path, zipped(GOOD)), "data.zip", tmp_path / "staged", unwrap=True)
    with pytest.raises(DownloadError, match=says):
        settle(tmp_path / "staged", target)
    assert (target / inside).read_bytes() == b"mine"
