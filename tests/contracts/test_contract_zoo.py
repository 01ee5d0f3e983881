"""A zoo of malformed files: each record is kept or named, and one takes no other with it.

Every kind of file of every data set is damaged in every way below, one file at a time. What must
come out is a store in which all other records are kept and the counts add up, or an error in a
sentence that names the file. Hypothesis then writes at random into headers and tables.
"""

from __future__ import annotations

import importlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pahcl.commands._common import datasets, find_data_module
from pahcl.errors import PahclError
from pahcl.simulation.corpus import MARK
from pahcl.store import SignalStore

DATASETS = datasets()
RECORDS = 6

TEXT = frozenset({".hea", ".csv", ".tsv", ".txt"})
TABLES = frozenset({".csv"})


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def empty(data: bytes) -> bytes:
    return b""


def noise(data: bytes) -> bytes:
    return random.Random(0).randbytes(max(len(data), 64))


def begin_damaged(data: bytes) -> bytes:
    return random.Random(1).randbytes(min(len(data), 24)) + data[24:]


def middle_damaged(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + random.Random(2).randbytes(16) + data[half + 16 :]


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


def grown(data: bytes) -> bytes:
    return data + random.Random(3).randbytes(len(data) // 2 + 7)


def other_kind(data: bytes) -> bytes:
    return b"PK\x03\x04" + b"<html><body>404 Not Found</body></html>" * 20


def utf16(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode("utf-16")


def latin1(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + "é§ü".encode("latin-1") + data[half:]


def nul_bytes(data: bytes) -> bytes:
    return data[: len(data) // 3] + b"\x00\x00" + data[len(data) // 3 :]


def first_line_lost(data: bytes) -> bytes:
    return data.split(b"\n", 1)[-1]


def one_long_line(data: bytes) -> bytes:
    return data.replace(b"\r", b"").replace(b"\n", b" ")


def absurd_numbers(data: bytes) -> bytes:
    """Every digit becomes a 9: rates, counts, ages and identifiers beyond all bounds."""
    head, _, rest = data.partition(b"\n")
    return bytes(57 if 48 <= byte <= 57 else byte for byte in head) + b"\n" + rest


def negative_numbers(data: bytes) -> bytes:
    return data.replace(b" ", b" -").replace(b",", b",-")


def not_a_number(data: bytes) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join([lines[0].replace(b"500", b"nan"), *lines[1:]]).replace(b"1", b"nan")


def column_lost(data: bytes) -> bytes:
    lines = [line.split(b",") for line in data.split(b"\n")]
    return b"\n".join(b",".join(cells[1:]) for cells in lines)


def rows_twice(data: bytes) -> bytes:
    head, _, rest = data.partition(b"\n")
    return head + b"\n" + rest + (b"" if rest.endswith(b"\n") else b"\n") + rest


def semicolons(data: bytes) -> bytes:
    return data.replace(b",", b";")


def open_quote(data: bytes) -> bytes:
    half = data.find(b"\n", len(data) // 2) + 1
    return data[:half] + b'"' + data[half:]


ANY: tuple[Callable[[bytes], bytes], ...] = (
    truncate, empty, noise, begin_damaged, middle_damaged, zeros, grown, other_kind,
)  # fmt: skip
OF_TEXT = (utf16, latin1, nul_bytes, first_line_lost, one_long_line, absurd_numbers,
           negative_numbers, not_a_number)  # fmt: skip
OF_TABLES = (column_lost, rows_twice, semicolons, open_quote)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small corpus of every data set."""
    found = {}
    for name in DATASETS:
        found[name] = tmp_path_factory.mktemp(name)
        writer = importlib.import_module(f"pahcl.simulation.{name}")
        writer.write(found[name], records=RECORDS, seed=3)
    return found


@pytest.fixture(scope="module")
def healthy(zoo: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The records that each corpus keeps undamaged."""
    folder = tmp_path_factory.mktemp("healthy")
    kept = {}
    for name, root in zoo.items():
        cls = find_data_module(name)
        cls.prepare(root, folder / name, fs=min(cls.rates), progress=False)
        kept[name] = set(SignalStore(folder / name).table["record_id"].astype(str))
    return kept


def suffixes(name: str, root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Group a corpus's files by kind: tables at the top by name, all others by suffix."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != MARK:
            place = path.relative_to(root)
            kind = place.name if len(place.parts) == 1 and path.suffix in TEXT else path.suffix
            groups.setdefault(kind, []).append(place)
    yield from groups.items()


def is_shared(place: Path, files: list[Path]) -> bool:
    """Say whether a file holds several records: a table, or a part of a corpus."""
    return len(files) == 1 or place.suffix in {*TABLES, ".hdf5", ".h5"}


def damages(suffix: str) -> tuple[Callable[[bytes], bytes], ...]:
    extra = (*OF_TEXT,) if suffix in TEXT else ()
    return (*ANY, *extra, *(OF_TABLES if suffix in TABLES else ()))


def outcome(name: str, root: Path, out: Path) -> tuple[set[str], list[str]] | str:
    """Pack a folder: the records kept and what was said of the others, or an error's sentence."""
    cls = find_data_module(name)
    try:
        cls.prepare(root, out, fs=min(cls.rates), progress=False)
    except PahclError as error:
        return str(error)
    store = SignalStore(out)
    counts = store.manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"]
    assert counts["kept"] == len(store)
    assert all(one.file and one.reason for one in store.manifest.rejected)
    named = [f"{one.file}: {one.record_id}: {one.reason}" for one in store.manifest.rejected]
    return set(store.table["record_id"].astype(str)), named


@pytest.mark.parametrize("name", DATASETS)
def test_no_damaged_file_takes_others_with_it(
    name: str, zoo: dict[str, Path], healthy: dict[str, set[str]], tmp_path: Path
) -> None:
    cases = 0
    root = tmp_path / "root"
    shutil.copytree(zoo[name], root)
    for _, files in suffixes(name, root):
        place = files[len(files) // 2]
        whole = (root / place).read_bytes()
        several = is_shared(place, files)
        for damage in damages(place.suffix):
            case = f"{name}: {place} {damage.__name__}"
            (root / place).write_bytes(damage(whole))
            found = outcome(name, root, tmp_path / "store")
            if isinstance(found, str):
                assert several, f"{case}: one file stopped the whole corpus: {found}"
                # The file, its folder, or the option that says how it is to be read.
                assert place.name in found or str(root) in found or "`--" in found, case
            else:
                lost = healthy[name] - found[0]
                assert several or len(lost) <= 1, f"{case} lost {sorted(lost)}"
                for record in lost:
                    assert several or any(
                        record in text or place.stem in text for text in found[1]
                    ), f"{case}: {record} vanished; named are {found[1]}"
            shutil.rmtree(tmp_path / "store", ignore_errors=True)
            cases += 1
        (root / place).write_bytes(whole)
    assert cases >= 8


def test_the_zoo_has_more_than_a_hundred_animals(zoo: dict[str, Path]) -> None:
    count = sum(
        len(damages(files[0].suffix)) for name in DATASETS for _, files in suffixes(name, zoo[name])
    )
    assert count >= 100


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_in_place_of_a_file_and_a_link_that_leads_nowhere(
    name: str, zoo: dict[str, Path], healthy: dict[str, set[str]], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(zoo[name], root)
    for number, (_, files) in enumerate(suffixes(name, zoo[name])):
        place = files[len(files) // 2]
        several = is_shared(place, files)
        for make in (
            lambda path: path.mkdir(),
            lambda path: path.symlink_to(tmp_path / "nowhere"),
        ):
            (root / place).unlink()
            make(root / place)
            found = outcome(name, root, tmp_path / f"store{number}")
            if isinstance(found, str):
                assert several, f"{place}: {found}"
            else:
                assert several or len(healthy[name] - found[0]) <= 1
            shutil.rmtree(tmp_path / f"store{number}", ignore_errors=True)
            if (root / place).is_symlink():
                (root / place).unlink()
            else:
                (root / place).rmdir()
            shutil.copyfile(zoo[name] / place, root / place)


@pytest.mark.parametrize("name", DATASETS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_writing_at_random_into_headers_and_tables_crashes_nothing(
    name: str, zoo: dict[str, Path], data: st.DataObject
) -> None:
    cls, root = find_data_module(name), zoo[name]
    texts = [path for path in sorted(root.rglob("*")) if path.suffix in TEXT]
    path = data.draw(st.sampled_from(texts))
    whole = path.read_bytes()
    pieces = st.one_of(
        st.binary(max_size=6),
        st.sampled_from([b"-1", b"1e999", b"nan", b",", b'"', b"\n", b"/", b"../x", b"0", b" "]),
    )
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        length = data.draw(st.integers(0, 8))
        damaged[place : place + length] = data.draw(pieces)
    try:
        path.write_bytes(bytes(damaged))
        index = cls.contents(root, min(cls.rates)).index
        for row in index.table.head(4).to_dict("records"):
            try:
                cls.read(root, {str(key): value for key, value in row.items()})
            except (PahclError, OSError, ValueError, LookupError, EOFError):
                continue  # what the writer names as this record's fault
    except PahclError:
        pass  # a sentence about a table
    finally:
        path.write_bytes(whole)
