"""The turns at hosts that ask for a delay, shared by all crawls of one machine: a small file of times, under a lock."""

import asyncio
import fcntl
import os
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

_NAME = "crawl-turns"
# Hosts are told apart by a hash: two that share a place only wait for each other.
_PLACES = 4096
_TIME = struct.Struct("=d")
# A turn further ahead than so many delays is of before the machine was started anew, when its clock began again.
_MOST_AHEAD = 50
# The lock is held for microseconds, unless whoever holds it was stopped.
_TRIES = 100
_TRY_AGAIN_S = 0.01


class SharedTurns:
    """Owns the file, which is made when it is first needed; use as ``with``. One folder, one pace for each host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def reserve(self, host: str, delay_s: float) -> float:
        """Return when, by the monotonic clock, the next request to the host may start; nobody else gets this turn.

        It is now where nobody had a turn within the delay, and also where the lock or the file cannot be had: then
        only the crawl's own delay holds.
        """
        try:
            if self._file < 0:
                self._file = os.open(self._folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for _ in range(_TRIES):
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(_TRY_AGAIN_S)
                else:
                    try:
                        return self._next(host, delay_s)
                    finally:
                        fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError:  # the disk is full, or read-only
            pass
        return time.monotonic()

    def _next(self, host: str, delay_s: float) -> float:
        place = crc32(host.encode()) % _PLACES * _TIME.size
        # Of a new file there is nothing to read yet.
        read = os.pread(self._file, _TIME.size, place).ljust(_TIME.size, b"\0")
        (last,) = _TIME.unpack(read)
        now = time.monotonic()
        is_old = not now - delay_s < last < now + _MOST_AHEAD * delay_s
        start = now if is_old else last + delay_s
        os.pwrite(self._file, _TIME.pack(start), place)
        return start
