"""HTTP as a polite guest speaks it: few tries, longer and longer pauses, no surprises."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from pahcl import __version__
from pahcl.errors import AccessError, DownloadError, MissingFileError

AGENT = f"pahcl/{__version__} (+https://github.com/pahcl/pahcl)"
REDIRECTS = 10
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_Result = TypeVar("_Result")


class Interruption(Exception):  # noqa: N818  # no error: it is tried again
    """Say that a request may succeed later.

    Args:
        reason: What happened, in a few words.
        after: Seconds for which the server asks to be left alone.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Stopped(Exception):  # noqa: N818  # no error: somebody wants it
    """Leave a piece of work because the whole is being stopped."""


@dataclass(frozen=True)
class Patience:
    """Say how long to try.

    Args:
        tries: Failures in a row, without a byte of progress, after which to give up.
        first: Seconds of the first pause; each further one is twice as long, give or take.
        longest: Seconds of the longest pause of our own.
        asked: Seconds of the longest pause that a server may ask for.
    """

    tries: int = 6
    first: float = 1.0
    longest: float = 60.0
    asked: float = 600.0


class Client:
    """Open addresses, in as many threads as there are.

    Proxies and certificates are those of the environment (`HTTPS_PROXY`, `REQUESTS_CA_BUNDLE`), and
    names with passwords those of `~/.netrc`, as requests reads them.

    Args:
        patience: How long to try.
        timeouts: Seconds to wait for a connection, and for the next bytes.
        pause: Sleeps for some seconds; None sleeps until `stop` is called at the latest.
        clock: Gives the time in seconds; with `pause`, for tests that do not wait.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        timeouts: tuple[float, float] = (15.0, 60.0),
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.patience = patience or Patience()
        self.timeouts = timeouts
        self.clock = clock
        self._stop = threading.Event()
        self._pause = self._stop.wait if pause is None else pause
        self._own = threading.local()
        self._lock = threading.Lock()
        self._quiet_until = 0.0

    def stop(self) -> None:
        """Let all threads leave what they do, soon."""
        self._stop.set()

    def require_going(self) -> None:
        """Raise `Stopped` once `stop` was called."""
        if self._stop.is_set():
            raise Stopped

    def patiently(
        self, url: str, attempt: Callable[[], _Result], arrived: Callable[[], int]
    ) -> _Result:
        """Do something until it succeeds; what makes progress is tried on and on.

        Args:
            url: What is asked for, for the error.
            attempt: Does it, or raises `Interruption`.
            arrived: Says how many bytes are there.

        Raises:
            DownloadError: It failed too often in a row, or the server wants to be left alone.
        """
        failures, most = 0, arrived()
        while True:
            self._keep_quiet()
            try:
                return attempt()
            except Interruption as trouble:
                now = arrived()
                failures = 1 if now > most else failures + 1
                most = max(most, now)
                if failures >= self.patience.tries:
                    raise DownloadError(
                        f"{url} could not be fetched: {trouble} ({failures} times in a row). What "
                        "has arrived is kept: look after the connection, then run the same "
                        "command again, or name a mirror with --mirror."
                    ) from trouble
                self._leave_alone(url, trouble, failures)

    def _leave_alone(self, url: str, trouble: Interruption, failures: int) -> None:
        """Choose how long to wait; a wish of the server binds all threads."""
        own = min(self.patience.first * 2.0 ** (failures - 1), self.patience.longest)
        own *= random.uniform(0.75, 1.25)  # clients that wait alike come back at once
        asked = trouble.after or 0.0
        if asked > self.patience.asked:
            raise DownloadError(
                f"{url}: the server asks to be left alone for {asked / 60:.0f} minutes ({trouble})."
                " What has arrived is kept: run the same command again after that, with fewer "
                "--workers."
            ) from trouble
        if asked:
            with self._lock:
                self._quiet_until = max(self._quiet_until, self.clock() + asked)
        else:
            self._pause(own)

    def _keep_quiet(self) -> None:
        self.require_going()
        with self._lock:
            left = self._quiet_until - self.clock()
        if left > 0:
            self._pause(left)
            self.require_going()

    @contextlib.contextmanager
    def open(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        same_site: bool = False,
    ) -> Iterator[requests.Response]:
        """Open an address once; the status is 200, 206 or 416.

        Args:
            url: The address.
            headers: What is asked besides.
            method: GET or HEAD.
            same_site: Refuse to be sent to somebody else's server, for what no checksum protects.

        Raises:
            Interruption: It may succeed later.
            DownloadError: It never will; `AccessError`, `MissingFileError` where that is why.
        """
        asked = {"User-Agent": AGENT, "Accept-Encoding": "identity", **(headers or {})}
        response = None
        with _as_interruption(url):
            response = self._follow(method, url, asked, same_site)
        try:
            _require_answer(response, url, self.clock())
            yield response
        finally:
            response.close()

    def _follow(
        self, method: str, url: str, headers: dict[str, str], same_site: bool
    ) -> requests.Response:
        """Go where the server sends us, never from https to http."""
        here = url
        for _ in range(REDIRECTS):
            response = self._session().request(
                method, here, headers=headers, stream=True, allow_redirects=False,
                timeout=self.timeouts,
            )  # fmt: skip
            if not response.is_redirect:
                return response
            there = urljoin(here, response.headers["Location"])
            response.close()
            _require_honest_redirect(url, here, there, same_site)
            here = there
        raise DownloadError(f"{url} is redirected more than {REDIRECTS} times; is it out of order?")

    def _session(self) -> requests.Session:
        """Give each thread a session of its own: one is not made for several."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        session: requests.Session = self._own.session
        return session


