"""Each job's live events: what they are, and what every keeper of their streams can do.

``redis_events`` keeps them in Redis, ``ledger_events`` in the ledger (profile ``local``). An entry's id is
``<epoch>-<seq>``: the epoch is the millisecond at which this stream was born, so a cursor from before a wipe is
recognised as foreign; the id is the one cursor of every reader.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from tasks.core.records import TERMINAL, StateEvent

if TYPE_CHECKING:
    from tasks.core.event_reader import EventReader

EventType = Literal["state", "progress", "log", "artifact", "delta"]

# A stream that nobody ends (its job waits for weeks) must not live for ever.
UNENDED_TTL_S = 7 * 24 * 3600


class EventsUnavailable(Exception):
    """The streams did not answer in time. Progress may be dropped; states are appended again by the dispatcher."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a job's stream, as every reader gets it; ``n`` is a ``state`` event's version, else 0."""

    id: str
    job_id: str
    type: str
    at: str
    attempt: int
    data_json: str
    n: int = 0

    @property
    def seq(self) -> int:
        """The entry's place in its stream, from 1."""
        return int(self.id.rpartition("-")[2])

    @property
    def data(self) -> dict[str, Any]:
        """The payload, decoded."""
        return cast("dict[str, Any]", json.loads(self.data_json))

    @property
    def is_terminal(self) -> bool:
        """Whether this is the job's last ``state`` event."""
        return self.type == "state" and self.data["state"] in TERMINAL

    def to_json(self) -> str:
        """Return the event in its wire form."""
        return (
            f'{{"id":"{self.id}","seq":{self.seq},"at":"{self.at}","type":"{self.type}",'
            f'"job_id":"{self.job_id}","attempt":{self.attempt},"data":{self.data_json}}}'
        )


class Events(Protocol):
    """Appends to and reads from the streams, within a short time or not at all."""

    def append(
        self,
        job_id: str,
        type_: EventType,
        data: dict[str, Any],
        *,
        fence: int,
        attempt: int,
        at: datetime | None = None,
    ) -> str | None:
        """Append one event; return its id, or None when the fence is stale.

        Raises:
            EventsUnavailable: the event is dropped.
        """

    def append_all(
        self, job_id: str, batch: Sequence[tuple[EventType, dict[str, Any]]], *, fence: int, attempt: int
    ) -> None:
        """Append several events, in order; stale ones are left out.

        Raises:
            EventsUnavailable: those that were not appended yet are dropped.
        """

    def append_states(self, events: Sequence[StateEvent]) -> int:
        """Append one job's consecutive state events that the stream lacks; return the newest ``n`` it has then.

        A return lower than the last event's ``n - 1`` means that earlier ones are missing: append those first.

        Raises:
            EventsUnavailable: the dispatcher will append them.
        """

    def append_states_of_jobs(self, jobs: Sequence[Sequence[StateEvent]]) -> list[int]:
        """Do for each of several jobs what ``append_states`` does for one.

        Raises:
            EventsUnavailable: the dispatcher will append what was not appended.
        """

    def newest_states(self, job_ids: Iterable[str]) -> dict[str, int]:
        """Return the newest ``n`` that each job's stream has; 0 for none.

        Raises:
            EventsUnavailable: the streams cannot be read now.
        """

    def read(self, job_id: str, *, after: str = "-", count: int = 5000) -> list[Event]:
        """List the stream's entries after the cursor ``after`` (``-``: from the oldest kept).

        Raises:
            EventsUnavailable: the streams cannot be read now.
        """

    def position(self, job_id: str) -> tuple[str | None, str | None]:
        """Return the ids of the oldest kept and the newest entry; ``(None, None)`` for no stream.

        Raises:
            EventsUnavailable: the streams cannot be read now.
        """

    def progress(self, job_ids: Iterable[str]) -> dict[str, tuple[int, dict[str, Any]]]:
        """Return the newest ``(fence, report)`` of each job that has one; nothing when that cannot be read."""

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            EventsUnavailable: there is none.
        """

    def erase(self, job_id: str) -> None:
        """Delete the job's stream.

        Raises:
            EventsUnavailable: the stream expires by itself.
        """

    def ring(self) -> None:
        """Wake whoever carries jobs, if it listens; losing a ring costs one tick of its timer."""

    def reader(self) -> "EventReader":
        """Return a reader of many streams, for one thread; its owner closes it."""

    def close(self) -> None:
        """Close the connections."""
