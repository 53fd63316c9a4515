"""A proxy for one program that speaks HTTP by itself and is not a browser, such as ``git``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tasks.core.egress.lookups import Resolver
from tasks.core.egress.policy import EgressPolicy
from tasks.core.egress.proxy import EgressProxy, Pass
from tasks.core.loop_thread import LoopThread

_CLOSE_LIMIT_S = 5.0


class Loan:
    """The right to use a proxy, as long as ``lend`` has not ended.

    Attributes:
        url: of the proxy, with the credentials that it asks for: not for logs or command lines.
    """

    def __init__(self, proxy: EgressProxy, holder: Pass) -> None:
        self.url = proxy.url.replace("://", f"://{holder.user}:{holder.password}@")
        self._holder = holder

    @property
    def bytes_carried(self) -> int:
        """Both directions, over all connections so far."""
        return self._holder.bytes_carried

    @property
    def is_spent(self) -> bool:
        """Whether the program has used up its bytes; nothing is carried any more then."""
        return self._holder.is_spent

    @property
    def refused(self) -> Mapping[str, int]:
        """How often each ``host:port`` was refused, never why."""
        return self._holder.refused


@contextmanager
def lend(policy: EgressPolicy, resolver: Resolver, *, max_bytes: int) -> Iterator[Loan]:
    """Run a proxy under ``policy`` in a thread of its own until the block ends."""
    loop = LoopThread("egress-proxy")
    try:
        proxy = EgressProxy(policy, resolver=resolver)
        loop.run(proxy.start(), cleanup_s=0)
        try:
            yield Loan(proxy, proxy.issue(max_bytes=max_bytes))
        finally:
            loop.run(proxy.close(), cleanup_s=_CLOSE_LIMIT_S)
    finally:
        loop.close()
