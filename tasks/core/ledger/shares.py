"""Fair shares: which tenants' jobs go next in a queue, by weighted round robin.

Each tenant has a pass that grows by ``1 / weight`` with each of its jobs that goes; the lowest pass goes next. Who had
nothing waiting begins where the others stand: it is neither held to account for what it had before, nor saves it up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

Weigh = Callable[[str], float]


def even(_tenant_id: str) -> float:
    """Weigh all tenants alike."""
    return 1.0


@dataclass(slots=True)
class _Turns:
    stands_at: float = 0.0
    passes: dict[str, float] = field(default_factory=dict)


class Shares:
    """The turns of each queue, as one process remembers them; they may be lost with it.

    Args:
        weigh: a tenant's weight, above 0.
    """

    def __init__(self, weigh: Weigh = even) -> None:
        self.weigh = weigh
        self._queues: dict[str, _Turns] = {}

    def alone(self, queue: str, tenant_id: str) -> None:
        """Note that of this tenant alone something waits: whoever comes next goes before it."""
        turns = self._queues.setdefault(queue, _Turns())
        turns.passes = {tenant_id: turns.stands_at + 1 / self.weigh(tenant_id)}

    def choose(self, queue: str, lines: Mapping[str, Sequence[T]], room: int) -> list[T]:
        """Choose at most ``room`` in the order in which they go.

        Args:
            lines: what waits of each tenant, best first. Where passes are equal, the tenant that is named first goes.
        """
        turns = self._queues.setdefault(queue, _Turns())
        at = {tenant_id: max(turns.passes.get(tenant_id, 0.0), turns.stands_at) for tenant_id in lines}
        left = {tenant_id: list(reversed(line)) for tenant_id, line in lines.items() if line}
        chosen: list[T] = []
        while left and len(chosen) < room:
            first = min(left, key=at.__getitem__)
            turns.stands_at = at[first]
            at[first] += 1 / self.weigh(first)
            chosen.append(left[first].pop())
            if not left[first]:
                del left[first]
        turns.passes = at
        return chosen

    def in_turn(self, queue: str, tenant_ids: Iterable[str]) -> list[str]:
        """Return the tenants in the order in which their turns come."""
        turns = self._queues.get(queue, _Turns())
        return sorted(tenant_ids, key=lambda tenant_id: max(turns.passes.get(tenant_id, 0.0), turns.stands_at))


def is_passed_over(ahead: Mapping[str, int], mine: str, *, weigh: Weigh) -> bool:
    """Tell whether more of the others' jobs stand before a tenant's first one than their shares give them by then.

    Args:
        ahead: how many of each other tenant's jobs stand before it.
    """
    return any(count > max(1.0, weigh(tenant_id) / weigh(mine)) for tenant_id, count in ahead.items())
