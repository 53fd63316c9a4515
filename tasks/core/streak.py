"""Several brief jobs in one go: a worker's child takes the next message itself, instead of by way of its parent.

The way through Celery's parent costs more than a job that does next to nothing. So a child that has just ended such a
job takes the next message from the same queue, if it is of the same kind and under the same limits, and claims that job
as it would any other. To whatever happens then it is as if the parent had taken it: what a child was at when it died,
the ledger knows by the child.
"""

import time
from contextlib import suppress

from redis.exceptions import RedisError

from tasks.core.records import Delivery
from tasks.core.redis_events import connect
from tasks.core.redis_script import KeptScript

# For so long a streak goes on. Where a machine has so many children that each gets but a little of it, that would be
# one or two jobs, and the way through the parent would cost more than they do: so a few follow in any case, up to a
# limit, because the parent counts a job's time limits from when it sent the first of a streak.
_LONG_ENOUGH_S, _AT_LEAST = 0.1, 8
LONGEST_S = 0.5
# A kind is brief in this child while so many attempts of it in a row took no longer than that.
_BRIEF_S, _IN_A_ROW = 0.02, 3
# Of a shorter limit, what a streak may take away would be much.
_LEAST_LIMIT_S = 10 * LONGEST_S
_LIMIT_S = 0.5

# Only whoever would get the message next may have it; the newest are at the list's other end (Kombu's Redis transport).
_TAKE = """
local raw = redis.call('LINDEX', KEYS[1], -1)
if not raw then return false end
local headers = cjson.decode(raw).headers
local limits = headers.timelimit
if headers.task ~= ARGV[1] or limits[1] ~= tonumber(ARGV[2]) or limits[2] ~= tonumber(ARGV[3]) then return false end
redis.call('RPOP', KEYS[1])
return {headers.id, headers.carry}
"""


class Streaks:
    """Takes messages for this child.

    Args:
        key_prefix: what Kombu puts before the name of each queue.
    """

    def __init__(self, url: str, *, key_prefix: str) -> None:
        self._redis = connect(url, timeout_s=_LIMIT_S, max_connections=1)
        self._take = KeptScript(self._redis, _TAKE)
        self._key_prefix = key_prefix
        self._brief: dict[str, int] = {}

    def note(self, kind: str, took_s: float) -> None:
        """Learn how long the engine of an attempt of ``kind`` took."""
        self._brief[kind] = self._brief.get(kind, 0) + 1 if took_s <= _BRIEF_S else 0

    def take(
        self, kind: str, *, queue: str, limits: tuple[float, float], began: float, followed: int
    ) -> Delivery | None:
        """Take the next message of ``queue``, if it may follow one that was sent with ``limits`` at ``began``.

        Args:
            limits: hard and soft, in seconds.
            began: by ``time.monotonic``.
            followed: how many have followed already.
        """
        longest_s = LONGEST_S if followed < _AT_LEAST else _LONG_ENOUGH_S
        if self._brief.get(kind, 0) < _IN_A_ROW or time.monotonic() - began > longest_s or limits[1] < _LEAST_LIMIT_S:
            return None
        with suppress(RedisError):  # a message that is lost on the way is carried again
            taken = self._take.run_all([([self._key_prefix + queue], [kind, *map(repr, limits)])])[0]
            return Delivery(str(taken[0]), int(taken[1])) if taken else None
        return None

    def close(self) -> None:
        """Close the connection."""
        self._take.close()
        self._redis.close()