@contextlib.contextmanager
def _as_interruption(url: str) -> Iterator[None]:
    """Tell what may pass from what will not."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise DownloadError(
            f"{url}: the server's certificate is not trusted ({_short(error)}). Behind a proxy "
            "that looks inside, set REQUESTS_CA_BUNDLE to its certificate."
        ) from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
    ) as error:
        raise DownloadError(f"{url} is no address that can be opened ({_short(error)}).") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Interruption(_short(error)) from error


def stream(response: requests.Response, size: int) -> Iterator[bytes]:
    """Give the bytes of an answer as the server sends them.

    Raises:
        Interruption: The connection broke off, or fewer bytes came than were announced.
        DownloadError: They are compressed, which nobody asked for.
    """
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding not in ("identity", ""):
        raise DownloadError(
            f"{response.url} is sent compressed ({coding}), though it was asked for as it is. A "
            "proxy on the way perhaps does so; use another one, or a mirror (--mirror)."
        )
    with _as_interruption(str(response.url)):
        yield from response.raw.stream(size, decode_content=False)


def _require_honest_redirect(url: str, here: str, there: str, same_site: bool) -> None:
    schemes = urlsplit(here).scheme.lower(), urlsplit(there).scheme.lower()
    if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
        raise DownloadError(f"{url} is redirected to {there}, which is not safe; not opened.")
    if same_site and not is_same_site(url, there):
        raise DownloadError(
            f"{url} is redirected to {there}, the server of somebody else, and no checksum would "
            "show what comes from there; it was not opened. If you trust it, name it with --mirror."
        )


def is_same_site(one: str, other: str) -> bool:
    """Say whether two addresses are of one owner, judged by the last two parts of the names."""
    hosts = [(urlsplit(url).hostname or "").lower() for url in (one, other)]
    if hosts[0] == hosts[1]:
        return True
    ends = [host.split(".")[-2:] for host in hosts]
    numeric = any(host.replace(".", "").isdigit() or ":" in host for host in hosts)
    return not numeric and ends[0] == ends[1] and len(ends[0]) == 2


def _require_answer(response: requests.Response, url: str, now: float) -> None:
    """Raise what a status means, but for 200, 206 and 416."""
    status = response.status_code
    if status in (200, 206, 416):
        return
    if status in _BUSY:
        after = retry_after(response.headers.get("Retry-After"), now)
        raise Interruption(f"the server answers {status} {response.reason}", after)
    if status in (401, 403):
        raise AccessError(
            f"{url}: the server answers {status} {response.reason}. If the data set asks for an "
            "account or a signed agreement, get them on its page, put a line `machine "
            f"{urlsplit(url).hostname} login NAME password WORD` into ~/.netrc (chmod 600), and "
            "run the same command again; otherwise the address is closed to your network."
        )
    if status in (404, 410):
        raise MissingFileError(
            f"{url}: the server answers {status} {response.reason}: the file is not there. Was the "
            "data set moved, or is the mirror incomplete?"
        )
    raise DownloadError(f"{url}: the server answers {status} {response.reason}.")


def retry_after(text: str | None, now: float) -> float | None:
    """Read a header `Retry-After`: seconds, or a date.

    Args:
        text: The header.
        now: The time in seconds since 1970.

    Returns:
        Seconds from now, at least 0; None where it says nothing.
    """
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(date.timestamp() - now, 0.0)


def _short(error: Exception) -> str:
    """Say what a library's error was about, without its nested representation."""
    kinds = {
        requests.exceptions.ConnectTimeout: "no connection within the time",
        requests.exceptions.ReadTimeout: "no bytes within the time",
        requests.exceptions.ProxyError: "the proxy does not answer",
    }
    found = next((says for kind, says in kinds.items() if isinstance(error, kind)), None)
    text = f"{error}".split("(Caused by")[-1]
    return found or f"{type(error).__name__}: {text[-160:].strip()}"
