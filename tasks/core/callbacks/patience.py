"""When a delivery that failed is tried again: backoff with full jitter, until it is given up."""

import random
from datetime import datetime, timedelta

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 3600.0


def next_pause_s(
    tries: int, *, at: datetime, give_up_at: datetime, chance: random.Random, asked_s: float = 0.0
) -> float | None:
    """Return how long to wait after so many tries; None: it is given up.

    The pause is drawn evenly between nothing and 5, 10, 20 … seconds, an hour at most, so that receivers that come back
    are not met by all who waited for them at once. The last try is made when the time is over.

    Args:
        asked_s: what the receiver asked for (``Retry-After``); followed up to an hour.
    """
    left = (give_up_at - at) / timedelta(seconds=1)
    if left <= 0:
        return None
    bound_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20))
    pause_s = max(chance.uniform(0, bound_s), min(asked_s, _LONGEST_PAUSE_S))
    return min(pause_s, left)
