"""Tunnels through the proxy: bytes both ways, for TLS and WebSocket, until either end closes."""

import asyncio
from collections.abc import Callable

import httpcore

from tasks.core.egress.proxy.client_side import CHUNK_BYTES, Client
from tasks.core.egress.proxy.passes import Pass


async def carry_both_ways(client: Client, server: httpcore.AsyncNetworkStream, holder: Pass, *, first: bytes) -> None:
    """Carry bytes until one end closes, both stay silent for too long, or the pass is spent.

    Args:
        first: what the client has sent already.
    Raises:
        BudgetSpent, TimeoutError, OSError, httpcore.NetworkError
    """
    clock = asyncio.get_running_loop().time
    idle_s = client.limits.idle_timeout_s
    async with asyncio.timeout(idle_s) as bound:

        def note(size_bytes: int) -> None:
            holder.carry(size_bytes)
            bound.reschedule(clock() + idle_s)

        ways = {
            asyncio.create_task(_upwards(client, server, note, first)),
            asyncio.create_task(_downwards(client, server, note)),
        }
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    for way in ended:
        way.result()


async def _upwards(
    client: Client, server: httpcore.AsyncNetworkStream, note: Callable[[int], None], first: bytes
) -> None:
    data = first or await client.read()
    while data:
        note(len(data))
        await server.write(data)
        data = await client.read()


async def _downwards(client: Client, server: httpcore.AsyncNetworkStream, note: Callable[[int], None]) -> None:
    while data := await server.read(CHUNK_BYTES):
        note(len(data))
        await client.write(data)
