"""Every limit the client keeps, with its default, in one place."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the client waits and how often it tries again. Seconds, unless a name says otherwise.

    A call's limit covers all its tries; ``reconnects`` counts tries in a row that failed, and any success resets it.
    """

    connect_s: float = 10.0
    """Opening one connection."""
    submit_s: float = 30.0
    """A submit in all, its tries included; time asked for with ``wait_s`` comes on top."""
    status_s: float = 10.0
    """Any other short call in all: a record, a list, a cancel."""
    reconnects: int = 5
    """Tries again after a failed connection or a 503, for every call that is safe to repeat."""
    backoff_s: float = 5.0
    """The longest pause between two tries; the first is a quarter of a second and each next one twice as long."""
    long_poll_s: float = 30.0
    """How long one long-poll asks the server to hold its answer; the server's own cap is 60."""
    first_event_s: float = 5.0
    """How long a fresh stream may stay silent before the next transport is tried."""
    silence_s: float = 25.0
    """How long a stream may stay silent before it counts as dropped: one heartbeat of 15 s and a margin."""
    mode_s: float = 300.0
    """How long a client goes on with what carried its events last before it tries the better ways again."""
    poll_gap_s: float = 0.5
    """The shortest time between two polls of one record."""
    transfer_s: float = 30.0
    """How long a download may stall between two pieces, and an upload within one."""

    local_start_s: float = 60.0
    """Finding or starting a server of one's own (``backend="auto"`` or ``"local"``)."""
    local_idle_s: float = 300.0
    """How long such a server stays after its last client has gone and its last job has ended."""

    def pause_s(self, failures: int, *, asked_s: float | None = None) -> float:
        """Return the pause after that many failures in a row, at least what the server asked for, at most the cap."""
        ceiling = min(self.backoff_s, 0.25 * 2.0 ** min(failures - 1, 10))
        jittered = ceiling * random.uniform(0.75, 1.0)  # noqa: S311  # spreads clients out; protects nothing
        return min(self.backoff_s, max(jittered, asked_s or 0.0))
