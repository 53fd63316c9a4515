"""Fair shares: which tenants' jobs go next in a queue, by weighted round robin.

Each tenant has a pass that grows by ``1 / weight`` with each of its jobs that goes; the lowest pass goes next. Who had
nothing waiting begins where the others stand: it is neither held to account for what it had before, nor saves it up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

Weigh = Callable[[str], float]


def even(_tenant_id: str) -> float:
    """Weigh all tenants alike."""
    return 1.0


class Turns:
    """Whose turn it is, in one line of many tenants; may be lost with the process.

    Args:
        weigh: a tenant's weight, above 0.
    """

    def __init__(self, weigh: Weigh) -> None:
        self._weigh = weigh
        self._stands_at = 0.0
        self._passes: dict[str, float] = {}

    def begin(self, tenant_ids: Iterable[str]) -> dict[str, float]:
        """Forget who has nothing waiting; return the others' passes, which may then ``take``."""
        self._passes = {tenant_id: self.of(tenant_id) for tenant_id in tenant_ids}
        return dict(self._passes)

    def of(self, tenant_id: str) -> float:
        """Return the tenant's pass; the lowest goes next."""
        return max(self._passes.get(tenant_id, 0.0), self._stands_at)

    def take(self, tenant_id: str) -> float:
        """Note that one of this tenant's jobs goes; return its pass after that."""
        self._stands_at = self._passes[tenant_id]
        self._passes[tenant_id] += 1 / self._weigh(tenant_id)
        return self._passes[tenant_id]


class Shares:
    """The turns of each queue, as one process remembers them; they may be lost with it.

    Args:
        weigh: a tenant's weight, above 0.
    """

    def __init__(self, weigh: Weigh = even) -> None:
        self.weigh = weigh
        self._queues: dict[str, Turns] = {}

    def alone(self, queue: str, tenant_id: str) -> None:
        """Note that of this tenant alone something waits: whoever comes next goes before it."""
        turns = self._turns(queue)
        turns.begin([tenant_id])
        turns.take(tenant_id)

    def choose(self, queue: str, lines: Mapping[str, Sequence[T]], room: int) -> list[T]:
        """Choose at most ``room`` in the order in which they go.

        Args:
            lines: what waits of each tenant, best first. Where passes are equal, the tenant that is named first goes.
        """
        turns = self._turns(queue)
        at = turns.begin(lines)
        left = {tenant_id: list(reversed(line)) for tenant_id, line in lines.items() if line}
        chosen: list[T] = []
        while left and len(chosen) < room:
            first = min(left, key=at.__getitem__)
            at[first] = turns.take(first)
            chosen.append(left[first].pop())
            if not left[first]:
                del left[first]
        return chosen

    def in_turn(self, queue: str, tenant_ids: Iterable[str]) -> list[str]:
        """Return the tenants in the order in which their turns come."""
        return sorted(tenant_ids, key=self._turns(queue).of)

    def _turns(self, queue: str) -> Turns:
        return self._queues.setdefault(queue, Turns(self.weigh))


def is_passed_over(ahead: Mapping[str, int], mine: str, *, weigh: Weigh) -> bool:
    """Tell whether more of the others' jobs stand before a tenant's first one than their shares give them by then.

    Args:
        ahead: how many of each other tenant's jobs stand before it.
    """
    return any(count > max(1.0, weigh(tenant_id) / weigh(mine)) for tenant_id, count in ahead.items())
