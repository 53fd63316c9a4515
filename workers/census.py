"""Who lives: judged by the dispatcher's own clock since something last changed, never by comparing wall clocks."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from tasks.core.ledger.carrying import Choice
from tasks.core.ledger.fleet import Watched, Worker, WorkerState
from tasks.core.records import is_door
from tasks.core.spec import JobSpec


@dataclass(slots=True)
class WatchedTime:
    """A clock that runs only while somebody looks at it: between two looks at most ``longest_step_s`` pass.

    Whoever was frozen, or waited for the ledger, has seen nothing meanwhile and so can hold nothing against anybody.
    """

    longest_step_s: float
    clock: Callable[[], float] = time.monotonic
    _passed_s: float = 0.0
    _looked_at: float | None = None

    def __call__(self) -> float:
        """Return the time watched so far, in seconds."""
        at = self.clock()
        if self._looked_at is not None:
            self._passed_s += min(at - self._looked_at, self.longest_step_s)
        self._looked_at = at
        return self._passed_s


@dataclass(slots=True)
class Census:
    """Which workers beat, by this process's own clock."""

    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _not_live: dict[str, float] = field(default_factory=dict)
    _watching_since: float | None = None

    def reset(self) -> None:
        """Forget everything: judge nobody for a full lease."""
        self._seen.clear()
        self._not_live.clear()
        self._watching_since = None

    def gone(self, beats: dict[str, int], holders: set[str], *, lease_s: float) -> set[str]:
        """Name the workers whose counter stood still for a lease, or that hold jobs without being live at all.

        The latter are named a third of a lease later: who could not register at its start, or was frozen and goes on,
        beats by then. Who ends a job as it is accepted has no row and never beats; it has a lease for it.
        """
        at = self.clock()
        if self._watching_since is None:
            self._watching_since = at
        for name, beat in beats.items():
            if name not in self._seen or self._seen[name][0] != beat:
                self._seen[name] = (beat, at)
        self._seen = {name: seen for name, seen in self._seen.items() if name in beats}
        self._not_live = {name: self._not_live.get(name, at) for name in holders - beats.keys()}
        if at - self._watching_since < lease_s:
            return set()
        still = {name for name, (_, changed_at) in self._seen.items() if at - changed_at >= lease_s}
        return still | {
            name for name, since in self._not_live.items() if at - since >= (lease_s if is_door(name) else lease_s / 3)
        }


def unserved(specs: Iterable[JobSpec], live: Iterable[Worker]) -> frozenset[str | Choice]:
    """Name the kinds, and the options of kinds, that no worker of their queue can serve: their jobs wait for one."""
    up = [worker for worker in live if worker.state == WorkerState.UP]
    lacking: set[str | Choice] = set()
    for spec in specs:
        offered = [set(worker.capabilities) for worker in up if spec.queue in worker.queues]
        able = [found for found in offered if spec.capabilities <= found]
        if not able:
            lacking.add(spec.kind)
        lacking |= unmet_options(spec, able)
    return frozenset(lacking)


def uneven(specs: Iterable[JobSpec], up: Iterable[Worker]) -> frozenset[str | Choice]:
    """Name the kinds, and the options of kinds, that some of their queue's workers can serve and others cannot.

    Args:
        up: the workers that take jobs; one that takes none from common lines is of no concern.
    """
    workers, found = list(up), set[str | Choice]()
    for spec in specs:
        offered = [set(worker.capabilities) for worker in workers if spec.queue in worker.queues]
        able = [some for some in offered if spec.capabilities <= some]
        if able and len(able) < len(offered):
            found.add(spec.kind)
            continue
        for option in spec.options:
            if 0 < sum(option.capability in some for some in able) < len(able):
                found.add(Choice(spec.kind, option.field, option.value))
    return frozenset(found)


def unmet_options(spec: JobSpec, able: Iterable[Collection[str]]) -> set[Choice]:
    """Name the options of ``spec`` that none of these machines offers what they need."""
    there = {capability for found in able for capability in found}
    return {Choice(spec.kind, option.field, option.value) for option in spec.options if option.capability not in there}


@dataclass(slots=True)
class Listening:
    """Which running attempts have given no sign of life for longer than their kind allows."""

    clock: Callable[[], float] = time.monotonic
    _heard: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget everything: every attempt gets its whole time anew."""
        self._heard.clear()

    def silent(self, watched: Iterable[Watched]) -> list[Watched]:
        """List those of ``watched``, which are all there are, that stayed silent too long."""
        at, before, self._heard = self.clock(), self._heard, {}
        silent = []
        for attempt in watched:
            key = (attempt.job_id, attempt.fence)
            signs, since = before.get(key, (attempt.signs, at))
            if signs != attempt.signs:
                since = at
            self._heard[key] = (attempt.signs, since)
            if at - since >= attempt.silence_s:
                silent.append(attempt)
        return silent
