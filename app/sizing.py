"""How much of the house a purpose needs: which backend, how many workers with a browser, which ledger.

The rules by sites, load and team are those that the older tool discovery service gave in prose; how busy a number of
jobs keeps its workers is computed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tasks.core.records import RanIn

# A crawler worker runs so many jobs at a time (workers/profiles.py: a test compares).
SLOTS = 2
MOST_SLOTS = 64
# A day's jobs come within a working day; a queue that is busy for more than this share of it is a queue that grows.
_DAY_S, _MOST_BUSY = 8 * 3600.0, 0.7


@dataclass(frozen=True, slots=True)
class Needs:
    """What it is for; None: not said.

    Args:
        sites: whose tools are to be known.
        jobs_per_day: discoveries and runs of tools.
        job_s: how long one takes on the average.
        people: who rely on it.
        must_survive: jobs are to go on at once when a machine dies.
        has_redis: one may be run.
    """

    sites: int | None = None
    jobs_per_day: int | None = None
    job_s: float = 30.0
    people: int | None = None
    must_survive: bool = False
    has_redis: bool = True


@dataclass(frozen=True, slots=True)
class Sizing:
    """What to run: workers for the queue ``crawler``, or one local runner; ``slots`` are theirs together, at least."""

    backend: RanIn
    least_workers: int
    most_workers: int
    slots: int
    ledger: Literal["sqlite", "postgresql"]
    web_servers: int
    commands: tuple[str, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    """Up to ``most`` of something, so many workers will do; none: a local runner does."""

    most: float
    workers: tuple[int, int] | None


_RULES = {
    "sites": (_Rule(19, None), _Rule(100, (2, 2)), _Rule(math.inf, (4, 8))),
    "jobs a day": (_Rule(50, None), _Rule(200, (2, 4)), _Rule(math.inf, (4, 8))),
    "people": (_Rule(1, None), _Rule(5, (1, 2)), _Rule(20, (2, 4)), _Rule(math.inf, (4, 8))),
}


def sizing(needs: Needs) -> Sizing:
    """Return what to run; where nothing was said, the least that there is."""
    found = list(_found(needs))
    wanted = [workers for workers, _ in found if workers is not None]
    reasons = tuple(reason for _, reason in found) or ("Nothing was said of what it is for: begin small.",)
    least = max((workers[0] for workers in wanted), default=1)
    most = max((workers[1] for workers in wanted), default=1)
    if wanted and needs.has_redis:
        return _queue(needs, least, most, reasons)
    return _local(min(MOST_SLOTS, least * SLOTS), reasons, tuple(_doubts(needs)) if wanted else ())


def _queue(needs: Needs, least: int, most: int, reasons: tuple[str, ...]) -> Sizing:
    web_servers = 2 if needs.must_survive else 1
    roles = {"python -m app": web_servers, "python -m workers dispatcher": web_servers, _WORKER: least}
    return Sizing(
        backend="queue",
        least_workers=least,
        most_workers=most,
        slots=least * SLOTS,
        # SQLite is one file on one machine.
        ledger="postgresql" if needs.must_survive or least > 2 else "sqlite",
        web_servers=web_servers,
        commands=tuple(f"{command}  # {count} of it" for command, count in roles.items()),
        reasons=reasons,
    )


_WORKER = "celery -A tasks worker -Q crawler"


def _local(slots: int, reasons: tuple[str, ...], warnings: tuple[str, ...]) -> Sizing:
    return Sizing(
        backend="local",
        least_workers=1,
        most_workers=1,
        slots=slots,
        ledger="sqlite",
        web_servers=1,
        commands=(f"SWITCHYARD_PROFILE=local python -m workers local --with-web --slots {slots}",),
        reasons=reasons,
        warnings=warnings,
    )


def _found(needs: Needs) -> Iterator[tuple[tuple[int, int] | None, str]]:
    counts = {"sites": needs.sites, "jobs a day": needs.jobs_per_day, "people": needs.people}
    for what, count in counts.items():
        if count is not None:
            workers = next(rule.workers for rule in _RULES[what] if count <= rule.most)
            yield workers, f"{count} {what}: {_said(workers)}"
    if needs.jobs_per_day:
        slots = math.ceil(needs.jobs_per_day * needs.job_s / _DAY_S / _MOST_BUSY)
        least = math.ceil(slots / SLOTS)
        workers = (least, least) if least > 1 else None
        busy = f"{needs.jobs_per_day} jobs of {needs.job_s:g} s within eight hours, at most {_MOST_BUSY:.0%} busy"
        yield workers, f"{busy}: {slots} at a time, so {_said(workers)}"
    if needs.must_survive:
        yield (2, 2), "Jobs go on when a machine dies: the queue, with two workers on two machines."


def _said(workers: tuple[int, int] | None) -> str:
    if workers is None:
        return "a local runner does."
    least, most = workers
    return f"the queue, with {least} workers." if least == most else f"the queue, with {least} to {most} workers."


def _doubts(needs: Needs) -> Iterator[str]:
    yield "The queue would be better and needs Redis: a local runner with more slots takes its place, on one machine."
    if needs.must_survive:
        yield "When that machine dies its jobs wait until a runner is started again."
