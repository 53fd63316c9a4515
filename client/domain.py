"""Domain events: read in pages that the server holds back until there is one, so each is seen once and in order."""

import math
import time
from collections.abc import Callable, Iterable

from client.calls import checked, parsed
from client.errors import ConnectionFailed, EventNotSeen, Unavailable
from client.limits import Limits
from client.models import DomainEvent, DomainEventPage
from client.steps import Exchange, Flow, Notice, Pause, Request, answered

_PATH = "/api/events"
# The most that the server puts on a page.
_PAGE = 1000
LATEST = "latest"
"""As ``after``: from now on."""


class DomainReading:
    """One reader's place among its tenant's events.

    Args:
        types: ``site.crawled``, or ``site.*``; none for all.
        job_id: only what this job has brought about.
        after: the id of the last event seen, or ``latest``; None for the oldest that is kept.
    """

    def __init__(
        self, types: str | Iterable[str] = (), job_id: str | None = None, *, after: str | None, limits: Limits
    ) -> None:
        self.cursor = after
        self.is_full = False
        """Whether the last page was, so that there may be more at once."""
        self.has_read = False
        """Whether the server has answered yet."""
        self._limits = limits
        self._params = [("type", one) for one in ([types] if isinstance(types, str) else types)]
        self._params += [("job_id", job_id)] if job_id is not None else []

    def next_events(self, *, wait_s: float = 0.0, deadline: float = math.inf) -> Flow[list[DomainEvent]]:
        """Return what comes next, waiting for it up to ``wait_s``; a ``gap`` first where events are lost.

        Raises:
            ConnectionFailed, Unavailable: too many times in a row, or until the deadline.
        """
        failures = 0
        while True:
            began = time.monotonic()
            try:
                page = yield from self._page(max(0.0, min(wait_s, deadline - began)))
            except (ConnectionFailed, Unavailable) as exc:
                failures += 1
                pause_s = self._limits.pause_s(failures, asked_s=exc.retry_after_s)
                if failures > self._limits.reconnects or time.monotonic() + pause_s >= deadline:
                    raise
                yield Notice("retrying", exc.detail, attempt=failures)
                yield Pause(pause_s)
                continue
            events = self._taken(page)
            # A draining server answers early; asking again at once would be a busy loop.
            if wait_s and not events and time.monotonic() - began < self._limits.poll_gap_s:
                yield Pause(max(0.0, min(self._limits.poll_gap_s, deadline - time.monotonic())))
            return events

    def _page(self, wait_s: float) -> Flow[DomainEventPage]:
        params = [("format", "json"), ("limit", str(_PAGE)), ("wait", f"{wait_s:.3f}"), *self._params]
        params += [("after", self.cursor)] if self.cursor is not None else []
        request = Request("GET", _PATH, params=tuple(params))
        answer = yield from answered(Exchange(request, self._limits.connect_s, wait_s + self._limits.status_s))
        return parsed(DomainEventPage, checked(answer).json())

    def _taken(self, page: DomainEventPage) -> list[DomainEvent]:
        lost = [DomainEvent(type="gap", data={"after": self.cursor})] if page.missed else []
        self.cursor, self.has_read = page.next_cursor, True
        self.is_full = len(page.events) == _PAGE
        return [*lost, *page.events]


def awaited_event(
    reading: DomainReading, matches: Callable[[DomainEvent], object], *, timeout_s: float | None, limits: Limits
) -> Flow[DomainEvent]:
    """Return the first event that ``matches``.

    Raises:
        EventNotSeen: the time is over.
    """
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            events = yield from reading.next_events(wait_s=limits.long_poll_s, deadline=deadline)
        except (ConnectionFailed, Unavailable) as exc:
            # A server that never answered is the news, not the event; so is one that is away with time left.
            if not reading.has_read or time.monotonic() + limits.backoff_s < deadline:
                raise
            raise EventNotSeen(timeout_s or 0.0, cursor=reading.cursor) from exc
        for event in events:
            if event.type != "gap" and matches(event):
                return event
        if time.monotonic() >= deadline:
            raise EventNotSeen(timeout_s or 0.0, cursor=reading.cursor)


def beginning(after: str | None, job_id: str | None) -> str | None:
    """Return where to begin when nothing is said: with all of a job's events, else now."""
    return after if after is not None or job_id is not None else LATEST
