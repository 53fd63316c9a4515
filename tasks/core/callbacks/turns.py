"""Whose deliveries are sent next: no tenant and no slow server can take all places."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_OF_LANE = 4
"""Deliveries at a time of one tenant to one server."""
MOST_OF_TENANT = 8
"""Deliveries at a time of one tenant."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Deliveries of one tenant to one server that are due."""

    name: str
    tenant_id: str
    due: int


def share_out(
    lanes: Sequence[Lane], *, free: int, by_lane: Mapping[str, int], by_tenant: Mapping[str, int]
) -> dict[str, int]:
    """Return how many deliveries of each lane begin now.

    One place after another goes to the tenant that has the fewest, and of its lanes to the one that has the fewest;
    among equals to the one that stands first in ``lanes``.

    Args:
        free: places.
        by_lane, by_tenant: how many are under way.
    """
    granted: Counter[str] = Counter()
    of_lane, of_tenant = Counter(by_lane), Counter(by_tenant)
    waiting = list(lanes)
    for _ in range(free):
        waiting = [
            lane
            for lane in waiting
            if granted[lane.name] < lane.due
            and of_lane[lane.name] < MOST_OF_LANE
            and of_tenant[lane.tenant_id] < MOST_OF_TENANT
        ]
        if not waiting:
            break
        lane = min(waiting, key=lambda one: (of_tenant[one.tenant_id], of_lane[one.name]))
        granted[lane.name] += 1
        of_lane[lane.name] += 1
        of_tenant[lane.tenant_id] += 1
    return dict(granted)
