"""One libcurl handle: what it is told of a request, and what its callbacks make of the answer.

libcurl connects where it is told to and nowhere else: it gets the judged addresses of the host (``RESOLVE``), and each
address that it is about to connect to is held against what was judged once more (``OPENSOCKETFUNCTION``). Of the URL it
sees the judged scheme, host and port, and the path for its cookies; path and query go over the wire as they were
judged, unread (``REQUEST_TARGET``).
"""

import math
import socket
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

import certifi
import httpx
import pycurl

from tasks.core.egress.addresses import IPAddress
from tasks.core.egress.answers import Answer, Head, Wants
from tasks.core.egress.bodies import Meter
from tasks.core.egress.decoding import Inflater, needs_decoding
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.refusals import refuse
from tasks.core.egress.targets import Target

# Kept open for the next request to the same server; longer than this, many servers hang up first.
_KEEP_ALIVE_S = 5
# Read from the network, and handed over, at a time.
_BUFFER_BYTES = 64 * 1024
# Longer than a request may wait for a connection, so that its addresses are still there when it gets one.
_ADDRESSES_MARGIN_S = 60
_BODILESS_STATUS = frozenset({204, 304})
_UNSAFE = frozenset("\r\n\0")
_LINE_ENDS = frozenset(b"\r\n")
_STATUS_DIGITS = 3
# More than any cap has, and far less than Python reads as a number.
_MAX_LENGTH_DIGITS = 19
_UNFRAMED = frozenset({pycurl.CURL_HTTP_VERSION_1_0, pycurl.CURL_HTTP_VERSION_1_1})
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
        self.failure: BaseException | None = None
        """What a callback ended the transfer for; pycurl would print and lose it."""
        self.is_stopped = False
        """Whether the transfer was ended because no more of the body is wanted."""
        self.cookie_bytes = 0
        """Of cookies that the server has set so far, also by what it said in the meantime."""
        self._status = 0
        self._fields: list[tuple[str, str]] = []
        self._is_status_next = True
        self._head: Head | None = None
        self._meter: Meter | None = None
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._wanted = 0

    def prepare(
        self,
        target: Target,
        addresses: Sequence[str],
        headers: Mapping[str, str],
        *,
        is_judged: Callable[[IPAddress], bool],
        wants: Wants,
        timeout_s: float,
    ) -> None:
        """Tell the handle of its next request, to a target whose judged addresses these are.

        Args:
            is_judged: whether one has been judged for this target, for this request or another of late.
        """
        self._begin_anew()
        self._wants = wants
        self._target = target
        self._may_connect = (lambda ip: ip == target.ip) if target.ip is not None else is_judged
        set_option = self.curl.setopt
        host = f"[{target.host}]" if ":" in target.host else target.host
        set_option(pycurl.URL, f"{target.scheme}://{host}:{target.port}{target.resource.partition('?')[0]}")
        set_option(pycurl.REQUEST_TARGET, target.resource)
        set_option(pycurl.HTTPHEADER, [_line(name, value) for name, value in headers.items()])
        set_option(pycurl.TIMEOUT_MS, max(1, int(timeout_s * 1000)))
        if target.ip is None:
            # Without the sign in front, a name that begins with a hyphen would be one to forget.
            set_option(pycurl.RESOLVE, [f"+{host}:{target.port}:{','.join(map(_written, addresses))}"])
        else:
            self.curl.unsetopt(pycurl.RESOLVE)

    def answer(self) -> Answer:
        """Return what has come; once the transfer has ended by itself, or because no more was wanted.

        Raises:
            httpx.RemoteProtocolError: the head has not come to its end.
        """
        if self._head is None:
            raise httpx.RemoteProtocolError("The answer ended before its head did.")
        pieces, self._pieces = self._pieces, []
        return Answer(self._head, b"".join(pieces)[: self._wanted], is_cut=self.is_stopped)

    @property
    def is_ended_by_hanging_up(self) -> bool:
        """Whether nothing tells the end of the answer's body but the end of the connection."""
        head = self._head
        return (
            head is not None
            and not head.all("content-length")
            and not head.all("transfer-encoding")
            and self.curl.getinfo(pycurl.INFO_HTTP_VERSION) in _UNFRAMED
        )

    def close(self) -> None:
        """Release the handle, which must not be under way."""
        self.curl.close()

    def _open(self, _purpose: int, place: tuple[int, int, int, tuple[str, int]]) -> "_LentSocket | int":
        """Return the socket for an address that libcurl is about to connect to."""
        family, kind, protocol, (address, *_) = place
        try:
            if not self._may_connect(ip_address(address)):
                raise refuse("address was not judged", host=self._target.host, address=address)
            return _LentSocket(socket.socket(family, kind, protocol))
        except OSError:  # no descriptor is left, or the machine has no IPv6: as if nobody had answered there
            return int(pycurl.SOCKET_BAD)
        except BaseException as exc:  # noqa: BLE001  # raised again, by whoever waits for the transfer
            self._fail(exc)
            return int(pycurl.SOCKET_BAD)

    def _take_header(self, line: bytes) -> int | None:
        try:
            return self._read_header(line)
        except BaseException as exc:  # noqa: BLE001  # as above
            return self._fail(exc)

    def _read_header(self, line: bytes) -> int | None:
        if self._head is not None:  # a trailer, which nobody asked for
            return None
        if self._is_status_next:
            self._status, self._fields, self._is_status_next = _status(line), [], False
        elif line[0] not in _LINE_ENDS:
            name, _, value = line.decode("latin-1").partition(":")
            name = name.lower()
            self._fields.append((name, value.strip()))
            if name == "set-cookie":
                self.cookie_bytes += len(value)
        elif self._status >= 200:
            return self._begin_body(Head(self._status, tuple(self._fields)))
        else:  # what came is only said in the meantime
            self._is_status_next = True
        return None

    def _begin_body(self, head: Head) -> int | None:
        self._head = head
        encoding, announced = head.get("content-encoding"), head.get("content-length")
        self._meter = Meter(self._policy.max_bytes, inflater=Inflater(encoding) if needs_decoding(encoding) else None)
        self._wanted = self._wants(head)
        if head.status in _BODILESS_STATUS or announced == "0":
            return None
        if self._wanted == 0:
            self.is_stopped = True
            return _STOP
        if announced.isdecimal():
            self._meter.demand(int(announced.lstrip("0")[:_MAX_LENGTH_DIGITS] or "0"))
        return None

    def _take_body(self, chunk: bytes) -> int | None:
        try:
            return self._read_body(chunk)
        except BaseException as exc:  # noqa: BLE001  # as above
            return self._fail(exc)

    def _read_body(self, chunk: bytes) -> int | None:
        if self._meter is None:  # a 101, which nobody asked for
            raise httpx.RemoteProtocolError("The answer goes on without a head.")
        for piece in self._meter.pieces(chunk):
            self._pieces.append(piece)
            self._size_bytes += len(piece)
            if self._size_bytes > self._wanted:
                self.is_stopped = True
                return _STOP
        return None

    def _fail(self, failure: BaseException) -> int:
        if isinstance(failure, ValueError | AttributeError):  # an answer that reads as none
            told = httpx.RemoteProtocolError(f"The answer is malformed: {failure}"[:300])
            told.__cause__ = failure
            failure = told
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
        pycurl.DNS_CACHE_TIMEOUT: math.ceil(policy.total_timeout_s) + _ADDRESSES_MARGIN_S,
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


def _status(line: bytes) -> int:
    """Return the status that an answer's first line tells.

    Raises:
        httpx.RemoteProtocolError: there is none.
    """
    status = (line.split(None, 2)[1:2] or [b""])[0]
    if not line.startswith(b"HTTP/") or len(status) != _STATUS_DIGITS or not status.isdigit():
        raise httpx.RemoteProtocolError("The answer begins with no status.")
    return int(status)
