"""Clients that follow jobs, one after another, over SSE and over WebSockets, and note how late they learn what."""

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from client import Switchyard, SwitchyardError
from client.modes import Transport
from tests.chaos.viewer import Continuity

_TRANSPORTS: tuple[Transport, ...] = ("sse", "websocket")


@dataclass(slots=True)
class Seen:
    """What one follower saw."""

    transport: Transport
    progress_s: list[float] = field(default_factory=list)
    """How long after each progress report the client had it."""
    faults: list[str] = field(default_factory=list)
    ended: int = 0


class Followers:
    """So many clients, in threads; jobs wait in line for the next that is free."""

    def __init__(self, url: str, headers: Mapping[str, str], count: int) -> None:
        self.seen = [Seen(_TRANSPORTS[number % len(_TRANSPORTS)]) for number in range(count)]
        self.given = 0
        self._key = headers["Authorization"].removeprefix("Bearer ")
        self._url = url
        self._jobs: queue.Queue[str | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._run, args=(seen,), name="follower", daemon=True) for seen in self.seen
        ]
        for thread in self._threads:
            thread.start()

    @property
    def are_busy(self) -> bool:
        """Whether a job would have to wait."""
        return self.given - sum(one.ended for one in self.seen) >= len(self.seen)

    def follow(self, job_id: str) -> None:
        """Let the next one that is free follow the job to its end."""
        self.given += 1
        self._jobs.put(job_id)

    def _run(self, seen: Seen) -> None:
        with Switchyard(self._url, self._key, mode=seen.transport) as client:
            while (job_id := self._jobs.get()) is not None:
                try:
                    self._follow(client, job_id, seen)
                except SwitchyardError as exc:
                    seen.faults.append(f"{job_id}: {exc}")
                seen.ended += 1

    def _follow(self, client: Switchyard, job_id: str, seen: Seen) -> None:
        order = Continuity()
        for event in client.events(job_id):
            late_s = time.time() - event.at.timestamp() if event.at is not None else 0.0
            if event.type == "progress":
                seen.progress_s.append(late_s)
            order.take(event.id or "0-0", is_snapshot=event.type == "snapshot", is_end=event.is_terminal)
        seen.faults += [f"{job_id}: {fault}" for fault in order.faults]

    def close(self) -> None:
        """Let everybody finish."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=60)
