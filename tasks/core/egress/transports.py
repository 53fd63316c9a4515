"""httpx transports that judge every request, so every redirect too, and cap every response."""

import ssl
from functools import cache

import httpcore
import httpx

from tasks.core.egress.backends import AsyncGuardedBackend, GuardedBackend
from tasks.core.egress.bodies import AsyncCappedBody, CappedBody, Meter
from tasks.core.egress.deadlines import Deadline
from tasks.core.egress.decoding import Inflater, needs_decoding
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Lookups
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.translation import translated
from tasks.core.errors import TooLarge

# httpx copies a request's extensions to the request of each redirect, so the hops of one call share what is left.
DEADLINE_EXTENSION = "egress_deadline"

# Kept open for the next request to the same server; longer than this, many servers hang up first.
_KEEP_ALIVE_S = 5.0
_BODILESS_STATUS = frozenset({204, 304})


class GuardedTransport(httpx.BaseTransport):
    """Sends a request where the guard lets it go. HTTP/1.1 only."""

    def __init__(self, guard: Guard, lookups: Lookups, *, max_connections: int) -> None:
        self._guard = guard
        self._pool = httpcore.ConnectionPool(
            ssl_context=plain_trust(),
            max_connections=max_connections,
            keepalive_expiry=_KEEP_ALIVE_S,
            network_backend=GuardedBackend(guard, lookups),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response, its body still to be read.

        Raises:
            EgressRefused: the address is not allowed.
            TooLarge: the response announces more than the cap.
            Transient: the time of the whole request is used up.
            httpx.TransportError: the connection failed.
        """
        deadline = _deadline(request, self._guard.policy)
        wire_request = _wire_request(self._guard, request, deadline)
        with translated(deadline), deadline.in_force():
            answer = self._pool.handle_request(wire_request)
        try:
            headers, meter = _prepare(request, answer, self._guard.policy)
        except TooLarge:
            answer.close()
            raise
        return httpx.Response(
            status_code=answer.status,
            headers=headers,
            stream=CappedBody(answer, meter=meter, deadline=deadline),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """Sends a request where the guard lets it go, on asyncio."""

    def __init__(self, guard: Guard, lookups: Lookups, *, max_connections: int) -> None:
        self._guard = guard
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=plain_trust(),
            max_connections=max_connections,
            keepalive_expiry=_KEEP_ALIVE_S,
            network_backend=AsyncGuardedBackend(guard, lookups),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response, its body still to be read.

        Raises:
            EgressRefused: the address is not allowed.
            TooLarge: the response announces more than the cap.
            Transient: the time of the whole request is used up.
            httpx.TransportError: the connection failed.
        """
        deadline = _deadline(request, self._guard.policy)
        wire_request = _wire_request(self._guard, request, deadline)
        with translated(deadline):
            async with deadline.in_force_async():
                answer = await self._pool.handle_async_request(wire_request)
        try:
            headers, meter = _prepare(request, answer, self._guard.policy)
        except TooLarge:
            await answer.aclose()
            raise
        return httpx.Response(
            status_code=answer.status,
            headers=headers,
            stream=AsyncCappedBody(answer, meter=meter, deadline=deadline),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


@cache
def plain_trust() -> ssl.SSLContext:
    """Return what connections trust that speak HTTP/1.1, or something that begins with it; always the same one."""
    return httpx.create_ssl_context(trust_env=False)  # reading the authorities takes 25 ms


def _deadline(request: httpx.Request, policy: EgressPolicy) -> Deadline:
    deadline = request.extensions.get(DEADLINE_EXTENSION)
    return deadline if isinstance(deadline, Deadline) else Deadline.after(policy.total_timeout_s)


def _wire_request(guard: Guard, request: httpx.Request, deadline: Deadline) -> httpcore.Request:
    """Return what goes to the pool: its address is the checked one, and of the extensions only timeouts pass."""
    target = guard.check_hop(request.url)
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.resource),
        headers=request.headers.raw,
        content=request.stream,
        extensions={"timeout": _timeouts(request, guard.policy, deadline)},
    )


def _timeouts(request: httpx.Request, policy: EgressPolicy, deadline: Deadline) -> dict[str, float]:
    """Return the policy's limits, each lowered to what the caller or the deadline leaves."""
    asked: dict[str, float | None] = request.extensions.get("timeout", {})
    left_s = deadline.remaining_s
    limits = {
        "connect": min(policy.connect_timeout_s, left_s),
        "read": policy.read_timeout_s,
        "write": policy.read_timeout_s,
        "pool": left_s,
    }
    return {name: limit if (wish := asked.get(name)) is None else min(wish, limit) for name, limit in limits.items()}


def _prepare(request: httpx.Request, answer: httpcore.Response, policy: EgressPolicy) -> tuple[httpx.Headers, Meter]:
    """Return the headers to show and the meter to read the body through, once decoded here."""
    headers = httpx.Headers(answer.headers)
    encoding = headers.get("content-encoding", "")
    inflater = Inflater(encoding) if needs_decoding(encoding) else None
    meter = Meter(policy.max_bytes, inflater=inflater)
    if request.method == "HEAD" or answer.status in _BODILESS_STATUS:
        return headers, meter
    announced = headers.get("content-length", "")
    if announced.isdecimal():
        meter.demand(int(announced))
    if inflater is not None:
        # They describe the body on the wire; what the caller reads is decoded already.
        headers.pop("content-encoding", None)
        headers.pop("content-length", None)
    return headers, meter
