"""Response bodies that stop at a size and at a moment."""

from collections.abc import AsyncIterator, Iterator

import httpcore
import httpx

from tasks.core.egress.deadlines import Deadline
from tasks.core.egress.decoding import Inflater
from tasks.core.egress.translation import translated
from tasks.core.errors import TooLarge


class Meter:
    """Decodes a body and counts it, on the wire and decoded: an endless stream may decode to nothing."""

    def __init__(self, max_bytes: int, *, inflater: Inflater | None) -> None:
        self._max_bytes = max_bytes
        self._inflater = inflater
        self._wire_bytes = 0
        self._decoded_bytes = 0

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what ``chunk``, the next part from the wire, decodes to.

        Raises:
            TooLarge: the cap is passed; nothing beyond it is yielded.
        """
        self._wire_bytes += len(chunk)
        self.demand(self._wire_bytes)
        for piece in self._inflater.pieces(chunk) if self._inflater else (chunk,):
            self._decoded_bytes += len(piece)
            self.demand(self._decoded_bytes)
            yield piece

    def demand(self, size_bytes: int) -> None:
        """Go on only if ``size_bytes`` is within the cap.

        Raises:
            TooLarge: it is not.
        """
        if size_bytes > self._max_bytes:
            raise TooLarge(f"The response is larger than {self._max_bytes} bytes, the most one request may fetch.")


class CappedBody(httpx.SyncByteStream):
    """A body read by this thread."""

    def __init__(self, source: httpcore.Response, *, meter: Meter, deadline: Deadline) -> None:
        self._source = source
        self._meter = meter
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._source.iter_stream()
        while (chunk := self._next(chunks)) is not None:
            yield from self._meter.pieces(chunk)

    def _next(self, chunks: Iterator[bytes]) -> bytes | None:
        with translated(self._deadline), self._deadline.in_force():
            return next(chunks, None)

    def close(self) -> None:
        """Give the connection back."""
        self._source.close()


class AsyncCappedBody(httpx.AsyncByteStream):
    """A body read by this task."""

    def __init__(self, source: httpcore.Response, *, meter: Meter, deadline: Deadline) -> None:
        self._source = source
        self._meter = meter
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._source.aiter_stream()
        while (chunk := await self._next(chunks)) is not None:
            for piece in self._meter.pieces(chunk):
                yield piece

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        with translated(self._deadline):
            async with self._deadline.in_force_async():
                return await anext(chunks, None)

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._source.aclose()
