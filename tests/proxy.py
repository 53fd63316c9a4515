"""A TCP proxy on loopback that can misbehave like a network, and send clients only where `/health/ready` says 200.

One thread with an event loop of its own; every method may be called from any other thread, and has taken effect when
it returns. With several backends a new connection goes to the next one that is ready, and stays there. Nothing is tried
twice: a backend that refuses is counted in ``refused``, and its client is reset, so that a test sees it.
"""

import asyncio
import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Self

_CHUNK_BYTES = 64 * 1024
# Chunks on their way while latency is simulated; beyond that the sender waits, as with a full window.
_IN_FLIGHT = 256
_READY = b"GET /health/ready HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
_HOLD = b"hold"
# A SO_LINGER of zero seconds: closing then sends RST.
_RESET = struct.pack("ii", 1, 0)

Address = tuple[str, int]


class _Pair:
    """One client's connection and, once there is one, the connection to its backend."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.backend: asyncio.StreamWriter | None = None
        self.flows = asyncio.Event()
        self.is_stranded = False

    def reset(self) -> None:
        for writer in (self.client, self.backend):
            if writer is not None:
                with suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
        # Whoever waits to go on finds its connection gone.
        self.flows.set()


class Proxy:
    """Listens on ``port`` of 127.0.0.1 until ``close``; a context manager, too.

    Args:
        backends: where connections go: ports of 127.0.0.1, or (host, port).
        follow_ready: ask each backend for ``/health/ready`` every ``ready_every_s`` and leave out those that do not
            answer 200; without it all are taken for ready.
        latency_ms: how long each piece of data is on its way, in each direction. May be changed at any time.
    """

    def __init__(
        self,
        *backends: int | Address,
        follow_ready: bool = False,
        ready_every_s: float = 0.1,
        latency_ms: float = 0.0,
        port: int = 0,
    ) -> None:
        self.backends: list[Address] = [("127.0.0.1", to) if isinstance(to, int) else to for to in backends]
        self.latency_ms = latency_ms
        self.accepted: Counter[Address] = Counter()
        """Connections made to each backend so far."""
        self.refused = 0
        """Connections that a backend taken for ready refused, or that came when none was ready."""
        self._ready = set() if follow_ready else set(self.backends)
        self._ready_every_s = ready_every_s
        self._turns = itertools.count()
        self._pairs: set[_Pair] = set()
        self._is_frozen = self._is_cut = False
        self._blocked: dict[bytes, bytes | None] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._serving: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._server: asyncio.Server = self._call(asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024))
        self.port = int(self._server.sockets[0].getsockname()[1])
        if follow_ready:
            self._call(self._start_following())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> set[Address]:
        """The backends that new connections go to."""
        return set(self._ready)

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._pairs)

    def forward(self) -> None:
        """Behave from now on; what a freeze held back arrives, stranded connections stay so."""
        self._call(self._set(frozen=False, cut=False))

    def freeze(self) -> None:
        """Move nothing and close nothing, as a frozen server or a lost route would; new connections hang, too."""
        self._call(self._set(frozen=True, cut=False))

    def strand(self) -> None:
        """Leave the connections that are open now half-open for good; new ones work."""
        self._call(self._strand())

    def reset(self) -> None:
        """Reset every open connection, once."""
        self._call(self._reset())

    def cut(self) -> None:
        """Reset every open connection, and every new one until ``forward``."""
        self._call(self._set(frozen=False, cut=True))

    def block(self, words: bytes, answer: bytes | None = None) -> None:
        """Give each request whose head has these words, in any case of letters, this answer; None: reset it."""
        self._call(self._block(words.lower(), answer))

    def hold_back(self, words: bytes) -> None:
        """Let each request whose head has these words wait for ever, as a buffering middle box does with a stream."""
        self.block(words, _HOLD)

    def unblock(self) -> None:
        """Let everything through again that comes from now on."""
        self._call(self._unblock())

    def close(self) -> None:
        """Reset what is open and stop."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _start_following(self) -> None:
        self._following = self._loop.create_task(self._follow_ready())

    async def _set(self, *, frozen: bool, cut: bool) -> None:
        self._is_frozen, self._is_cut = frozen, cut
        if cut:
            await self._reset()
        for pair in self._pairs:
            if frozen or pair.is_stranded:
                pair.flows.clear()
            else:
                pair.flows.set()

    async def _block(self, words: bytes, answer: bytes | None) -> None:
        self._blocked[words] = answer

    async def _unblock(self) -> None:
        self._blocked.clear()

    def _is_passed(self, pair: _Pair, chunk: bytes) -> bool:
        """Do to a client's piece of data what was asked for; return whether it goes on to the backend."""
        for words, answer in self._blocked.items():
            if words not in chunk.lower():
                continue
            if answer is None:
                pair.reset()
            elif answer is _HOLD:
                pair.is_stranded = True
                pair.flows.clear()
            else:
                pair.client.write(answer)
            return False
        return True

    async def _strand(self) -> None:
        for pair in self._pairs:
            pair.is_stranded = True
            pair.flows.clear()

    async def _reset(self) -> None:
        for pair in list(self._pairs):
            pair.reset()

    async def _stop(self) -> None:
        self._is_cut = True
        self._server.close()
        await self._reset()
        if self._following is not None:
            self._following.cancel()
        # Those that serve end by themselves: their connections are gone.
        if self._serving:
            await asyncio.wait(self._serving, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        pair = _Pair(writer)
        self._pairs.add(pair)
        try:
            if self._is_cut:
                return
            if not self._is_frozen:
                pair.flows.set()
            await pair.flows.wait()
            await self._carry(pair, reader)
        except OSError:
            pass
        finally:
            pair.reset()
            self._pairs.discard(pair)
            self._serving.discard(task)

    async def _carry(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        address = self._next_backend()
        if address is None:
            self.refused += 1
            return
        try:
            back_reader, pair.backend = await asyncio.open_connection(*address)
        except OSError:
            self.refused += 1
            raise
        self.accepted[address] += 1
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(pair, reader, pair.backend))
            group.create_task(self._pump(pair, back_reader, pair.client))
        # Both sides have ended; what is buffered still goes out.
        for writer in (pair.client, pair.backend):
            writer.close()
        for writer in (pair.client, pair.backend):
            await writer.wait_closed()

    def _next_backend(self) -> Address | None:
        ready = [address for address in self.backends if address in self._ready]
        return ready[next(self._turns) % len(ready)] if ready else None

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Move one direction's bytes; an end is passed on, an error resets both sides."""
        on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)
        delivery = self._loop.create_task(self._deliver(pair, on_its_way, writer))
        try:
            while True:
                try:
                    chunk = await reader.read(_CHUNK_BYTES)
                except OSError:
                    pair.reset()
                    return
                if writer is pair.backend and not self._is_passed(pair, chunk):
                    continue
                await _either(on_its_way.put((self._loop.time() + self.latency_ms / 1000, chunk)), delivery)
                if not chunk or delivery.done():
                    await delivery
                    return
        finally:
            delivery.cancel()

    async def _deliver(
        self, pair: _Pair, on_its_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        chunk = b"-"
        while chunk:
            due, chunk = await on_its_way.get()
            left = due - self._loop.time()
            if left > 0:
                await asyncio.sleep(left)
            await pair.flows.wait()
            try:
                if chunk:
                    writer.write(chunk)
                    await writer.drain()
                elif writer.can_write_eof():
                    writer.write_eof()
            except OSError:
                pair.reset()
                return

    async def _follow_ready(self) -> None:
        while True:
            answers = await asyncio.gather(*(_is_ready(address) for address in self.backends))
            self._ready = {address for address, is_ready in zip(self.backends, answers, strict=True) if is_ready}
            await asyncio.sleep(self._ready_every_s)


async def _either(work: Awaitable[None], other: "asyncio.Task[None]") -> None:
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, other], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()


async def _is_ready(address: Address) -> bool:
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(_READY)
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def ports_of(addresses: Iterable[Address]) -> set[int]:
    """Return the ports alone."""
    return {port for _, port in addresses}
