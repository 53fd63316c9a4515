"""How often a page changes, estimated from the looks that were taken at it.

Source: J. Cho, H. Garcia-Molina, "Estimating Frequency of Change", ACM Transactions on Internet Technology 3(3), 2003:
changes come as a Poisson process, a look tells whether there was any since the look before, not how many. For looks at
irregular distances the rate is where the likelihood is greatest (section 4.2); their correction for few looks (4.1,
half a look without a change) is carried over, so that for looks at one distance the result is their estimator
``-log((n - X + 0.5) / (n + 0.5)) / distance``.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

# A page is worth another look once a change is as likely as not.
_LIKELY = 0.5
# Of the largest argument whose exponential is still a number.
_MOST = 700.0
_HALVINGS = 60


class Look(NamedTuple):
    """One look at a page after another."""

    after_s: float
    """Seconds since the look before; above 0."""
    is_changed: bool
    """Whether the page was another than then."""


def changes_per_s(looks: Sequence[Look]) -> float:
    """Return the rate of changes that these looks make most likely; at least one is needed.

    It is never taken for less than one change in twice the time that was watched: nobody has seen a page long enough
    to know that it never changes.
    """
    watched_s = sum(look.after_s for look in looks)
    least = 0.5 / watched_s
    changed = [look.after_s for look in looks if look.is_changed]
    if not changed:
        return least
    quiet_s = watched_s - sum(changed) + 0.5 * watched_s / len(looks)
    return max(least, _root(changed, quiet_s))


def next_look_s(looks: Sequence[Look], *, min_s: float, max_s: float) -> int:
    """Return after how many seconds a change is as likely as not, within the bounds; without looks ``min_s``."""
    if not looks:
        return math.ceil(min_s)
    return math.ceil(min(max(-math.log(1 - _LIKELY) / changes_per_s(looks), min_s), max_s))


def _root(changed: Sequence[float], quiet_s: float) -> float:
    """Return the rate at which the derivative of the log-likelihood is nothing."""

    def slope(rate: float) -> float:
        return sum(after_s / math.expm1(rate * after_s) for after_s in changed if rate * after_s < _MOST) - quiet_s

    # It falls with the rate, from above every bound.
    low, high = 0.0, 1 / quiet_s
    while slope(high) > 0:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if slope(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
