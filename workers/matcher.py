"""Which worker gets which of the jobs that need something: decided from one look at the ledger, for all at once.

Tenants take turns by their weights; of a tenant's own jobs the one with the best place in line goes first, and of the
workers that fit the least loaded takes it. Jobs that nobody fits are passed over and cost the others nothing.
"""

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.routing import Line, Load, Next, Routed, Waiting
from tasks.core.ledger.shares import Turns
from tasks.core.matching import lacking, offers_of, place_among
from tasks.core.records import ran_in

# Lines that are read in one round; what is left out comes in the next one, and every tenant's first line is in.
_MOST_LINES = 100
# A job that has waited so long behind a worker's other jobs is given to one that has a free slot.
_MOVES_ON_S = 2.0


def routable(live: Iterable[Worker]) -> list[Worker]:
    """Return the workers that jobs can be routed to: Celery's, which take jobs and have a queue of their own."""
    return [
        worker
        for worker in live
        if worker.state == WorkerState.UP and ran_in(worker.name) == "queue" and offers_of(worker).direct
    ]


@dataclass(slots=True)
class Fitting:
    """Which of some workers fit a line; found out once for each line and set of workers."""

    workers: Sequence[Worker] = ()
    _found: dict[tuple[Line, str | None], list[Worker]] = field(default_factory=dict)

    def look_at(self, workers: Sequence[Worker]) -> None:
        """Go by these workers from now on."""
        if [worker.name for worker in workers] != [worker.name for worker in self.workers]:
            self._found.clear()
        self.workers = workers

    def among(self, ran_on: Mapping[Line, str]) -> Callable[[Line], Sequence[Worker]]:
        """Return what lists those that fit a line. ``ran_on``: which worker ran the job that a line has to be near."""
        return lambda line: self._of(line, place_among(self.workers, ran_on.get(line)))

    def _of(self, line: Line, place: str | None) -> list[Worker]:
        if (line, place) not in self._found:
            asked = line.asked(place)
            self._found[line, place] = [worker for worker in self.workers if not lacking(asked, worker)]
        return self._found[line, place]


class Rooms:
    """What each worker has under way, and how much more may lie ready for it: as many jobs as it has slots."""

    def __init__(self, workers: Sequence[Worker], loads: Sequence[Load]) -> None:
        self._slots = {worker.name: max(1, worker.slots) for worker in workers}
        self._ready: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        for load in loads:
            if load.worker in self._slots:
                self._ready[load.worker] += load.ready
                self._under_way[load.worker] += load.ready + load.running

    def room(self, worker: Worker) -> int:
        """Return how many more jobs may lie ready for it."""
        return self._slots[worker.name] - self._ready[worker.name]

    def has_free_slot(self, worker: Worker) -> bool:
        """Tell whether a job that it is given begins at once."""
        return self._under_way[worker.name] < self._slots[worker.name]

    def best(self, workers: Iterable[Worker], *, but: str | None) -> Worker | None:
        """Choose the least loaded that has room; ``but`` only where no other has."""
        with_room = [worker for worker in workers if self.room(worker) > 0]
        others = [worker for worker in with_room if worker.name != but]
        return min(others or with_room, key=lambda one: (self._load(one), one.name), default=None)

    def take(self, worker: Worker) -> None:
        """Note that it gets one more."""
        self._ready[worker.name] += 1
        self._under_way[worker.name] += 1

    def _load(self, worker: Worker) -> float:
        return self._under_way[worker.name] / self._slots[worker.name]


def lines_in_turn(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Return the lines in the order in which they are looked at: each tenant's first, then each one's second."""
    rank: Counter[str] = Counter()
    ranked: list[tuple[int, int, Waiting]] = []
    for one in waiting:
        ranked.append((rank[one.line.tenant_id], one.place, one))
        rank[one.line.tenant_id] += 1
    return [one for _, _, one in sorted(ranked, key=lambda each: each[:2])]


def choose(
    waiting: Sequence[Waiting],
    fitting: Callable[[Line], Sequence[Worker]],
    rooms: Rooms,
    *,
    turns: Turns,
    best_of: Callable[[Line, int], Sequence[Next]],
) -> dict[str, str]:
    """Choose a worker's name for as many jobs as there is room for, by the job's id.

    Args:
        best_of: reads the best so many jobs of a line.
    """
    of_tenant: dict[str, list[tuple[Next, Sequence[Worker]]]] = defaultdict(list)
    looked_at = 0
    for one in lines_in_turn(waiting):
        able = fitting(one.line)
        room = sum(max(0, rooms.room(worker)) for worker in able)
        if room <= 0:
            continue
        of_tenant[one.line.tenant_id] += [(job, able) for job in best_of(one.line, min(room, one.count))]
        looked_at += 1
        if looked_at == _MOST_LINES:
            break
    left = {
        tenant_id: sorted(jobs, key=lambda each: (each[0].place, each[0].job_id), reverse=True)
        for tenant_id, jobs in of_tenant.items()
    }
    begun = turns.begin({one.line.tenant_id for one in waiting})
    heap = sorted((passes, tenant_id) for tenant_id, passes in begun.items())
    chosen: dict[str, str] = {}
    while heap:
        passes, tenant_id = heapq.heappop(heap)
        if not left.get(tenant_id):
            continue
        job, able = left[tenant_id].pop()
        worker = rooms.best(able, but=job.failed_on)
        if worker is not None:
            chosen[job.job_id] = worker.name
            rooms.take(worker)
            passes = turns.take(tenant_id)
        heapq.heappush(heap, (passes, tenant_id))
    return chosen


def to_move(
    routed: Sequence[Routed], fitting: Callable[[Line], Sequence[Worker]], rooms: Rooms, *, now_s: float
) -> list[Routed]:
    """List the jobs that wait behind others at their worker, while one that fits has a free slot."""
    moving = []
    for one in routed:
        if now_s - one.at.timestamp() < _MOVES_ON_S:
            continue
        able = fitting(one.line)
        its_own = [worker for worker in able if worker.name == one.worker]
        if not any(rooms.has_free_slot(worker) for worker in its_own) and any(map(rooms.has_free_slot, able)):
            moving.append(one)
    return moving


def wall_clock_s() -> float:
    """Return the time by the clock with which this process notes what it routes."""
    return time.time()
