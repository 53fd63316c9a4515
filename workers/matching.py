"""The dispatcher's part of matching: routes what needs something, takes back what a worker cannot take any more.

It also lists jobs of common lines to be routed, where not every worker of the queue may take them: those of a kind that
some of these workers lack something for, and those that a worker of a few tenants can take.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from tasks.core.kernel import Kernel
from tasks.core.ledger import carrying, routing
from tasks.core.ledger.carrying import Carry, Unserved
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.routing import Plain
from tasks.core.ledger.shares import Turns, Weigh
from tasks.core.matching import direct_queue, offers_of
from tasks.core.records import Job, ran_in
from tasks.core.spec import JobSpec
from workers.broker import Broker, Losses
from workers.census import uneven
from workers.judge import Every
from workers.matcher import Fitting, Rooms, choose, routable, to_move, wall_clock_s

log = structlog.get_logger()

MATCHES_EVERY_S = 0.1
"""How long a free place at a worker stays free, at the most, while a job that it fits waits."""
_MOST_ENLISTED = 100


class Matching:
    """Call ``look_at`` whenever the workers were looked at, ``tick`` as often as you like."""

    def __init__(
        self, kernel: Kernel, broker: Broker, specs: Mapping[str, JobSpec], *, losses: Losses, weigh: Weigh
    ) -> None:
        self._ledger = kernel.ledger
        self._broker = broker
        self._specs = specs
        self._losses = losses
        self._turns = Turns(weigh)
        self._fitting = Fitting()
        self._live: list[Worker] = []
        self._matches = Every(MATCHES_EVERY_S)
        self.uneven: Unserved = frozenset()
        """Kinds and options that only some of their queue's workers can serve: not for the common line."""
        self.closed: frozenset[str] = frozenset()
        """Queues of whose common line nobody takes jobs, while a worker of a few tenants serves them."""
        self.is_busy = False
        """Whether a job was to be matched, as of the newest look."""

    def look_at(self, live: Sequence[Worker]) -> None:
        """Go by these workers from now on."""
        self._live = list(live)
        able = routable(live)
        self._fitting.look_at(able)
        common = [one for one in live if one.state == WorkerState.UP and ran_in(one.name) == "queue"]
        # During a restart to this version some take no jobs of their own: then all is as it was.
        can_route = all(offers_of(worker).direct for worker in common)
        uneven_now = uneven(self._specs.values(), common) if can_route else frozenset()
        open_now = {queue for worker in common for queue in worker.queues}
        closed_now = frozenset({queue for worker in able for queue in offers_of(worker).queues} - open_now)
        changed = {self._specs[_kind_of(one)].queue for one in uneven_now if one not in self.uneven}
        for queue in changed | (closed_now - self.closed):
            self._take_back(queue)
        self.uneven, self.closed = uneven_now, closed_now

    def _take_back(self, queue: str) -> None:
        taken_back = carrying.take_back(self._ledger, queue)
        if taken_back:
            self._broker.remove(queue, taken_back)
            log.info("jobs_taken_back", queue=str(queue), jobs=len(taken_back))

    def tick(self) -> list[tuple[Job, str]]:
        """Take the carries of the jobs that can go now; return each with the queue that it has to be sent to.

        Raises:
            LedgerUnavailable, RedisError: nothing, or not everything, was done.
        """
        if not self._matches.is_due():
            self.is_busy = True  # not known: somebody may have rung for a job that needs something
            return []
        self._enlist()
        self.is_busy = routing.anything_matched(self._ledger)
        if not self.is_busy:
            return []
        self._take_back_stranded()
        return self._route()

    def give_back_lost(self, *, wiped: bool) -> None:
        """Let those be routed again whose messages Redis has lost."""
        if not self.is_busy:
            return
        published: dict[str, set[Carry]] = {}
        for one in routing.routed_jobs(self._ledger):
            published.setdefault(one.worker, set()).add((one.job_id, one.carry))
        for worker, carries in published.items():
            queue = direct_queue(worker)
            lost = self._losses.lost(queue, carries, held=partial(self._broker.held, queue), wiped=wiped)
            if lost:
                log.warning("carried_again", queue=queue, jobs=routing.give_back(self._ledger, lost), wiped=wiped)

    # ---- what is routed

    def _take_back_stranded(self) -> None:
        routed = routing.routed_jobs(self._ledger)
        if not routed:
            return
        there = {worker.name for worker in self._fitting.workers}
        stranded = [one for one in routed if one.worker not in there]
        left = {one.worker for one in stranded}
        if len(stranded) < len(routed):
            fitting = self._fitting.among(routing.ran_on(self._ledger, [one.line for one in routed]))
            rooms = Rooms(self._fitting.workers, routing.loads(self._ledger))
            at_workers = [one for one in routed if one.worker in there]
            stranded += to_move(at_workers, fitting, rooms, now_s=wall_clock_s())
        if not stranded:
            return
        carries: dict[str, set[Carry]] = {}
        for one in stranded:
            carries.setdefault(one.worker, set()).add((one.job_id, one.carry))
        given = routing.give_back(self._ledger, {carry for some in carries.values() for carry in some})
        for worker, some in carries.items():
            self._broker.remove(direct_queue(worker), some)
        log.info("jobs_rerouted", jobs=given, left=sorted(left))

    def _route(self) -> list[tuple[Job, str]]:
        waiting = routing.waiting_lines(self._ledger)
        if not waiting or not self._fitting.workers:
            return []
        chosen = choose(
            waiting,
            self._fitting.among(routing.ran_on(self._ledger, [one.line for one in waiting])),
            Rooms(self._fitting.workers, routing.loads(self._ledger)),
            turns=self._turns,
            best_of=lambda line, most: routing.best_of(self._ledger, line, most=most),
        )
        if not chosen:
            return []
        return [(job, direct_queue(worker)) for job, worker in routing.route(self._ledger, chosen)]

    # ---- what has to be routed, though it asked for nothing

    def _enlist(self) -> None:
        by_queue: dict[str, set[str | carrying.Choice]] = {}
        for one in self.uneven:
            by_queue.setdefault(self._specs[_kind_of(one)].queue, set()).add(one)
        for queue, which in by_queue.items():
            found = routing.plain_of(self._ledger, queue, which, most=_MOST_ENLISTED)
            self._note({job.job_id: self._needs(job) for job in found})
        self._enlist_for_tenants()

    def _enlist_for_tenants(self) -> None:
        restricted = [worker for worker in self._fitting.workers if offers_of(worker).is_restricted]
        if not restricted:
            return
        rooms = Rooms(self._fitting.workers, routing.loads(self._ledger))
        waiting = routing.waiting_lines(self._ledger)
        fitting = self._fitting.among(routing.ran_on(self._ledger, [one.line for one in waiting]))
        for worker in restricted:
            waits = Counter[str]()
            for one in waiting:
                if worker in fitting(one.line):
                    waits[one.line.tenant_id] += one.count
            if (room := rooms.room(worker)) > 0:
                self._enlist_for(worker, waits, most_of_tenant=room)

    def _enlist_for(self, worker: Worker, waits: Counter[str], *, most_of_tenant: int) -> None:
        """List jobs of each of the worker's tenants, so many at the most with those that ``waits`` counts."""
        offers, able = offers_of(worker), set(worker.capabilities)
        kinds = [
            kind for kind in offers.kinds if (spec := self._specs.get(kind)) is not None and spec.capabilities <= able
        ]
        for queue in offers.queues:
            found = routing.plain_for(
                self._ledger,
                queue,
                kinds=kinds,
                tenants=offers.tenants,
                not_tenants=offers.not_tenants,
                most=_MOST_ENLISTED,
            )
            chosen = {}
            for job in found:
                needs = self._needs(job)
                if waits[job.tenant_id] < most_of_tenant and needs.keys() <= able:
                    waits[job.tenant_id] += 1
                    chosen[job.job_id] = needs
            self._note(chosen)

    def _needs(self, job: Plain) -> dict[str, bool]:
        return dict.fromkeys(sorted(self._specs[job.kind].needs(job.request)), True)

    def _note(self, needs: Mapping[str, Mapping[str, bool]]) -> None:
        if needs:
            routing.enlist(self._ledger, needs)


def _kind_of(one: "str | carrying.Choice") -> str:
    return one if isinstance(one, str) else one.kind
