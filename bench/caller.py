"""Plain HTTP on plain sockets: cheap enough that the load generator does not hide what it measures."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Caller:
    """One kept-alive connection; ``headers`` are whole lines, each with its line end."""

    port: int
    headers: str = ""
    _pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def call(self, head: str, body: bytes = b"") -> int:
        """Send one request and read the whole answer; return its status."""
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._pair
        lines = f"{head} HTTP/1.1\r\nHost: bench\r\n{self.headers}Content-Type: application/json\r\n"
        writer.write(f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(answer.partition("content-length:")[2].partition("\r\n")[0]))
        if "connection: close" in answer:
            self._pair = None
            writer.close()
        return int(answer.split(" ", 2)[1])


async def steadily(
    port: int, head: str, body: bytes, *, rate_per_s: float, seconds: float, headers: str = ""
) -> list[float]:
    """POST at a steady rate, whether or not earlier ones were answered; return how long each took, in seconds.

    Raises:
        RuntimeError: an answer was not 202.
    """
    free = [Caller(port, headers) for _ in range(20)]
    took: list[float] = []

    async def one() -> None:
        caller = free.pop() if free else Caller(port, headers)
        began = time.monotonic()
        status = await caller.call(head, body)
        took.append(time.monotonic() - began)
        if status != 202:
            raise RuntimeError(f"{head} answered {status}")
        free.append(caller)

    began = time.monotonic()
    running = []
    for number in range(int(seconds * rate_per_s)):
        await asyncio.sleep(max(0.0, began + number / rate_per_s - time.monotonic()))
        running.append(asyncio.create_task(one()))
    await asyncio.gather(*running)
    return took
