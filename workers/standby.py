"""Whether the broker answers, for a local runner that stands by for the time when it does not."""

import time
from dataclasses import dataclass, field
from threading import Event, Thread

import structlog
from redis.exceptions import RedisError

from tasks.core.redis_events import connect

log = structlog.get_logger()

_ASK_EVERY_S = 0.5
_LIMIT_S = 1.0
# A restart of Redis, or one lost packet, is no reason to take its work over.
_DOWN_AFTER_S = 3.0


@dataclass(slots=True)
class BrokerWatch:
    """Asks Redis twice a second on a thread of its own; ``is_down`` once it has not answered for three seconds."""

    url: str
    _down: Event = field(default_factory=Event)
    _stopping: Event = field(default_factory=Event)
    _thread: Thread | None = None

    @property
    def is_down(self) -> bool:
        """Whether nobody gets a job through Redis just now, as far as this process can see."""
        return self._down.is_set()

    def start(self) -> None:
        """Begin to ask."""
        self._thread = Thread(target=self._run, name="broker-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _LIMIT_S)

    def _run(self) -> None:
        redis = connect(self.url, timeout_s=_LIMIT_S)
        answered_at = time.monotonic()
        while not self._stopping.is_set():
            try:
                redis.ping()
                answered_at = time.monotonic()
            except (RedisError, OSError) as exc:
                reason = str(exc)
                if not self.is_down and time.monotonic() - answered_at >= _DOWN_AFTER_S:
                    self._down.set()
                    log.warning("standby_took_over", reason=reason)
            else:
                if self.is_down:
                    self._down.clear()
                    log.info("standby_stepped_back")
            self._stopping.wait(_ASK_EVERY_S)
        redis.close()
