"""Finds out what has changed among workers, queues and what both rest on."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from app.live import LiveDispatcher
from app.monitor.feed import Found
from tasks.core.events import EventsUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, fleet, monitoring, pauses, tenants
from tasks.core.ledger.fleet import WorkerState
from tasks.core.ledger.monitoring import Running

_WORKERS_S = 1.0
_SYSTEM_S = 2.0
# Counting what waits takes as long as there is much of it: at most a twentieth of the time is spent on that.
_QUEUES_S = 2.0
_QUEUES_SHARE = 20
# A worker's memory is news when it has changed by a tenth.
_MEMORY_STEP = 0.1
_NO_NEWS = {"worker": {"beat_at", "rss_bytes"}, "queue": {"oldest_waiting_s"}}


QueueLook = Callable[[Ledger], Sequence[BaseModel]]
"""Tells how the queues stand: see ``app.fleet.queues_now``."""


class FleetWatch:
    """For one thread."""

    def __init__(self, kernel: Kernel, dispatcher: LiveDispatcher, queues_now: QueueLook) -> None:
        self._kernel = kernel
        self._dispatcher = dispatcher
        self._queues_now = queues_now
        self._due: dict[str, float] = {}
        self._workers: dict[str, dict[str, Any]] = {}
        self._queues: dict[str, dict[str, Any]] = {}
        self._system: dict[str, Any] = {}

    @property
    def workers(self) -> list[dict[str, Any]]:
        """The live ones, as of the last look."""
        return list(self._workers.values())

    @property
    def queues(self) -> list[dict[str, Any]]:
        """All of them, as of the last look."""
        return list(self._queues.values())

    def look(self, running: Sequence[Running]) -> Iterator[list[Found]]:
        """Give out what has changed, of what is due to be looked at, part by part.

        Raises:
            LedgerUnavailable: nothing more can be seen now.
        """
        if self._is_due("system", _SYSTEM_S):
            yield self._look_at_system()
        if self._is_due("workers", _WORKERS_S):
            yield self._look_at_workers(running)
        if self._is_due("queues", _QUEUES_S):
            began = time.monotonic()
            yield self._look_at_queues()
            self._due["queues"] = max(self._due["queues"], began + (time.monotonic() - began) * _QUEUES_SHARE)

    def without_ledger(self) -> list[Found]:
        """Return that the ledger is away, if that is news; the next look will tell when it is back."""
        self._due.pop("system", None)
        return self._system_is(self._system | {"ledger": "away"})

    def _is_due(self, what: str, every_s: float) -> bool:
        at = time.monotonic()
        if at < self._due.get(what, 0.0):
            return False
        self._due[what] = at + every_s
        return True

    def _look_at_system(self) -> list[Found]:
        lease, leads = self._dispatcher.look()
        return self._system_is(
            {
                "ledger": "ok",
                "broker": self._broker(),
                "dispatcher": "leads" if leads else "none",
                "dispatcher_term": 0 if lease is None else lease.term,
                "dispatcher_holder": lease.holder if lease is not None and leads else None,
                "pauses": self._pauses(),
            }
        )

    def _pauses(self) -> list[dict[str, Any]]:
        held = pauses.in_effect_now(self._kernel.ledger)
        names = tenants.names(self._kernel.ledger) if held else {}
        return [
            {
                "id": one.id,
                "queue": one.queue if one.queue != pauses.ALL else None,
                "kind": one.kind if one.kind != pauses.ALL else None,
                "tenant": names.get(one.tenant_id, one.tenant_id) if one.tenant_id != pauses.ALL else None,
                "reason": one.reason,
                "until": one.until,
            }
            for one in held
        ]

    def _broker(self) -> str:
        if not self._kernel.settings.needs_redis:
            return "none"
        try:
            self._kernel.events.ping()
        except EventsUnavailable:
            return "away"
        return "ok"

    def _system_is(self, system: dict[str, Any]) -> list[Found]:
        if system == self._system:
            return []
        self._system = system
        return [Found("system", "system.changed", system)]

    def _look_at_workers(self, running: Sequence[Running]) -> list[Found]:
        counts: dict[str, int] = {}
        for job in running:
            counts[job.worker] = counts.get(job.worker, 0) + 1
        live = {
            worker.name: _worker(asdict(worker), counts.get(worker.name, 0))
            for worker in fleet.live_workers(self._kernel.ledger)
        }
        left = [name for name in self._workers if name not in live]
        found = self._departures(left) if left else []
        for name, worker in live.items():
            before = self._workers.get(name)
            if before is None:
                found.append(Found("worker", "worker.connected", worker, name=name))
            elif _differs("worker", before, worker) or _has_grown(before, worker):
                found.append(Found("worker", "worker.changed", worker, name=name))
            else:
                worker["rss_bytes"] = before["rss_bytes"]  # small steps must not go unseen
        self._workers = live
        return found

    def _departures(self, left: Sequence[str]) -> list[Found]:
        states = monitoring.worker_states(self._kernel.ledger, left)
        return [
            Found(
                "worker",
                "worker.disconnected",
                self._workers[name] | {"state": states.get(name, WorkerState.GONE), "running": 0},
                name=name,
            )
            for name in left
        ]

    def _look_at_queues(self) -> list[Found]:
        looked = [one.model_dump(mode="json") for one in self._queues_now(self._kernel.ledger)]
        queues = {one["queue"]: one for one in looked}
        changed = [
            Found("queue", "queue.changed", queue, name=name)
            for name, queue in queues.items()
            if name not in self._queues or _differs("queue", self._queues[name], queue)
        ]
        self._queues = queues
        return changed


def _worker(row: dict[str, Any], running: int) -> dict[str, Any]:
    del row["beat"]
    return row | {"running": running}


def _differs(topic: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    return any(before[name] != value for name, value in after.items() if name not in _NO_NEWS[topic])


def _has_grown(before: dict[str, Any], after: dict[str, Any]) -> bool:
    was: int = before["rss_bytes"]
    return abs(int(after["rss_bytes"]) - was) > _MEMORY_STEP * max(1, was)
