"""Somebody who follows a job's stream, is cut off now and then, and comes back with the last event id."""

import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from client.sse import SSEParser

_CURSOR = tuple[int, int]


@dataclass(slots=True)
class Continuity:
    """Checks one client's frames: no repeat, and no gap that a ``snapshot`` did not announce."""

    faults: list[str] = field(default_factory=list)
    events: int = 0
    snapshots: int = 0
    last: str | None = None
    ended: bool = False
    _seen: set[str] = field(default_factory=set)
    _after_snapshot: bool = False

    def take(self, frame_id: str, *, is_snapshot: bool, is_end: bool) -> None:
        """Look at the next frame."""
        if is_snapshot:
            self.snapshots += 1
        else:
            self.events += 1
            self._check(frame_id)
            self._seen.add(frame_id)
        self._after_snapshot = is_snapshot
        self.last, self.ended = frame_id, self.ended or is_end

    def _check(self, frame_id: str) -> None:
        if frame_id in self._seen:
            self.faults.append(f"{frame_id} came twice")
        (epoch, seq), (last_epoch, last_seq) = _cursor(frame_id), _cursor(self.last or "0-0")
        if 0 in {epoch, last_epoch} or self._after_snapshot:
            # What is made from the ledger alone has no place in a stream; after a snapshot anything newer may follow.
            if epoch == last_epoch and seq <= last_seq:
                self.faults.append(f"{frame_id} after {self.last}")
        elif (epoch, seq) != (last_epoch, last_seq + 1):
            self.faults.append(f"{frame_id} after {self.last} without a snapshot")


def _cursor(frame_id: str) -> _CURSOR:
    epoch, _, seq = frame_id.partition("-")
    return int(epoch), int(seq)


class Viewer:
    """Follows one job to its end on a thread of its own; leaves by itself every ``drop_every_s`` or so."""

    def __init__(
        self, url: str, headers: Mapping[str, str], job_id: str, *, drop_every_s: float, chance: random.Random
    ) -> None:
        self.job_id = job_id
        self.seen = Continuity()
        self.connections = 0
        self._client = httpx.Client(base_url=url, headers=dict(headers), timeout=httpx.Timeout(10, read=30))
        self._drop_every_s = drop_every_s
        self._chance = chance
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set() and not self.seen.ended:
            try:
                self._watch_once()
            except httpx.HTTPError:
                self._stopping.wait(0.2)

    def _watch_once(self) -> None:
        headers = {"Last-Event-ID": self.seen.last} if self.seen.last else {}
        leave_at = time.monotonic() + self._drop_every_s * self._chance.uniform(0.5, 1.5)
        with self._client.stream("GET", f"/api/jobs/{self.job_id}/events", headers=headers) as answer:
            self.connections += 1
            if answer.status_code == httpx.codes.NO_CONTENT:
                self.seen.ended = True
                return
            answer.raise_for_status()
            parser = SSEParser()
            for chunk in answer.iter_raw():
                for frame in parser.feed(chunk):
                    data = json.loads(frame.data)
                    is_end = data["type"] == "state" and data["data"]["state"] in {"succeeded", "failed", "cancelled"}
                    self.seen.take(data["id"], is_snapshot=data["type"] == "snapshot", is_end=is_end)
                if time.monotonic() > leave_at or self._stopping.is_set():
                    return

    def close(self) -> None:
        """Leave for good."""
        self._stopping.set()
        self._thread.join(timeout=35)
        self._client.close()
