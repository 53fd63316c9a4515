"""A few processes that read pages, so that fetching stays responsive and uses more than one core.

Plain child processes over pipes and not ``ProcessPoolExecutor``: one that hangs can be killed alone, the start does not
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

OnOutline = Callable[[Outline], None]

_ROOT = str(Path(next(iter(tasks.__path__))).parent)
_PROGRAM = "tasks.crawling.engine.extraction_process"


class ExtractionFailed(EngineFailed):
    """A page could not be read."""


class Extraction:
    """Owns the processes; use as ``async with``. They are killed at its end, whatever they are doing."""

    def __init__(self, *, processes: int, page_limit_s: float = PAGE_LIMIT_S) -> None:
        self._count = processes
        self._page_limit_s = page_limit_s
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._alive: set[Process] = set()

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            self._idle.put_nowait(await self._start())
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
        process = await self._idle.get()
        try:
            async with asyncio.timeout(self._page_limit_s):
                await _send(process, json.dumps({"url": url, "charset": charset}).encode(), body)
                fields = await _receive(process)
                lists = {name: tuple(fields[name]) for name in ("links", "unfollowed")}
                robots = tuple((name, content) for name, content in fields["robots"])
                outline = Outline(**{**fields, **lists, "robots": robots})
                on_outline(outline)
                fields = await _receive(process)
                fields["structured"], fields["forms"] = tuple(fields["structured"]), tuple(fields["forms"])
                text = MainText(**fields)
        except TimeoutError as exc:
            await self._replace(process)
            raise ExtractionFailed(f"reading the page took over {self._page_limit_s:g} s") from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            await self._replace(process)
            raise ExtractionFailed("the process that read the page died of it") from exc
        # Not in a finally: whoever is cancelled leaves a process with half an answer behind, fit only to be killed.
        self._idle.put_nowait(process)
        return outline, text

    async def _start(self) -> Process:
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _PROGRAM, stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": path}
        )
        self._alive.add(process)
        return process

    async def _replace(self, process: Process) -> None:
        await self._end(process)
        self._idle.put_nowait(await self._start())

    async def _end(self, process: Process) -> None:
        self._alive.discard(process)
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(ConnectionError):
            await process.communicate()  # until the pipes are closed, else their transports outlive the loop


async def _send(process: Process, *frames: bytes) -> None:
    if process.stdin is None:
        raise ExtractionFailed("the process was started without an input")
    # At once: each write is a call into the system.
    process.stdin.write(b"".join(part for frame in frames for part in (struct.pack("!I", len(frame)), frame)))
    await process.stdin.drain()


async def _receive(process: Process) -> dict[str, Any]:
    if process.stdout is None:
        raise ExtractionFailed("the process was started without an output")
    (size,) = struct.unpack("!I", await process.stdout.readexactly(4))
    fields: dict[str, Any] = json.loads(await process.stdout.readexactly(size))
    return fields
