"""A few processes that read pages, so that fetching stays responsive and uses more than one core.

Each has its next page before it is done with the last one, so that it never waits for whoever fetches. Plain child
processes over pipes and not ``ProcessPoolExecutor``: one that hangs can be killed alone, the start does not
import the caller's ``__main__``, and when the caller is killed the pipe ends and so do they.
"""

import asyncio
import json
import os
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tasks
from tasks.core.errors import EngineFailed
from tasks.crawling.engine.page_content import MainText, Outline

# Reading takes 0.1 s as a rule and a few seconds for the largest pages; what takes longer is hostile.
PAGE_LIMIT_S = 30.0
# That a process has at a time: one that it reads, the others in its pipe.
PAGES_AT_A_TIME = 2

OnOutline = Callable[[Outline], None]

_ROOT = str(Path(next(iter(tasks.__path__))).parent)
_PROGRAM = "tasks.crawling.engine.extraction_process"


class ExtractionFailed(EngineFailed):
    """A page could not be read."""


class _Reader:
    """One process; it answers pages in the order in which it was sent them."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.turn = asyncio.Lock()
        """Held by whose page is answered next; those who wait for it get it in the order in which they began to."""
        self.is_lost = False
        """Whether its answers can no longer be told apart, or there are none."""

    def send(self, *frames: bytes) -> None:
        """Put the frames into its pipe, or line them up to be."""
        if self.process.stdin is None:
            raise ExtractionFailed("the process was started without an input")
        # At once: each write is a call into the system.
        self.process.stdin.write(b"".join(part for frame in frames for part in (struct.pack("!I", len(frame)), frame)))

    async def answer(self, on_outline: OnOutline) -> tuple[Outline, MainText]:
        """Return what it says of the page whose turn it is."""
        fields = await self._receive()
        lists = {name: tuple(fields[name]) for name in ("links", "unfollowed")}
        robots = tuple((name, content) for name, content in fields["robots"])
        outline = Outline(**{**fields, **lists, "robots": robots})
        on_outline(outline)
        fields = await self._receive()
        fields["structured"], fields["forms"] = tuple(fields["structured"]), tuple(fields["forms"])
        return outline, MainText(**fields)

    async def _receive(self) -> dict[str, Any]:
        if self.process.stdout is None:
            raise ExtractionFailed("the process was started without an output")
        (size,) = struct.unpack("!I", await self.process.stdout.readexactly(4))
        fields: dict[str, Any] = json.loads(await self.process.stdout.readexactly(size))
        return fields


class Extraction:
    """Owns the processes; use as ``async with``. They are killed at its end, whatever they are doing."""

    def __init__(self, *, processes: int, page_limit_s: float = PAGE_LIMIT_S) -> None:
        self._count = processes
        self._page_limit_s = page_limit_s
        self._places: asyncio.Queue[_Reader] = asyncio.Queue()
        self._alive: set[Process] = set()

    async def __aenter__(self) -> Self:
        readers = [await self._start() for _ in range(self._count)]
        for _ in range(PAGES_AT_A_TIME):
            for reader in readers:  # the first pages to each of them
                self._places.put_nowait(reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in tuple(self._alive):
            await self._end(process)

    async def read(
        self, body: bytes, *, url: str, charset: str | None, on_outline: OnOutline
    ) -> tuple[Outline, MainText]:
        """Return what ``page`` makes of the body, once a process is free; ``on_outline`` gets its part at once.

        Raises:
            ExtractionFailed: reading took too long, or the process died of it. Others are not affected.
        """
        head = json.dumps({"url": url, "charset": charset}).encode()
        while (found := await self._try(head, body, on_outline)) is None:
            pass
        return found

    async def _try(self, head: bytes, body: bytes, on_outline: OnOutline) -> tuple[Outline, MainText] | None:
        """Return what a process makes of the page; None where the page before it took the process along."""
        reader = await self._places.get()
        if reader.is_lost:
            return None
        reader.send(head, body)
        try:
            found = await self._answered(reader, on_outline)
        except TimeoutError as exc:
            await self._replace(reader)
            raise ExtractionFailed(f"reading the page took over {self._page_limit_s:g} s") from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            await self._replace(reader)
            raise ExtractionFailed("the process that read the page died of it") from exc
        if found is not None:
            self._places.put_nowait(reader)
        return found

    async def _answered(self, reader: _Reader, on_outline: OnOutline) -> tuple[Outline, MainText] | None:
        try:
            async with reader.turn:
                if reader.is_lost:
                    return None
                async with asyncio.timeout(self._page_limit_s):
                    return await reader.answer(on_outline)
        except BaseException:
            # Also whoever is cancelled leaves an answer, or half of one, behind that the next would take for its own.
            reader.is_lost = True
            raise

    async def _start(self) -> _Reader:
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _PROGRAM, stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": path}
        )
        self._alive.add(process)
        return _Reader(process)

    async def _replace(self, reader: _Reader) -> None:
        await self._end(reader.process)
        started = await self._start()
        for _ in range(PAGES_AT_A_TIME):
            self._places.put_nowait(started)

    async def _end(self, process: Process) -> None:
        self._alive.discard(process)
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(ConnectionError):
            await process.communicate()  # until the pipes are closed, else their transports outlive the loop
