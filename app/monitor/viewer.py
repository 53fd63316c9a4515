"""One client's view of the monitor: what it wants to see, from a snapshot on, or from where it was before."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from app.monitor.feed import TOPICS, Found, Standing, Told, Topic, message, without_internals
from app.monitor.job_watch import brief
from app.streams.cursor import OLDEST, Cursor
from app.streams.feed import Bell
from tasks.core.clock import now
from tasks.core.kernel import Kernel
from tasks.core.ledger import monitoring
from tasks.core.ledger.monitoring import Chosen, Facts
from tasks.core.records import JobState

if TYPE_CHECKING:
    from app.monitor.hub import MonitorHub

Reason = Literal["start", "gap", "new_stream", "asked"]

# Jobs of a snapshot, by what they are doing; its counts are of all.
_MOST = {JobState.RUNNING: 500, JobState.QUEUED: 200}
_MOST_ENDED = 100
ENDED_WITHIN = timedelta(hours=1)
"""Which ended jobs count."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one client is told.

    Args:
        is_operator: it may know of workers, and of every tenant; else ``chosen`` must name its tenant.
        queues, workers: names; none for all. ``chosen`` has them, too, as far as they concern jobs.
    """

    is_operator: bool
    topics: Collection[Topic] = TOPICS
    chosen: Chosen = field(default_factory=Chosen)

    @property
    def seen(self) -> tuple[Topic, ...]:
        """The topics that the client is told of."""
        hidden = () if self.is_operator else ("worker",)
        return tuple(topic for topic in TOPICS if topic in self.topics and topic not in hidden)

    def matches(self, found: Found) -> bool:
        """Tell whether the client wants this, and may have it."""
        if found.topic not in self.seen:
            return False
        if found.topic == "job":
            return found.job is not None and self.chosen.matches(found.job)
        if found.topic == "queue":
            return self.wants_queue(found.data)
        return found.topic != "worker" or self.wants_worker(found.data)

    def wants_queue(self, queue: dict[str, Any]) -> bool:
        """Tell whether a queue is one of those asked for."""
        return not self.chosen.queues or queue["queue"] in self.chosen.queues

    def wants_worker(self, worker: dict[str, Any]) -> bool:
        """Tell whether a worker is one of those asked for, and serves one of the queues asked for."""
        is_named = not self.chosen.workers or worker["name"] in self.chosen.workers
        return is_named and (not self.chosen.queues or bool({*self.chosen.queues} & {*worker["queues"]}))


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out: an event as JSON, and the feed's event, which snapshots and resumptions are not."""

    type: str
    cursor: Cursor
    text: str
    data: dict[str, Any]
    told: Told | None = None

    @property
    def sse(self) -> bytes:
        """Return it as an event of a stream."""
        return f"id: {self.cursor}\nevent: {self.type}\ndata: {self.text}\n\n".encode()


