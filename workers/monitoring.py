"""Celery's task events, which Flower watches, sent in batches."""

from typing import Any

from celery import bootsteps

# Celery sends what it has at each turn of its loop, which is a message to Redis for nearly every event. People watch.
_FLUSH_AFTER_S = 0.1
_FLUSH_AT = 300


class BatchEventsStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Lets the events of a tenth of a second share one message."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._flushing = False

    def start(self, parent: Any) -> None:
        """Take over when the event dispatcher of a new connection sends."""
        dispatcher, timer = parent.event_dispatcher, parent.timer
        self._flushing = False

        def flush() -> None:
            self._flushing = False
            dispatcher.flush()

        def flush_soon() -> None:
            if not self._flushing:
                self._flushing = True
                timer.call_after(_FLUSH_AFTER_S, flush)

        dispatcher.buffer_limit = _FLUSH_AT
        dispatcher.on_send_buffered = flush_soon

    def stop(self, parent: Any) -> None:
        """Send what is left."""
        if parent.event_dispatcher:
            parent.event_dispatcher.flush()
