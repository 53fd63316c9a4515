"""Tells an attempt's story: progress and log lines to the live stream, log lines also to a file.

A thread of its own does the sending, so that a slow Redis never slows an engine down.
"""

import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Any

from tasks.core.artifacts import LOG_NAME
from tasks.core.clock import now, rfc3339
from tasks.core.events import Events, EventsUnavailable, EventType
from tasks.core.records import Job
from tasks.core.relay import Opening

# At most ten progress events a second a job; in between, only the newest is kept.
_PROGRESS_STEP_S = 0.1
# Lines waiting for a slow Redis; older ones are dropped from the stream, never from the file.
_BACKLOG_LINES = 5000
_LINE_LIMIT = 8000
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


class Narrator:
    """Buffers and sends. Every method returns at once; ``close`` waits until all is sent or Redis proves dead."""

    def __init__(
        self,
        events: Events,
        job: Job,
        folder: Callable[[], Path],
        *,
        opening: Opening | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._opening = opening
        self._job = job
        self._folder = folder
        self._log_file: IO[str] | None = None
        self._clock = clock
        self._wakes = Condition()
        self._progress: dict[str, Any] | None = None
        self._outbox: deque[tuple[EventType, dict[str, Any]]] = deque(maxlen=_BACKLOG_LINES)
        self._line_no = 0
        self._sent_at = -_PROGRESS_STEP_S
        self._closing = False
        self._thread: Thread | None = None

    def progress(self, data: dict[str, Any]) -> None:
        """Send ``data`` soon, unless a newer report replaces it first."""
        with self._wakes:
            self._progress = data
            self._wake()

    def log(self, line: str, *, level: str, stream: str) -> None:
        """Write the line to the job's log file and send it."""
        with self._wakes:
            self._line_no += 1
            entry = {
                "line": line.rstrip("\n")[:_LINE_LIMIT],
                "level": level if level in _LEVELS else "info",
                "stream": stream[:20],
                "n": self._line_no,
            }
            self._write(entry)
            self._outbox.append(("log", entry))
            self._wake()

    def artifact(self, data: dict[str, Any]) -> None:
        """Announce a kept artifact."""
        with self._wakes:
            self._outbox.append(("artifact", data))
            self._wake()

    def delta(self, data: dict[str, Any]) -> None:
        """Send a piece of the result."""
        with self._wakes:
            self._outbox.append(("delta", data))
            self._wake()

    def close(self) -> None:
        """Send what is left, then stop."""
        with self._wakes:
            self._closing = True
            self._wakes.notify()
            if self._log_file is not None:
                self._log_file.close()
                self._log_file = None
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _write(self, entry: dict[str, Any]) -> None:
        if self._log_file is None:
            folder = self._folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._log_file = (folder / LOG_NAME).open("a", encoding="utf-8", buffering=1)
        row = {"at": rfc3339(now()), "attempt": self._job.attempt, "fence": self._job.fence, **entry}
        self._log_file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._send_all, name=f"narrator-{self._job.id[-6:]}", daemon=True)
            self._thread.start()
        self._wakes.notify()

    def _send_all(self) -> None:
        if self._opening is not None:
            self._opening.tell()
        while True:
            with self._wakes:
                while not self._outbox and not self._closing:
                    pause = self._sent_at + _PROGRESS_STEP_S - self._clock()
                    if self._progress is not None and pause <= 0:
                        break
                    self._wakes.wait(pause if self._progress is not None else None)
                batch, done = self._take(), self._closing
            if batch:
                self._send(batch)
            if done and not self._outbox:
                return

    def _take(self) -> list[tuple[EventType, dict[str, Any]]]:
        batch = list(self._outbox)
        self._outbox.clear()
        if self._progress is not None and (self._closing or self._clock() - self._sent_at >= _PROGRESS_STEP_S):
            batch.append(("progress", self._progress))
            self._progress = None
            self._sent_at = self._clock()
        return batch

    def _send(self, batch: list[tuple[EventType, dict[str, Any]]]) -> None:
        try:
            self._events.append_all(self._job.id, batch, fence=self._job.fence, attempt=self._job.attempt)
        except EventsUnavailable:
            return  # progress may be dropped; log lines are in the file