class MonitorViewer:
    """Every wanted message after a snapshot or the client's place, once and in order. For one thread."""

    def __init__(
        self, hub: "MonitorHub", kernel: Kernel, wanted: Wanted, *, bell: Bell, after: Cursor | None = None
    ) -> None:
        self._hub = hub
        self._feed = hub.feed
        self._kernel = kernel
        self._after = after
        self._has_begun = False
        # Versions of the snapshot's jobs: what it shows need not be told again.
        self._shown: dict[str, int] = {}
        self.wanted = wanted
        self.bell = bell
        self.cursor = Cursor(0, 0)
        """The client has, or does not want, everything up to here."""

    @property
    def is_over(self) -> bool:
        """Whether this process drains, so that the client should go on elsewhere."""
        return self._hub.is_draining

    def wait(self, timeout_s: float) -> None:
        """Wait until there may be something to take, at most that long."""
        if not self.bell.wait(timeout_s):
            self._hub.keep_running()

    def close(self) -> None:
        """Stop watching; again is harmless."""
        self._hub.leave(self.bell)

    def take(self) -> list[Message]:
        """Return what is new and wanted, without waiting; first, and after a loss, a snapshot.

        Raises:
            LedgerUnavailable: a snapshot cannot be made.
        """
        if not self._has_begun:
            return self._begin()
        told = self._feed.after(self.cursor)
        if told is None:
            return [self.snapshot(self._reason_of(self.cursor))]
        return self._chosen(told)

    def pass_over(self) -> bool:
        """Tell whether there is anything new and wanted, and take it as seen."""
        told = self._feed.after(self.cursor)
        self.skip()
        return told is None or any(self.wanted.matches(one.found) for one in told)

    def skip(self) -> None:
        """Begin now, without a snapshot: the client asks for one when it wants one."""
        self._has_begun, self.cursor = True, self._feed.cursor

    def snapshot(self, reason: Reason) -> Message:
        """Return how everything stands, and go on from there.

        Raises:
            LedgerUnavailable: nobody can tell.
        """
        # Whatever changes after this place and before the ledger is read is in both: see ``_is_shown``.
        standing = self._feed.standing()
        seen = self.wanted.seen
        data: dict[str, Any] = {"reason": reason, "topics": seen, "is_operator": self.wanted.is_operator}
        if "system" in seen:
            system = standing.system
            data["system"] = system if self.wanted.is_operator else without_internals(system)
        if "queue" in seen:
            data["queues"] = [queue for queue in standing.queues if self.wanted.wants_queue(queue)]
        if "worker" in seen:
            data["workers"] = [worker for worker in standing.workers if self.wanted.wants_worker(worker)]
        if "job" in seen:
            data |= self._jobs()
        self._has_begun, self.cursor = True, standing.cursor
        return Message("snapshot", self.cursor, message("snapshot", data, cursor=self.cursor, at=now()), data)

    def figures(self) -> tuple[dict[str, int], Standing]:
        """Return the chosen jobs by state, as a snapshot has them, and how the fleet stands.

        Raises:
            LedgerUnavailable: nobody can count.
        """
        return self._hub.counts(self.wanted.chosen), self._feed.standing()

    def turn_to(self, wanted: Wanted) -> None:
        """Want something else from here on."""
        self.wanted = wanted
        self._shown.clear()

    def _begin(self) -> list[Message]:
        after = self._after
        told = None if after is None else self._feed.after(after)
        if after is None or told is None:
            return [self.snapshot("start" if after is None else self._reason_of(after))]
        self._has_begun = True
        chosen = self._chosen(told)
        data: dict[str, Any] = {"after": str(after), "events": len(chosen)}
        resumed = Message("resumed", after, message("resumed", data, cursor=after, at=now()), data)
        self.cursor = told[-1].cursor if told else after
        return [resumed, *chosen]

    def _reason_of(self, cursor: Cursor) -> Reason:
        if cursor == OLDEST:
            return "start"
        return "gap" if cursor.epoch == self._feed.cursor.epoch else "new_stream"

    def _chosen(self, told: list[Told]) -> list[Message]:
        if told:
            self.cursor = told[-1].cursor
        return [self._message(one) for one in told if self.wanted.matches(one.found) and not self._is_shown(one.found)]

    def _is_shown(self, found: Found) -> bool:
        if found.type != "job.state":
            return False
        is_shown: bool = found.data["version"] <= self._shown.get(found.data["id"], -1)
        if not is_shown:
            self._shown.pop(found.data["id"], None)
        return is_shown

    def _message(self, told: Told) -> Message:
        found = told.found
        if found.topic != "system" or self.wanted.is_operator:
            return Message(found.type, told.cursor, told.text, found.data, told)
        data = without_internals(found.data)
        text = message(found.type, data, cursor=told.cursor, at=found.at, topic=found.topic)
        return Message(found.type, told.cursor, text, data, told)

    def _jobs(self) -> dict[str, Any]:
        """Read the chosen jobs that run, wait or have ended lately, the newest of each."""
        ledger, chosen = self._kernel.ledger, self.wanted.chosen
        since = now() - ENDED_WITHIN
        found = {state: monitoring.newest(ledger, state, chosen, limit=most) for state, most in _MOST.items()}
        ended = monitoring.newest_ended(ledger, chosen, since=since, limit=_MOST_ENDED)
        is_cut = len(ended) == _MOST_ENDED or any(len(found[state]) == most for state, most in _MOST.items())
        reports = self._kernel.events.progress([job.id for job in found[JobState.RUNNING]])
        # Read one after the other, so a job that went on meanwhile may be in two of them.
        jobs = {job.id: job for job in [*found[JobState.QUEUED], *found[JobState.RUNNING], *ended]}
        self._shown = {job.id: job.version for job in jobs.values()}
        return {
            "jobs": [brief(job) | {"progress": _report(job, reports.get(job.id))} for job in jobs.values()],
            "jobs_cut": is_cut,
            "counts": self._hub.counts(chosen),
        }


def _report(job: Facts, live: tuple[int, dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if live is None or live[0] != job.fence else live[1]
