"""Each job's live event stream in Redis: appended here, followed by ``redis_event_reader`` in the web process.

One capped stream and one small hash a job. An entry's id is ``<epoch>-<seq>``: the epoch is the millisecond at which
this stream was born, so a cursor from before a wipe is recognised as foreign; the id is the one cursor of every reader.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import redis

from tasks.core.breaker import Breaker
from tasks.core.clock import now, rfc3339
from tasks.core.events import UNENDED_TTL_S, Event, EventsUnavailable, EventType
from tasks.core.ids import new_id
from tasks.core.records import TERMINAL, StateEvent
from tasks.core.redis_script import KeptScript
from tasks.core.storable import storable

if TYPE_CHECKING:
    from tasks.core.redis_event_reader import RedisEventReader

# An event write or read may cost a job or a request no more than this.
_LIMIT_S = 0.5

# KEYS: stream, hash.  ARGV: now in ms, maxlen, then for each event: fence, n (0 unless a state event), ttl in s, type,
# at, attempt, data. A state event that is a repeat, or before which one is missing, is left out.
# Returns the last event's id, or "stale", and the newest n that the stream has.
_APPEND = """
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'fence', 'n')
local epoch, seq = meta[1] or ARGV[1], tonumber(meta[2]) or 0
local newest, have = tonumber(meta[3]) or 0, tonumber(meta[4]) or 0
local id, ttl, set = 'stale', nil, {}
for i = 3, #ARGV, 7 do
  local fence, n = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  id = 'stale'
  if (n == 0 and fence >= newest) or n == have + 1 then
    seq, newest = seq + 1, math.max(fence, newest)
    id = epoch .. '-' .. seq
    local entry = {'t', ARGV[i + 3], 'at', ARGV[i + 4], 'a', ARGV[i + 5], 'd', ARGV[i + 6]}
    if n > 0 then entry[9], entry[10], have = 'n', n, n end
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], id, unpack(entry))
    if n > 0 or seq == 1 then ttl = ARGV[i + 2] end
    if ARGV[i + 3] == 'progress' then set = {'progress', ARGV[i + 6], 'progress_fence', fence} end
  end
end
if seq > (tonumber(meta[2]) or 0) then
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'seq', seq, 'fence', newest, 'n', have, unpack(set))
end
if ttl then
  redis.call('EXPIRE', KEYS[1], ttl)
  redis.call('EXPIRE', KEYS[2], ttl)
end
return {id, have}
"""

# ``json.dumps`` would make an encoder for each call that asks for anything but its defaults.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

# An event as the script takes it.
_Entry = list[str | int]

# Entries appended in one call, which Redis makes everybody else wait for.
_MOST_AT_ONCE = 500

# A web process may run a thousand threads; this many connections serve them all, since no call takes long.
_MAX_CONNECTIONS = 8

# A wake-up that nobody took within this time is of no use to anyone.
_WAKE_TTL_S = 60


# A list of at most one element: pushing wakes the dispatcher's blocking pop.
BELL_KEY = "sy:bell"


def stream_key(job_id: str) -> str:
    """Return the Redis key of the job's stream."""
    return f"sy:{{{job_id}}}:events"


def meta_key(job_id: str) -> str:
    """Return the Redis key of the hash beside the stream."""
    return f"sy:{{{job_id}}}:meta"


def event_from_entry(job_id: str, entry: tuple[str, dict[str, str]]) -> Event:
    """Make an ``Event`` of what XRANGE or XREAD returned."""
    entry_id, fields = entry
    return Event(entry_id, job_id, fields["t"], fields["at"], int(fields["a"]), fields["d"], int(fields.get("n", 0)))


