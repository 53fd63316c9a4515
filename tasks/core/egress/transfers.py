"""One libcurl handle: what it is told of a request, and what its callbacks make of the answer.

libcurl connects where it is told to and nowhere else: it gets the judged addresses of the host (``RESOLVE``), and each
address that it is about to connect to is held against them once more (``OPENSOCKETFUNCTION``). Of the URL it sees the
judged scheme, host and port; path and query go over the wire as they were judged, unread (``REQUEST_TARGET``).
"""

import math
import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

import certifi
import httpx
import pycurl

from tasks.core.egress.answers import Answer, Head, Wants
from tasks.core.egress.bodies import Meter
from tasks.core.egress.decoding import Inflater, needs_decoding
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.refusals import refuse
from tasks.core.egress.targets import Target
from tasks.core.errors import AppError

# Kept open for the next request to the same server; longer than this, many servers hang up first.
_KEEP_ALIVE_S = 5
# Read from the network, and handed over, at a time.
_BUFFER_BYTES = 64 * 1024
_BODILESS_STATUS = frozenset({204, 304})
_UNSAFE = frozenset("\r\n\0")
# What a callback may end a transfer by; libcurl prints and loses it unless it is kept.
_TELLING = (AppError, httpx.HTTPError)
_STOP = 0  # of a callback: fewer bytes than it was given end the transfer


class Transfer:
    """A handle, used for one request after another."""

    def __init__(self, policy: EgressPolicy, *, share: pycurl.CurlShare) -> None:
        self._policy = policy
        self.curl = pycurl.Curl()
        self._begin_anew()
        for option, value in _settings(policy).items():
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.SHARE, share)
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._take_body)

    def _begin_anew(self) -> None:
        self.failure: Exception | None = None
        """What a callback ended the transfer for."""
        self.is_stopped = False
        """Whether the transfer was ended because no more of the body is wanted."""
        self.cookie_bytes = 0
        self._status = 0
        self._fields: list[tuple[str, str]] = []
        self._head: Head | None = None
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._wanted = 0

    def prepare(
        self, target: Target, addresses: Sequence[str], headers: Mapping[str, str], *, wants: Wants, timeout_s: float
    ) -> None:
        """Tell the handle of its next request, to a target whose judged addresses these are."""
        self._begin_anew()
        self._wants = wants
        self._target = target
        self._addresses = addresses
        set_option = self.curl.setopt
        host = f"[{target.host}]" if ":" in target.host else target.host
        set_option(pycurl.URL, f"{target.scheme}://{host}:{target.port}/")
        set_option(pycurl.REQUEST_TARGET, target.resource)
        set_option(pycurl.HTTPHEADER, [_line(name, value) for name, value in headers.items()])
        set_option(pycurl.TIMEOUT_MS, max(1, int(timeout_s * 1000)))
        if target.ip is None:
            set_option(pycurl.RESOLVE, [f"{host}:{target.port}:{','.join(map(_written, addresses))}"])
        else:
            self.curl.unsetopt(pycurl.RESOLVE)

    def answer(self) -> Answer:
        """Return what has come; once the transfer has ended by itself, or because no more was wanted."""
        assert self._head is not None  # noqa: S101  # without one it has failed
        pieces, self._pieces = self._pieces, []
        return Answer(self._head, b"".join(pieces)[: self._wanted], is_cut=self.is_stopped)

    def close(self) -> None:
        """Release the handle, which must not be under way."""
        self.curl.close()

    def _open(self, _purpose: int, place: tuple[int, int, int, tuple[str, int]]) -> "_LentSocket | int":
        """Return the socket for an address that libcurl is about to connect to."""
        family, kind, protocol, (address, *_) = place
        allowed = self._addresses if self._target.ip is None else [self._target.host]
        if ip_address(address) not in map(ip_address, allowed):
            self.failure = refuse("address was not judged", host=self._target.host, address=address)
            return int(pycurl.SOCKET_BAD)
        return _LentSocket(socket.socket(family, kind, protocol))

    def _take_header(self, line: bytes) -> int | None:
        try:
            return self._read_header(line.decode("latin-1").rstrip("\r\n"))
        except _TELLING as exc:
            return self._fail(exc)

    def _read_header(self, line: str) -> int | None:
        if self._head is not None:  # a trailer, which nobody asked for
            return None
        if line.startswith("HTTP/"):
            status = line.split(" ", 2)[1:2]
            if not status or not status[0].isdecimal():
                raise httpx.RemoteProtocolError("The answer begins with no status.")
            self._status, self._fields = int(status[0]), []
        elif line:
            name, _, value = line.partition(":")
            self._fields.append((name.lower(), value.strip()))
        elif self._status >= 200:  # what comes before is only said in the meantime
            return self._begin_body(Head(self._status, tuple(self._fields)))
        return None

    def _begin_body(self, head: Head) -> int | None:
        self._head = head
        self.cookie_bytes = sum(map(len, head.all("set-cookie")))
        encoding, announced = head.get("content-encoding"), head.get("content-length")
        self._meter = Meter(self._policy.max_bytes, inflater=Inflater(encoding) if needs_decoding(encoding) else None)
        self._wanted = self._wants(head)
        if head.status in _BODILESS_STATUS or announced == "0":
            return None
        if self._wanted == 0:
            self.is_stopped = True
            return _STOP
        if announced.isdecimal():
            self._meter.demand(int(announced))
        return None

    def _take_body(self, chunk: bytes) -> int | None:
        try:
            for piece in self._meter.pieces(chunk):
                self._pieces.append(piece)
                self._size_bytes += len(piece)
                if self._size_bytes > self._wanted:
                    self.is_stopped = True
                    return _STOP
        except _TELLING as exc:
            return self._fail(exc)
        return None

    def _fail(self, failure: Exception) -> int:
        self.failure = failure
        return _STOP


class _LentSocket:
    """A socket of which pycurl makes a copy for libcurl; closed when it is let go of, which is at once."""

    def __init__(self, made: socket.socket) -> None:
        self._made = made

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._made.fileno()

    def __del__(self) -> None:
        self._made.close()


def _settings(policy: EgressPolicy) -> Mapping[int, object]:
    """Return the options that are the same for every request."""
    return {
        pycurl.NOSIGNAL: 1,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        # The environment may name a proxy, which would resolve names for us, out of our sight.
        pycurl.PROXY: "",
        pycurl.NOPROXY: "*",
        pycurl.CAINFO: certifi.where(),
        pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
        # Over HTTP/2 requests wait for the connection that can carry them all.
        pycurl.PIPEWAIT: 1,
        pycurl.MAXAGE_CONN: _KEEP_ALIVE_S,
        pycurl.BUFFERSIZE: _BUFFER_BYTES,
        pycurl.CONNECTTIMEOUT_MS: max(1, int(policy.connect_timeout_s * 1000)),
        # Under a byte a second for so long: silence.
        pycurl.LOW_SPEED_LIMIT: 1,
        pycurl.LOW_SPEED_TIME: max(1, math.ceil(policy.read_timeout_s)),
        pycurl.COOKIEFILE: "",  # keeps cookies, of no file
    }


def _written(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _line(name: str, value: str) -> bytes:
    """Return a header as libcurl wants it, which sends it as it is.

    Raises:
        httpx.LocalProtocolError: it would be more than one.
    """
    if not _UNSAFE.isdisjoint(value):
        raise httpx.LocalProtocolError(f"The value of {name} has a line break in it.")
    return (f"{name}: {value}" if value else f"{name};").encode("latin-1", "replace")
