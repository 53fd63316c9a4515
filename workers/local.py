"""The local runner: takes jobs straight from the ledger into children of its own. No Celery worker, no broker."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

import structlog

from tasks.core.errors import LedgerUnavailable
from tasks.core.kernel import Kernel
from tasks.core.ledger import parking, routing
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.picking import Due, due_jobs, in_turns
from tasks.core.ledger.shares import Shares
from tasks.core.matching import lacking, offers_of, place_among
from tasks.core.records import LOCAL_ROLE, STANDBY_ROLE, Backend
from tasks.core.settling import settle_for_child
from tasks.core.spec import JobSpec
from workers.beat import Beat
from workers.census import unmet_options
from workers.duties import Duties
from workers.identity import describe_worker, take_identity
from workers.local_pool import Pool
from workers.offers import find_offers
from workers.profiles import strictest

if TYPE_CHECKING:  # it speaks to Redis, which the profile without Redis does not load
    from workers.standby import BrokerWatch

log = structlog.get_logger()

# How long a job may lie in the ledger before a free child gets it; a look is one small query.
_LOOK_EVERY_S = 0.1
# The same for those that are for a local runner alone, while it stands by.
_LOOK_IN_STANDBY_S = 0.5
# While the ledger is away.
_AWAY_S = 1.0


@dataclass(slots=True)
class LocalRunner:
    """Runs until ``stop``, then drains as a Celery worker does.

    Args:
        specs: the kinds that this version knows; others are left for whoever does.
        capabilities: what this machine offers. Jobs that need more wait, as they do where a dispatcher carries.
        slots: jobs at a time.
        standby: take jobs of ``backend: auto`` only while the broker is down; a dispatcher does the duties then.
            None: always.
    """

    kernel: Kernel
    queues: Sequence[str]
    specs: Sequence[JobSpec]
    capabilities: Sequence[str]
    slots: int
    standby: "BrokerWatch | None" = None
    _stopping: Event = field(default_factory=Event)
    _shares: Shares = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nobody's turn."""
        self._shares = Shares(self.kernel.limits.weight)

    def run(self) -> None:
        """Take and run jobs. Call it in the main thread."""
        profile = strictest(self.queues)
        name = take_identity(self.queues, role=STANDBY_ROLE if self.standby else LOCAL_ROLE)
        lost = partial(_settle, self.kernel, name)
        pool = Pool(name, self.slots, profile, lost, self.kernel.memory_kills)
        offers = find_offers(
            self.kernel.settings, self.kernel.ledger, self.specs, self.queues, slots=pool.slots, direct=False
        )
        worker = describe_worker(name, slots=pool.slots, capabilities=self.capabilities, offers=offers)
        beat = Beat(self.kernel, worker, is_stopping=self._stopping.is_set, children=lambda: pool.pids)
        watched = self.standby or Duties(self.kernel)
        beat.start()
        watched.start()
        try:
            self._serve(pool, beat, worker)
            self._drain(pool)
        finally:
            pool.retire_free()
            watched.stop()
            beat.stop()
        log.info("local_runner_stopped", worker=name)

    def stop(self) -> None:
        """Take no more jobs; ``run`` returns when those under way have ended or were handed back."""
        self._stopping.set()

    def _serve(self, pool: Pool, beat: Beat, worker: Worker) -> None:
        is_ready, looks_at = False, 0.0
        while not self._stopping.is_set():
            pool.start_missing()
            if pool.free and not is_ready:
                is_ready = True
                log.info("local_runner_ready", worker=pool.worker, slots=pool.slots, queues=",".join(self.queues))
            takes_all = self.standby is None or self.standby.is_down
            if is_ready:
                beat.say(WorkerState.UP if takes_all else WorkerState.STANDBY)
            try:
                if takes_all or time.monotonic() >= looks_at:
                    self._hand_out(pool, worker, {Backend.LOCAL, Backend.AUTO} if takes_all else {Backend.LOCAL})
                    looks_at = time.monotonic() + _LOOK_IN_STANDBY_S
            except LedgerUnavailable as exc:
                log.warning("local_runner_without_ledger", code=exc.code)
                self._stopping.wait(_AWAY_S)
            pool.attend(_LOOK_EVERY_S)

    def _hand_out(self, pool: Pool, worker: Worker, backends: Collection[str]) -> None:
        free = pool.free
        if not free:
            return
        # Where one stands by, a dispatcher does it.
        if self.standby is None and parking.anything_parked(self.kernel.ledger):
            parking.release(self.kernel.ledger)
        offered = set(self.capabilities)
        able, offers = [spec for spec in self.specs if spec.capabilities <= offered], offers_of(worker)
        due = partial(
            due_jobs,
            self.kernel.ledger,
            self.queues,
            kinds=[spec.kind for spec in able],
            but=pool.under_way,
            backends=backends,
            limit=len(free),
            without={choice for spec in able for choice in unmet_options(spec, [offered])},
            not_tenants=offers.not_tenants,
        )
        needing = self._fitting(worker, backends) if routing.anything_matched(self.kernel.ledger) else None

        def look(tenants: Collection[str] | None) -> list[Due]:
            found = due(tenants=tenants)
            if needing is not None:
                found += due(tenants=tenants, needing=needing)
                found.sort(key=lambda one: (one.place, one.job_id))
            return found[: len(free)]

        found = in_turns(self.kernel.ledger, self._shares, self.queues, look, allowed=offers.tenants, room=len(free))
        for child, one in zip(free, found, strict=False):
            child.give(one)

    def _fitting(self, worker: Worker, backends: Collection[str]) -> set[str]:
        """Return what the jobs require that fit this runner, as the ledger writes it."""
        lines = [one.line for one in routing.waiting_lines(self.kernel.ledger, backends=backends)]
        ran_on = routing.ran_on(self.kernel.ledger, lines)
        return {line.text for line in lines if not lacking(line.asked(place_among([worker], ran_on.get(line))), worker)}

    def _drain(self, pool: Pool) -> None:
        # The beat enforces the grace: it hands jobs back, then kills the children that had them.
        while pool.under_way:
            pool.retire_free()
            pool.attend(_LOOK_EVERY_S)


def _settle(kernel: Kernel, worker: str, due: Due, cause: str, message: str) -> None:
    settle_for_child(kernel, due.job_id, worker=worker, carry=due.carry, cause=cause, message=message)
