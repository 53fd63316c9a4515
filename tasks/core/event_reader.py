"""Follows many jobs' streams for one thread: the web process's reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.core.events import Event

OLDEST = "-"
"""As ``after``: from the oldest entry that is kept."""


@dataclass(frozen=True, slots=True)
class Question:
    """Where does the job's stream stand, and which entries has it after ``after`` (None: not asked)?"""

    job_id: str
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A stream's ends, the version of its newest ``state`` event (0: none), and the entries that were asked for."""

    oldest_id: str | None
    newest: Event | None
    n: int
    since: list[Event]


class EventReader(Protocol):
    """Not for use by two threads, ``wake`` excepted."""

    def positions(self, questions: Sequence[Question]) -> list[Position]:
        """Answer each question, all as of one moment.

        Raises:
            EventsUnavailable: the streams cannot be read now.
        """

    def follow(self, cursors: Mapping[str, str]) -> dict[str, list[Event]]:
        """Wait for entries after each job's cursor; empty after a short silence or a wake-up.

        Raises:
            EventsUnavailable: the streams cannot be read now.
        """

    def wake(self) -> None:
        """End the ``follow`` that another thread is in, soon."""

    def close(self) -> None:
        """Close the connection."""
