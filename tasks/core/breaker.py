"""A circuit breaker, so that a dead Redis costs one short timeout now and then instead of one per call."""

import time
from threading import Lock


class Breaker:
    """Closed lets calls through; a failure opens it for ``pause_s``, then one call may try again."""

    def __init__(self, pause_s: float = 2.0) -> None:
        self._pause_s = pause_s
        self._open_until = 0.0
        self._lock = Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls should be skipped for now; when the pause is over, the first asker gets through."""
        if self._open_until == 0.0:
            return False
        with self._lock:
            now = time.monotonic()
            if now < self._open_until:
                return True
            self._open_until = now + self._pause_s if self._open_until else 0.0
            return False

    def failed(self) -> None:
        """Open it."""
        with self._lock:
            self._open_until = time.monotonic() + self._pause_s

    def succeeded(self) -> None:
        """Close it."""
        if self._open_until:
            with self._lock:
                self._open_until = 0.0
