"""httpx clients that read URLs as browsers do and give each call one deadline."""

from typing import Any

import httpx

from tasks.core.egress.deadlines import Deadline
from tasks.core.egress.decoding import ACCEPTED_ENCODINGS
from tasks.core.egress.guard import Guard
from tasks.core.egress.lookups import Lookups
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.transports import DEADLINE_EXTENSION, AsyncGuardedTransport, GuardedTransport

# httpx names a dozen options per method; these subclasses hand them on untouched.
Options = Any


class GuardedClient(httpx.Client):
    """Sends requests to absolute http and https URLs that the guard lets through."""

    def __init__(self, guard: Guard, lookups: Lookups, *, max_connections: int) -> None:
        self._guard = guard
        super().__init__(
            transport=GuardedTransport(guard, lookups, max_connections=max_connections),
            headers=_headers(guard.policy),
            timeout=_timeout(guard.policy),
            max_redirects=guard.policy.max_redirects,
            follow_redirects=True,
            trust_env=False,
        )

    def build_request(self, method: str, url: httpx.URL | str, **options: Options) -> httpx.Request:
        """Return the request for what a browser would understand by ``url``.

        Raises:
            EgressRefused: the address is not allowed.
        """
        return super().build_request(method, self._guard.check(str(url)).href, **options)

    def send(self, request: httpx.Request, **options: Options) -> httpx.Response:
        """Send ``request`` and follow its redirects, all within one time limit."""
        request.extensions[DEADLINE_EXTENSION] = Deadline.after(self._guard.policy.total_timeout_s)
        return super().send(request, **options)


class AsyncGuardedClient(httpx.AsyncClient):
    """Sends requests to absolute http and https URLs that the guard lets through, on asyncio."""

    def __init__(self, guard: Guard, lookups: Lookups, *, max_connections: int) -> None:
        self._guard = guard
        super().__init__(
            transport=AsyncGuardedTransport(guard, lookups, max_connections=max_connections),
            headers=_headers(guard.policy),
            timeout=_timeout(guard.policy),
            max_redirects=guard.policy.max_redirects,
            follow_redirects=True,
            trust_env=False,
        )

    def build_request(self, method: str, url: httpx.URL | str, **options: Options) -> httpx.Request:
        """Return the request for what a browser would understand by ``url``.

        Raises:
            EgressRefused: the address is not allowed.
        """
        return super().build_request(method, self._guard.check(str(url)).href, **options)

    async def send(self, request: httpx.Request, **options: Options) -> httpx.Response:
        """Send ``request`` and follow its redirects, all within one time limit."""
        request.extensions[DEADLINE_EXTENSION] = Deadline.after(self._guard.policy.total_timeout_s)
        return await super().send(request, **options)


def _headers(policy: EgressPolicy) -> dict[str, str]:
    return {"User-Agent": policy.user_agent, "Accept-Encoding": ACCEPTED_ENCODINGS}


def _timeout(policy: EgressPolicy) -> httpx.Timeout:
    return httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s, pool=policy.total_timeout_s)