def connect(url: str, *, timeout_s: float = _LIMIT_S, max_connections: int = _MAX_CONNECTIONS) -> "redis.Redis":
    """Open a Redis client with short limits and without retries: callers have a breaker instead."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, _LIMIT_S),
        socket_keepalive=True,
        health_check_interval=10,
        decode_responses=True,
        retry=None,
    )
    return redis.Redis.from_pool(pool)


class RedisEvents:
    """Appends to and reads from the streams, each call within half a second or not at all."""

    def __init__(self, url: str, *, maxlen: int, ttl_s: int) -> None:
        self._url = url
        self._redis = connect(url)
        self._append = KeptScript(self._redis, _APPEND)
        self._maxlen = maxlen
        self._ttl_s = ttl_s
        self.breaker = Breaker()

    def append(
        self,
        job_id: str,
        type_: EventType,
        data: dict[str, Any],
        *,
        fence: int,
        attempt: int,
        at: datetime | None = None,
    ) -> str | None:
        """Append one event; return its id, or None when the fence is stale.

        Raises:
            EventsUnavailable: Redis is away; the event is dropped.
        """
        id_, _ = self._run(job_id, [self._entry(type_, data, fence=fence, attempt=attempt, at=at or now(), n=0)])
        return None if id_ == "stale" else id_

    def append_all(
        self, job_id: str, batch: Sequence[tuple[EventType, dict[str, Any]]], *, fence: int, attempt: int
    ) -> None:
        """Append several events, in order; stale ones are left out.

        Raises:
            EventsUnavailable: Redis is away; those that were not appended yet are dropped.
        """
        at = now()
        entries = [self._entry(type_, data, fence=fence, attempt=attempt, at=at, n=0) for type_, data in batch]
        for first in range(0, len(entries), _MOST_AT_ONCE):
            self._run(job_id, entries[first : first + _MOST_AT_ONCE])

    def append_states(self, events: Sequence[StateEvent]) -> int:
        """Append one job's consecutive state events that the stream lacks; return the newest ``n`` it has then.

        A return lower than the last event's ``n - 1`` means that earlier ones are missing: append those first.

        Raises:
            EventsUnavailable: Redis is away; the dispatcher will append them.
        """
        return self.append_states_of_jobs([events])[0]

    def append_states_of_jobs(self, jobs: Sequence[Sequence[StateEvent]]) -> list[int]:
        """Do for each of several jobs what ``append_states`` does for one, in one exchange with Redis.

        Raises:
            EventsUnavailable: Redis is away; some may have been appended.
        """
        batches = [
            [
                self._entry("state", event.data, fence=event.fence, attempt=event.attempt, at=event.at, n=event.n)
                for event in events
            ]
            for events in jobs
        ]
        answers = self._run_all([(events[0].job_id, batch) for events, batch in zip(jobs, batches, strict=True)])
        return [have for _, have in answers]

    def newest_states(self, job_ids: Iterable[str]) -> dict[str, int]:
        """Return the newest ``n`` that each job's stream has; 0 for none.

        Raises:
            EventsUnavailable: Redis is away.
        """
        if self.breaker.is_open:
            raise EventsUnavailable
        ids = list(job_ids)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hget(meta_key(job_id), "n")
                found = pipe.execute()
        except redis.RedisError as exc:
            self.breaker.failed()
            raise EventsUnavailable from exc
        self.breaker.succeeded()
        return {job_id: int(n or 0) for job_id, n in zip(ids, found, strict=True)}

    def _entry(self, type_: str, data: dict[str, Any], *, fence: int, attempt: int, at: datetime, n: int) -> _Entry:
        ttl_s = self._ttl_s if type_ == "state" and data["state"] in TERMINAL else UNENDED_TTL_S
        return [fence, n, ttl_s, type_, rfc3339(at), attempt, storable(_encode(data))]

    def _run(self, job_id: str, entries: Sequence[_Entry]) -> tuple[str, int]:
        return self._run_all([(job_id, entries)])[0]

    def _run_all(self, batches: Sequence[tuple[str, Sequence[_Entry]]]) -> list[tuple[str, int]]:
        if self.breaker.is_open:
            raise EventsUnavailable
        at_ms = int(now().timestamp() * 1000)
        calls = [
            ((stream_key(job_id), meta_key(job_id)), [at_ms, self._maxlen, *chain.from_iterable(entries)])
            for job_id, entries in batches
        ]
        try:
            answers = self._append.run_all(calls)
        except redis.RedisError as exc:
            self.breaker.failed()
            raise EventsUnavailable from exc
        self.breaker.succeeded()
        return [(str(id_), int(have)) for id_, have in answers]

    def read(self, job_id: str, *, after: str = "-", count: int = 5000) -> list[Event]:
        """List the stream's entries after the cursor ``after`` (``-``: from the oldest kept).

        Raises:
            EventsUnavailable: Redis is away.
        """
        start = "-" if after == "-" else f"({after}"
        entries = self._call("xrange", stream_key(job_id), min=start, max="+", count=count)
        return [event_from_entry(job_id, entry) for entry in entries]

    def position(self, job_id: str) -> tuple[str | None, str | None]:
        """Return the ids of the oldest kept and the newest entry; ``(None, None)`` for no stream.

        Raises:
            EventsUnavailable: Redis is away.
        """
        first = self._call("xrange", stream_key(job_id), min="-", max="+", count=1)
        last = self._call("xrevrange", stream_key(job_id), max="+", min="-", count=1)
        return (first[0][0] if first else None), (last[0][0] if last else None)

    def progress(self, job_ids: Iterable[str]) -> dict[str, tuple[int, dict[str, Any]]]:
        """Return the newest ``(fence, report)`` of each job that has one; nothing when Redis is away."""
        ids = list(job_ids)
        if not ids or self.breaker.is_open:
            return {}
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hmget(meta_key(job_id), "progress", "progress_fence")
                rows = pipe.execute()
        except redis.RedisError:
            self.breaker.failed()
            return {}
        self.breaker.succeeded()
        return {job_id: (int(row[1]), json.loads(row[0])) for job_id, row in zip(ids, rows, strict=True) if row[0]}

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            EventsUnavailable: Redis is away.
        """
        self._call("ping")

    def erase(self, job_id: str) -> None:
        """Delete the job's stream.

        Raises:
            EventsUnavailable: Redis is away; the stream expires by itself.
        """
        self._call("delete", stream_key(job_id), meta_key(job_id))

    def ring(self) -> None:
        """Wake the dispatcher, if it listens; losing a ring costs one tick of its timer."""
        if self.breaker.is_open:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.rpush(BELL_KEY, 1)
                pipe.ltrim(BELL_KEY, 0, 0)
                pipe.execute()
        except redis.RedisError:
            self.breaker.failed()
            return
        self.breaker.succeeded()

    def wake(self, key: str) -> None:
        """Wake the ``EventReader`` that listens at ``key``, if Redis is there; otherwise it looks by itself soon."""
        if self.breaker.is_open:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(key, {"w": 1}, maxlen=1, approximate=False)
                pipe.expire(key, _WAKE_TTL_S)
                pipe.execute()
        except redis.RedisError:
            self.breaker.failed()

    def reader(self) -> "RedisEventReader":
        """Return a reader with a connection of its own."""
        from tasks.core.redis_event_reader import RedisEventReader  # noqa: PLC0415  # it builds on this module

        return RedisEventReader(self._url, wake=self.wake, wake_key=f"sy:hub:{new_id()}")

    def _call(self, command: str, *args: Any, **kwargs: Any) -> Any:
        if self.breaker.is_open:
            raise EventsUnavailable
        try:
            answer = getattr(self._redis, command)(*args, **kwargs)
        except redis.RedisError as exc:
            self.breaker.failed()
            raise EventsUnavailable from exc
        self.breaker.succeeded()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._append.close()
        self._redis.close()
