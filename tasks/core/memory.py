"""The kernel's own word on whether it killed something for want of memory."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

_CGROUPS = Path("/sys/fs/cgroup")


class MemoryKills:
    """Counts the kernel's kills, in this process's control group where that is known, else on the whole machine.

    ``look`` must be called now and then, because a counter does not say when it grew.

    Args:
        sources: files with an ``oom_kill N`` line; the first that can be read is used.
    """

    def __init__(self, sources: tuple[Path, ...] | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._clock = clock
        self._lock = Lock()
        self._count: int | None = None
        self._grew_at: float | None = None

    def look(self) -> None:
        """Note whether the counter has grown since the last look."""
        with self._lock:
            if self._sources is None:
                self._sources = (_own_events(), Path("/proc/vmstat"))
            count = next((found for path in self._sources if (found := _kills_in(path)) is not None), None)
            if count is not None and self._count is not None and count > self._count:
                self._grew_at = self._clock()
            self._count = count

    def happened_within(self, seconds: float) -> bool:
        """Tell whether the kernel killed something within the last ``seconds``, as far as ``look`` was called."""
        self.look()
        return self._grew_at is not None and self._clock() - self._grew_at <= seconds


def _own_events() -> Path:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    return _CGROUPS / own.lstrip("/") / "memory.events"


def _kills_in(path: Path) -> int | None:
    try:
        pairs = (line.split() for line in path.read_text(encoding="ascii").splitlines())
        return next((int(pair[1]) for pair in pairs if pair[0] == "oom_kill"), None)
    except (OSError, ValueError, IndexError):
        return None
