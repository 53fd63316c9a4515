"""Many clients in one thread: viewers of one job's stream, and pollers of records. HTTP/1.1 by hand, to be light."""

import asyncio
import functools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from client.sse import SSEParser
from tests.chaos.viewer import Continuity

_ENDS = frozenset({"succeeded", "failed", "cancelled"})
_CHUNK_BYTES = 64 * 1024
# Clients that connect at the same moment; more of them would only wait in the listener's backlog.
_CONNECTING = 50
_SILENT_S = 60.0
_COME_WITHIN_S = 30.0


class Refused(Exception):
    """The server answered something else than it should."""


@dataclass(slots=True)
class Answer:
    """The head of an answer, and where its body comes from."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader

    @property
    def told(self) -> str:
        """The status, and whether it lacks the ``Retry-After`` that a 503 must have."""
        lacks = self.status == 503 and "retry-after" not in self.headers
        return f"{self.status}{' without Retry-After' * lacks}"

    async def chunks(self) -> Any:
        """Yield the body as it comes, whether it is chunked or ends with the connection."""
        chunked = self.headers.get("transfer-encoding") == "chunked"
        while True:
            if not chunked:
                piece = await self.reader.read(_CHUNK_BYTES)
            else:
                size = int(await self.reader.readline() or b"0", 16)
                piece = await self.reader.readexactly(size + 2)
                piece = piece[:-2]
            if not piece:
                return
            yield piece

    async def body(self) -> bytes:
        """Return the body of an answer that tells its length."""
        return await self.reader.readexactly(int(self.headers.get("content-length", "0")))


class Crowd:
    """An event loop on a thread of its own, with clients that come back whenever they are cut off."""

    def __init__(self, url: str, headers: Mapping[str, str], *, chance: random.Random) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._headers = dict(headers)
        self._chance = chance
        self.answers: Counter[str] = Counter()
        """Every answer's status, and every connection that failed, by kind of error."""
        self.members: list[Continuity] = []
        self.open = 0
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._connecting = asyncio.Semaphore(_CONNECTING)
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)
        self._thread.start()

    def watch(self, job_id: str, count: int, *, drop_every_s: float | None = None) -> None:
        """Let ``count`` more clients follow a job's stream to its end, leaving every ``drop_every_s`` or so."""
        for _ in range(count):
            seen = Continuity()
            self.members.append(seen)
            self._go(functools.partial(self._watch, job_id, seen, drop_every_s))

    def poll(self, paths: list[str], count: int) -> None:
        """Let ``count`` clients come little by little, each asking for a path again and again, until ``close``.

        Each keeps its connection, and waits as long as a ``Retry-After`` asks it to.
        """
        for number in range(count):
            self._go(functools.partial(self._poll, paths[number % len(paths)], self._chance.uniform(0, _COME_WITHIN_S)))

    def close(self) -> None:
        """Leave, all of them."""
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=20)

    def _go(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop.call_soon_threadsafe(lambda: self._tasks.append(self._loop.create_task(act())))

    # ---- viewers

    async def _watch(self, job_id: str, seen: Continuity, drop_every_s: float | None) -> None:
        while not seen.ended:
            leave_s = None if drop_every_s is None else drop_every_s * self._chance.uniform(0.5, 1.5)
            cursor = {"Last-Event-ID": seen.last} if seen.last else {}
            try:
                async with asyncio.timeout(leave_s):
                    await self._connected(lambda *ends: self._follow(job_id, seen, cursor, *ends))  # noqa: B023  # called before the loop goes on
            except TimeoutError:
                continue
            except (OSError, EOFError, ValueError, Refused) as exc:
                self.answers[str(exc) if isinstance(exc, Refused) else type(exc).__name__] += 1
                await asyncio.sleep(self._chance.uniform(0.2, 1.0))

    async def _follow(
        self,
        job_id: str,
        seen: Continuity,
        cursor: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        answer = await self._ask(reader, writer, f"/api/jobs/{job_id}/events", cursor)
        if answer.status == 204:
            seen.ended = True
            return
        if answer.status != 200:
            raise Refused(str(answer.status))
        self.answers["200"] += 1
        parser = SSEParser()
        async for piece in answer.chunks():
            for frame in parser.feed(piece):
                data = json.loads(frame.data)
                is_end = data["type"] == "state" and data["data"]["state"] in _ENDS
                seen.take(data["id"], is_snapshot=data["type"] == "snapshot", is_end=is_end)

    # ---- pollers

    async def _poll(self, path: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            try:
                await self._connected(lambda *ends: self._poll_on(path, *ends))
            except (OSError, EOFError, ValueError, Refused) as exc:
                self.answers[str(exc) if isinstance(exc, Refused) else type(exc).__name__] += 1
                await asyncio.sleep(self._chance.uniform(0.2, 1.0))

    async def _poll_on(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            answer = await self._ask(reader, writer, path, {})
            await answer.body()
            self.answers[answer.told] += 1
            if "retry-after" in answer.headers:
                await asyncio.sleep(float(answer.headers["retry-after"]) * self._chance.uniform(1, 2))
            if answer.headers.get("connection") == "close":
                return

    # ---- both

    async def _connected(
        self, act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
    ) -> None:
        async with self._connecting:
            reader, writer = await asyncio.open_connection(*self._address)
        self.open += 1
        try:
            await act(reader, writer)
        finally:
            self.open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, more: Mapping[str, str]
    ) -> Answer:
        headers = {"Host": "crowd", **self._headers, **more}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        await writer.drain()
        async with asyncio.timeout(_SILENT_S):
            status = (await reader.readline()).split()
            if len(status) < 2:
                raise EOFError
            found: dict[str, str] = {}
            while (line := await reader.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                found[name.strip().lower()] = value.strip().lower()
        return Answer(int(status[1]), found, reader)
