"""What tests of downloads over libcurl have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tasks.core.egress import Answer, Egress, EgressPolicy
from tasks.core.egress.downloads import Downloads

# An address that may be reached, and never is.
PUBLIC = "93.184.216.34"
Work = Callable[[Downloads], Awaitable[Any]]


def run(egress: Egress, work: Work, **limits: Any) -> Any:
    """Return what ``work`` returns for downloads of ``egress``."""

    async def main() -> Any:
        async with egress.downloads(**limits) as web:
            return await work(web)

    with egress:
        return asyncio.run(main())


def egress_for(*endpoints: str, answers: Sequence[str] = ("127.0.0.1",), **policy: Any) -> Egress:
    """Make one that may reach these endpoints, whose names lead to ``answers``."""
    return Egress(EgressPolicy(allow=frozenset(endpoints), **policy), resolver=lambda _host, _port: answers)


def get(
    egress: Egress, url: str, *, wants: int = 1_000_000, headers: Mapping[str, str] | None = None, **limits: Any
) -> Answer:
    found: Answer = run(egress, lambda web: web.get(url, headers or {}, wants=lambda _head: wants), **limits)
    return found
