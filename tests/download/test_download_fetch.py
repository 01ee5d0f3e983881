"""One file from a publisher who breaks off, lies, changes his mind, or shuts the door."""

from __future__ import annotations

import email.utils
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from publisher import Answer, Handler, Publisher, breaks_off, says, sends, serving

from pahcl.download import Client, Patience
from pahcl.download.client import Stopped, is_same_site, retry_after
from pahcl.download.fetch import Arrived, Partial, fetch, in_units, put_in_place
from pahcl.download.listing import Digest, RemoteFile
from pahcl.errors import AccessError, ChecksumError, DownloadError, MissingFileError

CONTENT = random.Random(3).randbytes(300_000)
SHA256 = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())
MD5 = Digest("md5", hashlib.md5(CONTENT).hexdigest())


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with serving() as found:
        found.files["a.dat"] = CONTENT
        yield found


class Pauses:
    """A clock that runs only while somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 1_700_000_000.0

    def pause(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def client(pauses: Pauses) -> Client:
    return Client(Patience(tries=4), (5.0, 5.0), pauses.pause, lambda: pauses.now)


def remote(
    publisher: Publisher, digest: Digest | None = SHA256, size: int | None = None
) -> RemoteFile:
    return RemoteFile("a.dat", f"{publisher.url}a.dat", digest, size)


def get(client: Client, file: RemoteFile, folder: Path) -> Arrived:
    partial = Partial(folder / "work", file)
    arrived = fetch(client, file, partial, lambda _: None)
    put_in_place(partial.path, folder / "out" / file.path)
    return arrived


@pytest.mark.parametrize("digest", [SHA256, MD5, None])
def test_a_file_arrives_and_nothing_is_left_beside_it(
    publisher: Publisher, client: Client, tmp_path: Path, digest: Digest | None
) -> None:
    arrived = get(client, remote(publisher, digest), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT
    assert arrived == Arrived(len(CONTENT), SHA256.value, MD5.value)
    assert list((tmp_path / "work").iterdir()) == []
    assert len(list((tmp_path / "out").iterdir())) == 1
    agent = publisher.asked("a.dat")[0]["user-agent"]
    assert agent.startswith("pahcl/")
    assert "https://" in agent


@pytest.mark.parametrize("digest", [SHA256, None])
def test_what_breaks_off_goes_on_where_it_was(
    publisher: Publisher, client: Client, pauses: Pauses, tmp_path: Path, digest: Digest | None
) -> None:
    publisher.trouble["a.dat"] = [breaks_off(100_000), breaks_off(50_000), breaks_off(0)]
    get(client, remote(publisher, digest), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT
    ranges = [head.get("range") for head in publisher.asked("a.dat")]
    assert ranges == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-"]
    tag = f'"{MD5.value}"'
    assert [head.get("if-range") for head in publisher.asked("a.dat")] == [None, tag, tag, tag]
    assert len(pauses.slept) == 3


def test_a_break_at_every_few_bytes_is_no_reason_to_give_up(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.trouble["a.dat"] = [breaks_off(10_000) for _ in range(20)]
    get(client, remote(publisher), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT
    assert len(publisher.asked("a.dat")) == 21


def test_no_progress_ends_after_a_few_tries_and_keeps_what_came(
    publisher: Publisher, client: Client, pauses: Pauses, tmp_path: Path
) -> None:
    publisher.trouble["a.dat"] = [breaks_off(100_000), *[breaks_off(0) for _ in range(9)]]
    with pytest.raises(DownloadError, match=r"could not be fetched.*What has arrived is kept"):
        get(client, remote(publisher), tmp_path)
    assert len(publisher.asked("a.dat")) == 4
    assert pauses.slept[-1] > pauses.slept[1] > 0
    publisher.trouble.clear()
    get(client, remote(publisher), tmp_path)
    assert publisher.asked("a.dat")[-1]["range"] == "bytes=100000-"
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_a_named_error(client: Client, tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(DownloadError, match=r"could not be fetched.*4 times in a row"):
        get(client, RemoteFile("a.dat", f"{url}a.dat", SHA256), tmp_path)


@pytest.mark.parametrize("digest", [SHA256, None])
def test_a_server_without_ranges_sends_it_from_the_start(
    publisher: Publisher, client: Client, tmp_path: Path, digest: Digest | None
) -> None:
    publisher.ranges = False
    publisher.trouble["a.dat"] = [breaks_off(100_000)]
    get(client, remote(publisher, digest), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


def test_without_checksum_and_state_of_the_file_nothing_is_gone_on_from(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.tags = publisher.dates = False
    publisher.trouble["a.dat"] = [breaks_off(100_000)]
    get(client, remote(publisher, None), tmp_path)
    assert [head.get("range") for head in publisher.asked("a.dat")] == [None, None]
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


def test_without_a_tag_the_date_says_which_state_it_is(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.tags = False
    publisher.trouble["a.dat"] = [breaks_off(100_000)]
    get(client, remote(publisher, None), tmp_path)
    assert publisher.asked("a.dat")[1]["if-range"].endswith("GMT")
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


@pytest.mark.parametrize("honest", [True, False])
def test_a_file_that_changes_between_two_pieces_is_never_mixed(
    publisher: Publisher, client: Client, tmp_path: Path, honest: bool
) -> None:
    changed = random.Random(4).randbytes(310_000)

    def changes(handler: Handler) -> None:
        breaks_off(100_000)(handler)
        publisher.files["a.dat"] = changed

    def insists(handler: Handler) -> None:
        """Answer a range of the new file, whatever If-Range says."""
        head = {**handler.state(changed), "Content-Range": f"bytes 100000-309999/{len(changed)}"}
        handler.answer(206, head, changed[100_000:])

    publisher.trouble["a.dat"] = [changes] if honest else [changes, insists]
    digest = None if honest else Digest("sha256", hashlib.sha256(changed).hexdigest())
    get(client, remote(publisher, digest), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == changed


def test_pieces_that_do_not_fit_are_found_by_the_checksum_and_fetched_anew(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.tags = publisher.dates = False
    other = bytes(len(CONTENT))
    publisher.trouble["a.dat"] = [lambda handler: handler.serve(other, stop=100_000)]
    get(client, remote(publisher), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT
    assert [head.get("range") for head in publisher.asked("a.dat")] == [None, "bytes=100000-", None]


def test_a_wrong_checksum_leaves_nothing_in_place(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.files["a.dat"] = CONTENT[:-1] + b"!"
    with pytest.raises(ChecksumError, match=f"a.dat.*sha256 .*publisher lists {SHA256.value}"):
        get(client, remote(publisher), tmp_path)
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "work").iterdir()) == []


def lies(handler: Handler, length: int) -> None:
    handler.answer(200, {"Content-Length": str(length), **handler.state(CONTENT)}, CONTENT)
    handler.drop()


@pytest.mark.parametrize(
    ("length", "size", "says_what"),
    [
        (200_000, None, "has the sha256 .*200000 bytes"),  # the file is cut by the announcement
        (200_000, len(CONTENT), "announces 200000 bytes, but the publisher lists 300000"),
        (400_000, len(CONTENT), "announces 400000 bytes, but the publisher lists 300000"),
    ],
)
def test_a_wrong_length_is_named(
    publisher: Publisher, client: Client, tmp_path: Path, length: int, size: int | None,
    says_what: str,
) -> None:  # fmt: skip
    publisher.always["a.dat"] = lambda handler: lies(handler, length)
    with pytest.raises(ChecksumError, match=says_what):
        get(client, remote(publisher, SHA256, size), tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_announcement_that_is_never_kept_ends(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.always["a.dat"] = lambda handler: lies(handler, 400_000)
    with pytest.raises(DownloadError, match="in a row"):
        get(client, remote(publisher), tmp_path)
    assert not (tmp_path / "out").exists()


def test_without_a_length_more_than_listed_is_not_taken(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(CONTENT * 4)
        handler.drop()

    publisher.always["a.dat"] = endless
    with pytest.raises(ChecksumError, match="sends more than the 300000 bytes"):
        get(client, remote(publisher, SHA256, len(CONTENT)), tmp_path)
    assert list((tmp_path / "work").iterdir()) == []
    with pytest.raises(ChecksumError, match="1200000 bytes"):
        get(client, remote(publisher, SHA256), tmp_path)


def chunked(handler: Handler, *, ends: bool = True) -> None:
    """Send it in pieces that say their own length; none says that of the whole."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("ETag", '"x"')
    handler.end_headers()
    for begin in range(0, len(CONTENT) if ends else 100_000, 50_000):
        handler.wfile.write(b"%x\r\n%b\r\n" % (50_000, CONTENT[begin : begin + 50_000]))
    handler.wfile.write(b"0\r\n\r\n" if ends else b"")
    handler.drop()


