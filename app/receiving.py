"""Bodies that are files: read as they come, up to a limit of their own, and given up when the sender is silent."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, TypeVar

from flask import g, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected
from werkzeug.formparser import FormDataParser

from tasks.core.errors import InputRejected
from tasks.core.settings import Settings
from tasks.core.uploads.files import room_needed

ViewT = TypeVar("ViewT", bound=Callable[..., object])
_MARK = "takes_files"
# What multipart puts around the files: boundaries, names, and a request of ordinary size.
_FRAMING_BYTES = 64 * 1024
_MOST_PARTS = 100
_BLOCK = 64 * 1024
# Twice what our client sends at a time.
_PASSED_OVER_BYTES = 16 * 2**20


def takes_files(view: ViewT) -> ViewT:
    """Mark a view whose body may be as large as an upload, unless it is JSON."""
    setattr(view, _MARK, True)
    return view


def body_limit(view: object, settings: Settings) -> int:
    """Return how large the body of this request to ``view`` may be."""
    if sends_files(view):
        return settings.upload_limit_bytes + settings.body_limit_bytes + _FRAMING_BYTES
    return settings.body_limit_bytes


def sends_files(view: object) -> bool:
    """Tell whether this request to ``view`` brings a file, or a piece of one."""
    return bool(getattr(view, _MARK, False)) and request.mimetype != "application/json"


class Body:
    """The body of this request, as it comes. Where the sender is gone or silent too long, it simply ends."""

    @classmethod
    def of_request(cls, settings: Settings) -> "Body":
        """Return the one of this request."""
        body: Body = g.setdefault("body", cls(settings.upload_stall_s))
        return body

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self.broke_off = False
        # Gunicorn's; other servers have no such thing, and no way to notice a silent sender.
        self._socket: socket.socket | None = request.environ.get("gunicorn.socket")

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; empty at the end, whichever end it is."""
        if self.broke_off:
            return b""
        with self._limited():
            try:
                return request.stream.read(size)
            except (OSError, ClientDisconnected):
                self.broke_off = True
                return b""

    @contextmanager
    def _limited(self) -> Iterator[None]:
        if self._socket is None:
            yield
            return
        before = self._socket.gettimeout()
        self._socket.settimeout(self._stall_s)
        try:
            yield
        finally:
            self._socket.settimeout(before)


def pass_over(settings: Settings) -> None:
    """Read what is left of a refused file of moderate size, so that whoever sends it gets to see the refusal.

    A server that closes a connection with bytes unread resets it, and the answer may be lost with it.
    """
    if (request.content_length or 0) > _PASSED_OVER_BYTES:
        return
    body, left = Body.of_request(settings), _PASSED_OVER_BYTES
    while left > 0 and (block := body.read(min(_BLOCK, left))):
        left -= len(block)


@contextmanager
def multipart_parts(
    settings: Settings, scratch: Callable[[], BinaryIO]
) -> Iterator[tuple[MultiDict[str, str], MultiDict[str, FileStorage]]]:
    """Read this request's multipart body: its texts, and its files, which lie in ``scratch`` files until the end.

    Raises:
        InputRejected: it is not multipart as it says (``malformed``), or broke off.
        StorageFull: there is no room for the files.
        RequestEntityTooLarge: its texts are over the limit of an ordinary body, or there are too many parts.
    """
    with ExitStack() as files:
        parser = FormDataParser(
            stream_factory=lambda *_, **__: files.enter_context(scratch()),
            max_form_memory_size=settings.body_limit_bytes,
            max_form_parts=_MOST_PARTS,
            silent=False,
        )
        body = Body.of_request(settings)
        try:
            with room_needed():
                _, texts, sent = parser.parse(body, request.mimetype, request.content_length, request.mimetype_params)  # type: ignore[arg-type]  # it only reads
        except ValueError as exc:
            raise InputRejected(f"The body is not multipart/form-data, or broke off: {exc}.", code="malformed") from exc
        yield texts, sent
