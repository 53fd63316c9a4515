"""The turns at hosts that ask for a delay, shared by all crawls of one machine: a small file of times, under a lock."""

import asyncio
import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

_NAME = "crawl-turns"
# Hosts are told apart by a hash: two that share a place only wait for each other.
_PLACES = 4096
_TIME = struct.Struct("=d")
# The clock begins again with each start of the machine, so the file begins with which start its times are of.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEAD_BYTES = 40
# The lock is held for microseconds, unless whoever holds it was stopped.
_TRIES = 100
_TRY_AGAIN_S = 0.01


class SharedTurns:
    """Owns the file, which is made when it is first needed; use as ``with``. One folder, one pace for each host."""

    def __init__(self, folder: Path, *, warn: Callable[[str], None] = lambda _why: None) -> None:
        """Take turns from a file of ``folder``; ``warn`` is told once, where they cannot be shared, why."""
        self._folder = folder
        self._warn: Callable[[str], None] | None = warn
        self._file = -1
        self._head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def reserve(self, host: str, delay_s: float) -> float | None:
        """Return when, by the monotonic clock, the next request to the host may start; nobody else gets this turn.

        It is now where nobody had a turn within the delay, and that long after the last one otherwise, whatever delay
        that was for. None where the lock or the file cannot be had: then only the crawl's own delay holds.
        """
        try:
            self._open()
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
        except OSError as exc:  # the disk is full, or read-only
            self._warn_once(f"{self._folder / _NAME}: {exc.strerror or exc}")
            return None
        self._warn_once(f"another process holds the lock of {self._folder / _NAME}")
        return None

    def _open(self) -> None:
        if self._file < 0:
            self._head = _BOOT_ID.read_bytes().strip().ljust(_HEAD_BYTES, b"\0")[:_HEAD_BYTES]
            self._file = os.open(self._folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _next(self, host: str, delay_s: float) -> float:
        # Looked at each time: a folder that two machines have would hold the other's times.
        if os.pread(self._file, _HEAD_BYTES, 0) != self._head:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, self._head, 0)
        place = _HEAD_BYTES + crc32(host.encode()) % _PLACES * _TIME.size
        # Of a new file there is nothing to read yet: zero is when the machine was started, before anybody's turn.
        read = os.pread(self._file, _TIME.size, place).ljust(_TIME.size, b"\0")
        (last,) = _TIME.unpack(read)
        start = max(time.monotonic(), last + delay_s if last else 0.0)
        os.pwrite(self._file, _TIME.pack(start), place)
        return start

    def _warn_once(self, why: str) -> None:
        if self._warn is not None:
            self._warn(
                f"the delay that hosts ask for is kept by this crawl alone, not together with the others of this "
                f"machine: {why}"
            )
            self._warn = None
