"""Flower's events share messages, and none is lost on the way."""

from types import SimpleNamespace
from typing import Any

from workers.monitoring import BatchEventsStep


class Dispatcher:
    """Counts what Celery's event dispatcher would send."""

    def __init__(self) -> None:
        self.buffer_limit, self.on_send_buffered, self.flushed = 24, None, 0

    def flush(self) -> None:
        self.flushed += 1


class Timer:
    """Calls when told to."""

    def __init__(self) -> None:
        self.due: list[Any] = []

    def call_after(self, _seconds: float, function: Any) -> None:
        self.due.append(function)

    def ring(self) -> None:
        due, self.due = self.due, []
        for function in due:
            function()


def a_consumer() -> SimpleNamespace:
    return SimpleNamespace(event_dispatcher=Dispatcher(), timer=Timer())


def test_events_of_a_moment_are_flushed_once() -> None:
    """And those after it again."""
    consumer = a_consumer()
    BatchEventsStep(consumer).start(consumer)
    for _ in range(2):
        for _ in range(50):
            consumer.event_dispatcher.on_send_buffered()
        consumer.timer.ring()
    assert consumer.event_dispatcher.flushed == 2


def test_what_is_left_is_flushed_at_the_end() -> None:
    """Also where no event dispatcher came to be."""
    consumer = a_consumer()
    step = BatchEventsStep(consumer)
    step.start(consumer)
    step.stop(consumer)
    assert consumer.event_dispatcher.flushed == 1
    consumer.event_dispatcher = None
    step.stop(consumer)


def test_new_connection_flushes_its_own_events() -> None:
    """A flush that was due on the old one holds nothing back."""
    old, new = a_consumer(), a_consumer()
    step = BatchEventsStep(old)
    step.start(old)
    old.event_dispatcher.on_send_buffered()
    step.start(new)
    new.event_dispatcher.on_send_buffered()
    new.timer.ring()
    assert new.event_dispatcher.flushed == 1
