"""A Lua script that runs for every job: at half of what redis-py's own call costs this process."""

import select
from collections import deque
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError

# More would be of no use: a process makes these calls from one or two threads.
_KEPT = 2

Call = tuple[Sequence[str], Sequence[str | int]]


class KeptScript:
    """Runs the script on connections that it keeps, without redis-py's layers for what we never do.

    Those are a client of many servers, retries, and hooks for measurements. A kept connection is looked at before it is
    used, so that a Redis that was started anew in the meantime costs nothing.
    """

    def __init__(self, client: "redis.Redis", script: str) -> None:
        self._client = client
        self._script = script
        self._sha = client.register_script(script).sha
        self._kept: deque[Any] = deque()

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run it for each of ``calls``, in one exchange; return the answers.

        Raises:
            redis.RedisError: how many of them ran is not known.
        """
        connection = self._take()
        try:
            answers = self._exchange(connection, calls)
            if len(answers) < len(calls):
                connection.send_command("SCRIPT", "LOAD", self._script, check_health=False)
                connection.read_response()
                answers += self._exchange(connection, calls[len(answers) :])
        except BaseException:
            connection.disconnect()  # answers may still be on their way
            self._client.connection_pool.release(connection)
            raise
        self._keep(connection)
        return answers

    def close(self) -> None:
        """Give the kept connections back."""
        while self._kept:
            self._client.connection_pool.release(self._kept.pop())

    def _exchange(self, connection: Any, calls: Sequence[Call]) -> list[Any]:
        """Return the answers up to the first call for which Redis did not know the script."""
        packed = [_packed(("EVALSHA", self._sha, len(keys), *keys, *args)) for keys, args in calls]
        connection.send_packed_command([b"".join(packed)], check_health=False)
        answers, is_known = [], True
        for _ in calls:
            try:
                answer = connection.read_response()
            except NoScriptError:
                is_known = False
            if is_known:
                answers.append(answer)
        return answers

    def _take(self) -> Any:
        try:
            connection = self._kept.pop()
        except IndexError:
            return self._client.connection_pool.get_connection()
        if _has_news(connection):  # nobody has asked for anything
            connection.disconnect()
        return connection

    def _keep(self, connection: Any) -> None:
        if len(self._kept) < _KEPT:
            self._kept.append(connection)
        else:
            self._client.connection_pool.release(connection)


def _has_news(connection: Any) -> bool:
    """Tell whether anything arrived, an end included. ``can_read`` would make five system calls of it."""
    if connection._sock is None:
        return False
    poll = select.poll()
    poll.register(connection._sock, select.POLLIN)
    return bool(poll.poll(0))


def _packed(parts: Sequence[str | int]) -> bytes:
    """Return the command as it is sent (RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    raws = [str(part).encode() for part in parts]
    return b"*%d\r\n" % len(raws) + b"".join([b"$%d\r\n%b\r\n" % (len(raw), raw) for raw in raws])