@pytest.mark.parametrize("digest", [SHA256, None])
def test_pieces_without_a_length_of_the_whole_are_put_together(
    publisher: Publisher, client: Client, tmp_path: Path, digest: Digest | None
) -> None:
    publisher.trouble["a.dat"] = [lambda handler: chunked(handler, ends=False), chunked]
    get(client, remote(publisher, digest), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


def test_a_range_beyond_the_end_begins_anew(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.trouble["a.dat"] = [breaks_off(100_000), says(416)]
    get(client, remote(publisher), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


def test_what_was_whole_is_not_asked_for_again(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    file = remote(publisher)
    partial = Partial(tmp_path / "work", file)
    fetch(client, file, partial, lambda _: None)
    get(client, file, tmp_path)
    assert len(publisher.asked("a.dat")) == 1


def test_bytes_of_another_address_or_checksum_are_not_gone_on_from(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.files["mirror/a.dat"] = CONTENT
    publisher.trouble["a.dat"] = [breaks_off(100_000), *[breaks_off(0) for _ in range(4)]]
    with pytest.raises(DownloadError):
        get(client, remote(publisher), tmp_path)
    get(client, RemoteFile("a.dat", f"{publisher.url}mirror/a.dat", SHA256), tmp_path)
    assert "range" not in publisher.asked("mirror/a.dat")[0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_a_pause_gets_it(
    publisher: Publisher, client: Client, pauses: Pauses, tmp_path: Path, status: int
) -> None:
    date = email.utils.formatdate(pauses.now + 47, usegmt=True)
    publisher.trouble["a.dat"] = [
        says(status, {"Retry-After": "17"}), says(status, {"Retry-After": date}), says(status),
    ]  # fmt: skip
    get(client, remote(publisher), tmp_path)
    assert pauses.slept[:2] == [17.0, 30.0]
    assert 0 < pauses.slept[2] < 6


def test_a_pause_of_hours_is_told_instead_of_waited_for(
    publisher: Publisher, client: Client, pauses: Pauses, tmp_path: Path
) -> None:
    publisher.trouble["a.dat"] = [says(429, {"Retry-After": "7200"})]
    with pytest.raises(DownloadError, match=r"left alone for 120 minutes.*fewer --workers"):
        get(client, remote(publisher), tmp_path)
    assert pauses.slept == []


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, AccessError, r"account or a signed agreement.*machine 127\.0\.0\.1 login"),
        (403, AccessError, r"~/\.netrc"),
        (404, MissingFileError, "the file is not there"),
        (410, MissingFileError, "the file is not there"),
        (418, DownloadError, "answers 418"),
    ],
)
def test_a_closed_door_is_named_at_once(
    publisher: Publisher, client: Client, pauses: Pauses, tmp_path: Path, status: int,
    error: type[DownloadError], text: str,
) -> None:  # fmt: skip
    publisher.always["a.dat"] = says(status)
    with pytest.raises(error, match=text):
        get(client, remote(publisher), tmp_path)
    assert len(publisher.asked("a.dat")) == 1
    assert pauses.slept == []


def goes_to(where: str) -> Answer:
    return says(302, {"Location": where})


def test_a_redirect_is_followed_and_its_range_too(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.files["elsewhere"] = publisher.files.pop("a.dat")
    publisher.always["a.dat"] = goes_to("/elsewhere")
    publisher.trouble["elsewhere"] = [breaks_off(100_000)]
    get(client, remote(publisher), tmp_path)
    assert publisher.asked("elsewhere")[1]["range"] == "bytes=100000-"
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


def test_only_what_a_checksum_protects_may_come_from_another_host(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    publisher.files["elsewhere"] = publisher.files.pop("a.dat")
    publisher.always["a.dat"] = goes_to(f"http://localhost:{publisher.port}/elsewhere")
    with pytest.raises(DownloadError, match=r"server of somebody else.*--mirror"):
        get(client, remote(publisher, None), tmp_path)
    assert not publisher.asked("elsewhere")
    get(client, remote(publisher), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == CONTENT


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/a.dat"])
def test_a_redirect_to_another_kind_of_address_is_refused(
    publisher: Publisher, client: Client, tmp_path: Path, where: str
) -> None:
    publisher.always["a.dat"] = goes_to(where)
    with pytest.raises(DownloadError, match="not safe"):
        get(client, remote(publisher), tmp_path)


def test_a_circle_of_redirects_ends(publisher: Publisher, client: Client, tmp_path: Path) -> None:
    publisher.always["a.dat"] = goes_to("/a.dat")
    with pytest.raises(DownloadError, match="redirected more than 10 times"):
        get(client, remote(publisher), tmp_path)


def test_compressed_bytes_are_refused(publisher: Publisher, client: Client, tmp_path: Path) -> None:
    publisher.always["a.dat"] = sends(b"\x1f\x8b", {"Content-Encoding": "gzip"})
    with pytest.raises(DownloadError, match="sent compressed"):
        get(client, remote(publisher), tmp_path)
    assert publisher.asked("a.dat")[0]["accept-encoding"] == "identity"


def test_a_full_disk_is_found_before_a_byte_is_written(
    publisher: Publisher, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**26 + 299_999))
    with pytest.raises(DownloadError, match=r"a\.dat needs 300 kB.*Free space.*--out"):
        get(client, remote(publisher), tmp_path)
    assert not (tmp_path / "work").exists()


def test_a_folder_in_the_way_is_named(publisher: Publisher, client: Client, tmp_path: Path) -> None:
    (tmp_path / "out/a.dat/b").mkdir(parents=True)
    with pytest.raises(DownloadError, match="a folder is where the file belongs"):
        get(client, remote(publisher), tmp_path)


def test_an_older_file_stays_until_the_right_one_is_there(
    publisher: Publisher, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.dat").write_bytes(b"older")
    publisher.files["a.dat"] = b"wrong"
    with pytest.raises(ChecksumError):
        get(client, remote(publisher), tmp_path)
    assert (tmp_path / "out/a.dat").read_bytes() == b"older"


def test_whoever_is_stopped_leaves(publisher: Publisher, tmp_path: Path) -> None:
    client = Client()
    publisher.trouble["a.dat"] = [breaks_off(100_000)]
    file = remote(publisher)
    with pytest.raises(Stopped):
        fetch(client, file, Partial(tmp_path, file), lambda _: client.stop())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, 1_700_000_000.0) == seconds


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://www.physionet.org/a", "https://physionet.org/b", True),
        ("http://www.peterjbentley.com/a", "https://istethoscope.peterjbentley.com/a", True),
        ("https://zenodo.org/a", "https://zenodo.org.evil.com/a", False),
        ("https://zenodo.org/a", "https://evilzenodo.org/a", False),
        ("http://127.0.0.1/a", "http://10.0.0.1/a", False),
        ("http://localhost/a", "http://127.0.0.1/a", False),
    ],
)
def test_whose_site_it_is(one: str, other: str, same: bool) -> None:
    assert is_same_site(one, other) is same


def test_units_are_for_people() -> None:
    sizes = (0, 999, 1000, 300_000, 1_740_000_000, 5 * 10**15)
    assert [in_units(size) for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "300 kB", "1.7 GB", "5000 TB",
    ]  # fmt: skip
