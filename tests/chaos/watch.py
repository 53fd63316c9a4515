"""Reads the ledger while a scenario runs: which jobs have ended, and whether an end ever changes."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from tasks.core.errors import LedgerUnavailable
from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import jobs
from tasks.core.records import TERMINAL

_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended, as read from its row."""

    state: str
    version: int
    cause: str
    fence: int
    attempt: int
    finished_at: datetime


@dataclass(slots=True)
class Watch:
    """Looks every half second, on a thread of its own."""

    ledger: Ledger
    ends: dict[str, End] = field(default_factory=dict)
    """The first end that was seen of each job."""
    changed: dict[str, str] = field(default_factory=dict)
    """Jobs whose end was another one later: what it became."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            try:
                self.look()
            except LedgerUnavailable:
                continue  # a scenario may have taken it away

    def look(self) -> None:
        """Read every end once.

        Raises:
            LedgerUnavailable: it cannot be read now.
        """
        columns = (jobs.c.id, jobs.c.state, jobs.c.version, jobs.c.cause, jobs.c.fence, jobs.c.attempt)
        with self._lock:
            with self.ledger.read() as connection:
                rows = connection.execute(sa.select(*columns, jobs.c.finished_at)).all()
            for row in rows:
                before = self.ends.get(row.id)
                if before is None:
                    if row.state in TERMINAL:
                        self.ends[row.id] = End(*row[1:])
                elif (row.state, row.version) != (before.state, before.version):
                    self.changed[row.id] = f"{before.state} v{before.version} became {row.state} v{row.version}"

    def have_ended(self, ids: Iterable[str]) -> bool:
        """Tell whether every one of these jobs has ended."""
        return all(job_id in self.ends for job_id in ids)

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
