"""Sending a file, as a flow: not at all where the server has it, in pieces, and resumed after a drop (tus 1.0.0)."""

import base64
import hashlib
import mimetypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from pydantic import BaseModel

from client import calls
from client.calls import Call, SubmitOptions, checked, parsed
from client.errors import ConnectionFailed, InputRejected, NotFound, OffsetMismatch, Unavailable, UploadLocked
from client.limits import Limits
from client.models import Job, Upload, UploadPage
from client.patience import performed
from client.steps import Answer, Exchange, Flow, Notice, Pause, Request, answered

Content: TypeAlias = str | os.PathLike[str] | bytes
# Called with the bytes that the server has, and with all there are.
OnProgress: TypeAlias = Callable[[int, int], object]

_TUS = {"tus-resumable": "1.0.0"}
# One request's share. What of it arrived before a drop is not sent again, so it need not be small.
PIECE_BYTES = 8 * 2**20
# How fast the server checks a whole file, at the least.
_CHECKED_BYTES_PER_S = 50e6


def uploaded(
    content: Content,
    *,
    name: str | None = None,
    media_type: str | None = None,
    on_progress: OnProgress | None = None,
    limits: Limits,
) -> Flow[Upload]:
    """Send a file, unless the server has it; go on where an earlier try ended."""
    tell = on_progress or (lambda _sent, _size: None)
    name = name or (None if isinstance(content, bytes) else Path(content).name)
    with _opened(content) as file:
        size, sha256 = yield from _measured(file)
        known = yield from _found(sha256, complete=True, limits=limits)
        if known:
            tell(size, size)
            return known
        begun = yield from _found(sha256, complete=False, limits=limits)
        if not begun:
            begun = yield from performed(_begin(size, sha256, name=name, media_type=media_type), limits)
        return (yield from _Sending(file, size, begun, tell, limits).flow())


def submitted(
    kind: str,
    params: Mapping[str, Any] | BaseModel | None,
    files: Mapping[str, Content | Upload],
    options: SubmitOptions,
    *,
    limits: Limits,
) -> Flow[Job]:
    """Send the files, name them in the params, and submit."""
    filled = params.model_dump(mode="json") if isinstance(params, BaseModel) else dict(params or {})
    for path, content in files.items():
        upload = content if isinstance(content, Upload) else (yield from uploaded(content, limits=limits))
        filled = _with(filled, path.split("."), upload.ref, path)
    return (yield from performed(calls.submit(kind, filled, options), limits))


def _with(place: object, parts: list[str], value: dict[str, str], path: str) -> dict[str, Any]:
    """Return a copy of ``place`` with ``value`` in it; what the caller gave stays as it was."""
    first, *rest = parts
    if not isinstance(place, Mapping) or not first or (not rest and first in place):
        raise InputRejected(f"{path!r} names no free place in the params")
    return {**place, first: _with(place.get(first, {}), rest, value, path) if rest else value}


class _Sending:
    """One upload on its way."""

    def __init__(self, file: BinaryIO, size: int, upload: Upload, tell: OnProgress, limits: Limits) -> None:
        self._file = file
        self._size = size
        self._upload = upload
        self._tell = tell
        self._limits = limits
        self._offset = upload.offset_bytes
        self._failures = 0

    def flow(self) -> Flow[Upload]:
        """Send what is missing; return the complete upload."""
        while not self._upload.complete:
            try:
                if self._offset < self._size:
                    self._reach((yield from self._send_piece()))
                else:
                    yield from self._look()
            except (ConnectionFailed, Unavailable, OffsetMismatch, UploadLocked) as exc:
                yield from self._recover(exc)
        self._tell(self._size, self._size)
        return self._upload

    def _send_piece(self) -> Flow[int]:
        self._file.seek(self._offset)
        piece = self._file.read(min(PIECE_BYTES, self._size - self._offset))
        if not piece:
            raise InputRejected("the file became shorter while it was sent")
        headers = {
            **_TUS,
            "content-type": "application/offset+octet-stream",
            "upload-offset": str(self._offset),
        }
        request = Request("PATCH", _path(self._upload.id), headers=headers, body=piece)
        read_s = self._limits.transfer_s + self._size / _CHECKED_BYTES_PER_S
        answer = checked((yield from answered(Exchange(request, self._limits.connect_s, read_s))))
        reached = answer.headers.get("upload-offset", "")
        if not reached.isdecimal():
            raise ConnectionFailed("the answer has no Upload-Offset: is this the address of a Switchyard server?")
        return int(reached)

    def _look(self) -> Flow[None]:
        """Ask how far the server is."""
        call = Call(Request("GET", _path(self._upload.id)), lambda answer: parsed(Upload, answer.json()))
        self._upload = yield from performed(call, self._limits)
        self._reach(self._upload.offset_bytes)
        if not self._upload.complete and self._offset >= self._size:
            raise ConnectionFailed("the server has all of the file and does not say that it is complete")

    def _reach(self, offset: int) -> None:
        if offset > self._offset:
            self._failures = 0
        self._offset = offset
        self._tell(offset, self._size)

    def _recover(self, exc: ConnectionFailed | Unavailable | OffsetMismatch | UploadLocked) -> Flow[None]:
        looked = False
        while not looked:
            self._failures += 1
            if self._failures > self._limits.reconnects:
                raise exc
            yield Notice("retrying", exc.detail, attempt=self._failures)
            yield Pause(self._limits.pause_s(self._failures, asked_s=exc.retry_after_s))
            try:
                yield from self._look()
                looked = True
            except (ConnectionFailed, Unavailable, UploadLocked) as again:
                exc = again


def _found(sha256: str, *, complete: bool, limits: Limits) -> Flow[Upload | None]:
    params = (("sha256", sha256), ("complete", "true" if complete else "false"), ("limit", "1"))
    call = Call(Request("GET", "/api/uploads", params), lambda answer: parsed(UploadPage, answer.json()))
    try:
        page = yield from performed(call, limits)
    except NotFound:
        return None
    return page.uploads[0] if page.uploads else None


def _begin(size: int, sha256: str, *, name: str | None, media_type: str | None) -> Call[Upload]:
    # A repeat after a lost answer begins a second one; the first is swept.
    values = {"filename": name, "filetype": media_type or mimetypes.guess_type(name or "")[0], "sha256": sha256}
    pairs = [f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items() if value]
    headers = {**_TUS, "upload-length": str(size), "upload-metadata": ",".join(pairs)}
    return Call(Request("POST", "/api/uploads", headers=headers), _begun)


def _begun(answer: Answer) -> Upload:
    return parsed(Upload, answer.json())


def _path(upload_id: str) -> str:
    return f"/api/uploads/{upload_id}"


@contextmanager
def _opened(content: Content) -> Iterator[BinaryIO]:
    if isinstance(content, bytes):
        yield BytesIO(content)
        return
    with Path(content).open("rb") as file:
        yield file


def _measured(file: BinaryIO) -> Flow[tuple[int, str]]:
    """Read the file once; other tasks of an event loop get their turn in between."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(PIECE_BYTES):
        digest.update(block)
        size += len(block)
        yield Pause(0)
    return size, digest.hexdigest()
