"""Fetching one artifact to a file, as a flow: resumed after a drop, and under its own name only when whole."""

import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from client.calls import checked
from client.errors import ConnectionFailed, Unavailable
from client.limits import Limits
from client.pages import SUFFIXES, PagesFormat
from client.steps import CloseChannel, Flow, Notice, OpenStream, Pause, ReadChunk, Request, answered

# A database of fifty thousand pages, on a busy machine.
_MAKING_S = 600.0


def target_path(name: str, path: str | os.PathLike[str] | None) -> Path:
    """Return where a file goes: the given path, or the artifact's last name part in a given or the current folder."""
    target = Path(path) if path is not None else Path()
    return target / PurePosixPath(name).name if target.is_dir() else target


def named_as(name: str, form: PagesFormat | None) -> str:
    """Return what an artifact is called in a format."""
    return name if form is None else str(PurePosixPath(name).with_suffix(SUFFIXES[form]))


def downloaded(request: Request, target: Path, limits: Limits) -> Flow[Path]:
    """Stream the answer into a temporary file beside the target, then rename it."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield from _filled(request, file, limits)
        # mkstemp makes files private; a download gets what the user's umask gives any other file.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _filled(request: Request, file: BinaryIO, limits: Limits) -> Flow[None]:
    failures, etag = 0, None
    while True:
        have = file.tell()
        headers = dict(request.headers)
        if have and etag:
            headers |= {"range": f"bytes={have}-", "if-range": etag}
        else:
            file.seek(0)
            file.truncate()
        try:
            # What the server makes first takes its time to begin.
            stall_s = max(limits.transfer_s, _MAKING_S) if request.params else limits.transfer_s
            opened = OpenStream(Request("GET", request.path, request.params, headers), limits.connect_s, stall_s)
            head = checked((yield from answered(opened)))
            if head.status != 206:
                file.seek(0)
                file.truncate()
            etag = head.headers.get("etag")
            while chunk := (yield ReadChunk()):
                file.write(cast("bytes", chunk))
                failures = 0
        except (ConnectionFailed, Unavailable) as exc:
            failures += 1
            yield CloseChannel()
            if failures > limits.reconnects:
                raise
            yield Notice("retrying", exc.detail, attempt=failures)
            yield Pause(limits.pause_s(failures, asked_s=exc.retry_after_s))
        else:
            return
