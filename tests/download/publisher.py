"""A publisher on this machine who misbehaves as asked."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import io
import json
import re
import stat
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from pahcl.download import Client, Patience

Answer = Callable[["Handler"], None]
NONE: Mapping[str, str] = {}


@dataclass
class Publisher:
    """Files by path, and what to do instead of serving them: once each, in order."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    trouble: dict[str, list[Answer]] = field(default_factory=dict)
    always: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    ranges: bool = True
    tags: bool = True
    dates: bool = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def asked(self, path: str, method: str = "GET") -> list[dict[str, str]]:
        """The headers of the requests for a path."""
        return [head for how, where, head in self.requests if (how, where) == (method, path)]

    def bodies(self) -> Counter[str]:
        return Counter(path for method, path, _ in self.requests if method == "GET")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    publisher: Publisher

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    @property
    def name(self) -> str:
        return self.path.partition("?")[0].lstrip("/")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        publisher = self.publisher
        headers = {key.lower(): value for key, value in self.headers.items()}
        publisher.requests.append((self.command, self.name, headers))
        queue = publisher.trouble.get(self.name, [])
        if self.command == "GET" and queue:
            queue.pop(0)(self)
        elif self.name in publisher.always:
            publisher.always[self.name](self)
        elif self.name in publisher.files:
            self.serve(publisher.files[self.name])
        else:
            self.answer(404)

    def answer(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def state(self, content: bytes) -> dict[str, str]:
        found = {}
        if self.publisher.tags:
            found["ETag"] = f'"{hashlib.md5(content).hexdigest()}"'
        if self.publisher.dates:
            found["Last-Modified"] = email.utils.formatdate(
                1_600_000_000 + len(content), usegmt=True
            )
        return found

    def serve(self, content: bytes, stop: int | None = None) -> None:
        """Serve a file or the rest of it; with `stop` break off after so many bytes."""
        state = self.state(content)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, *state.values())
        begin = int(wanted[1]) if wanted and same and self.publisher.ranges else 0
        if begin and begin >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        for name, value in state.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:stop])
        if stop is not None:
            self.drop()

    def drop(self) -> None:
        """Hang up."""
        self.wfile.flush()
        self.close_connection = True


def breaks_off(after: int) -> Answer:
    return lambda handler: handler.serve(handler.publisher.files[handler.name], stop=after)


def says(status: int, headers: Mapping[str, str] = NONE, body: bytes = b"") -> Answer:
    return lambda handler: handler.answer(status, headers, body)


def sends(body: bytes, headers: Mapping[str, str] = NONE) -> Answer:
    return says(200, headers, body)


def sums(files: Mapping[str, bytes], below: str = "") -> bytes:
    """A list as PhysioNet writes it: one blank between checksum and path."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()} {path.removeprefix(below)}\n"
        for path, content in files.items()
        if path.startswith(below)
    ]
    return "".join(lines).encode()


def record(number: int, files: Mapping[str, bytes]) -> bytes:
    """The answer of Zenodo's record API, as far as it is read."""
    entries = [
        {
            "key": path,
            "size": len(content),
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "links": {"self": f"https://zenodo.org/api/records/{number}/files/{path}/content"},
        }
        for path, content in files.items()
    ]
    return json.dumps({"id": number, "files": entries}).encode()


def zipped(files: Mapping[str, bytes], mode: Mapping[str, int] | None = None) -> bytes:
    """A zip archive; `mode` makes a member a link or a device."""
    store = io.BytesIO()
    with zipfile.ZipFile(store, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = ((mode or {}).get(path, stat.S_IFREG | 0o644)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return store.getvalue()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of guests who hang up."""


@contextlib.contextmanager
def serving() -> Iterator[Publisher]:
    """Serve from a thread until the end of the block."""
    publisher = Publisher()
    handler = type("Own", (Handler,), {"publisher": publisher})
    server = Server(("127.0.0.1", 0), handler)
    publisher.port = server.server_address[1]
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Local(Client):
    """Speaks to the publisher on this machine instead of the real ones, and does not wait."""

    def __init__(self, port: int) -> None:
        super().__init__(Patience(tries=4), (5.0, 5.0), lambda _: None)
        self.here = f"http://127.0.0.1:{port}/"

    @contextlib.contextmanager
    def open(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        same_site: bool = False,
    ) -> Iterator[requests.Response]:
        there = url if url.startswith(self.here) else re.sub(r"^https?://", self.here, url)
        with super().open(there, headers, method=method, same_site=same_site) as response:
            yield response
