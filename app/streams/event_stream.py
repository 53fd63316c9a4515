"""What every ``text/event-stream`` of ours has, whatever it tells."""

import random

HEARTBEAT = b": heartbeat\n\n"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# How long an EventSource waits before it reconnects; spread, so that a restart does not bring all back at once.
_RETRY_MS = (1000, 3000)


def retry_line() -> bytes:
    """Return the line that tells an EventSource when to come back."""
    return b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311  # spreads reconnects, hides nothing
