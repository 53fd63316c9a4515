"""Which jobs answer which requests, copied to Redis: a hash and an order of use for each shelf, bounded and short."""

from collections.abc import Callable
from typing import Any

import redis

from tasks.core.breaker import Breaker
from tasks.core.result_cache import Pointer

_LIMIT_S = 0.5
_PREFIX = "sy:answers:"

# KEYS: entries, order of use.  ARGV: key.
# Returns job, fence, age and time left in ms; nothing where there is no entry, or it is over.
_GET = """
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return nil end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entry = cjson.decode(raw)
local left = entry.at + entry.ttl - now
if left <= 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return nil
end
redis.call('ZADD', KEYS[2], time[1] * 1000000 + time[2], ARGV[1])
return {entry.job, entry.fence, now - entry.at, left}
"""

# KEYS: as above.  ARGV: key, job, fence, age and time left in ms, most entries.
_PUT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age, left = tonumber(ARGV[4]), tonumber(ARGV[5])
local entry = {job = ARGV[2], fence = tonumber(ARGV[3]), ttl = age + left, at = now - age}
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(entry))
redis.call('ZADD', KEYS[2], time[1] * 1000000 + time[2], ARGV[1])
local surplus = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[6])
if surplus > 0 then
  local gone = redis.call('ZPOPMIN', KEYS[2], surplus)
  for i = 1, #gone, 2 do redis.call('HDEL', KEYS[1], gone[i]) end
end
for i = 1, 2 do
  if redis.call('PTTL', KEYS[i]) < left then redis.call('PEXPIRE', KEYS[i], left) end
end
"""


class RedisPointers:
    """Implements ``tasks.core.result_cache.Pointers``. While Redis is away, a breaker spares the wait for it.

    Args:
        limit_s: on connecting and on one answer.
    """

    def __init__(self, redis_url: str, *, limit_s: float = _LIMIT_S) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=limit_s, socket_connect_timeout=limit_s, decode_responses=True
        )
        self._get = self._redis.register_script(_GET)
        self._put = self._redis.register_script(_PUT)
        self._breaker = Breaker()

    def get(self, shelf: str, key: str) -> Pointer | None:
        """See ``Pointers``."""
        found: Any = self._ask(lambda: self._get(keys=_keys(shelf), args=[key]))
        if not found:
            return None
        job_id, fence, age_ms, left_ms = found
        return Pointer(str(job_id), int(fence), int(age_ms) / 1000, int(left_ms) / 1000)

    def put(self, shelf: str, key: str, pointer: Pointer, *, max_entries: int) -> None:
        """See ``Pointers``."""
        times = [round(pointer.age_s * 1000), max(1, round(pointer.left_s * 1000))]
        arguments: list[str | int] = [key, pointer.job_id, pointer.fence, *times, max_entries]
        self._ask(lambda: self._put(keys=_keys(shelf), args=arguments))

    def drop(self, shelf: str, *keys: str) -> None:
        """See ``Pointers``."""
        entries, order = _keys(shelf)
        if keys:
            self._ask(lambda: (self._redis.hdel(entries, *keys), self._redis.zrem(order, *keys)))

    def close(self) -> None:
        """Close its connections."""
        self._redis.close()

    def _ask(self, call: Callable[[], Any]) -> Any:
        if self._breaker.is_open:
            return None
        try:
            answer = call()
        except redis.RedisError:
            self._breaker.failed()
            return None
        self._breaker.succeeded()
        return answer


def _keys(shelf: str) -> list[str]:
    return [f"{_PREFIX}{shelf}", f"{_PREFIX}{shelf}:order"]
