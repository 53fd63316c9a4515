"""How often a page changes, told from looks at it."""

import math
import random

import pytest

from tasks.crawling.engine.change_rate import Look, changes_per_s, next_look_s
from tasks.crawling.records import MAX_LOOKS

DAY = 86_400.0
BOUNDS = {"min_s": 3600, "max_s": 90 * DAY}


@pytest.mark.parametrize(("changed", "looks"), [(1, 2), (3, 10), (9, 10), (10, 10), (5, 16)])
def test_looks_at_one_distance_give_the_published_estimator(changed: int, looks: int) -> None:
    """Cho and Garcia-Molina 2003, section 4.1: ``-log((n - X + 0.5) / (n + 0.5)) / I``."""
    taken = [Look(DAY, number < changed) for number in range(looks)]
    published = -math.log((looks - changed + 0.5) / (looks + 0.5)) / DAY
    assert changes_per_s(taken) == pytest.approx(published, rel=1e-9)


def test_rate_is_where_the_likelihood_is_greatest() -> None:
    """Looks at irregular distances: no rate beside it explains them (and half a look without a change) better."""
    taken = [Look(DAY, True), Look(3 * DAY, False), Look(0.2 * DAY, False), Look(9 * DAY, True), Look(2 * DAY, False)]
    quiet = 0.5 * sum(look.after_s for look in taken) / len(taken)

    def likelihood(rate: float) -> float:
        return -rate * quiet + sum(
            math.log(-math.expm1(-rate * look.after_s)) if look.is_changed else -rate * look.after_s for look in taken
        )

    best = changes_per_s(taken)
    assert all(likelihood(best) > likelihood(best * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


def watched(chance: random.Random, changes_every_s: float, *, looks: int) -> list[int]:
    """Return the distances of the looks at a page that changes at random, each chosen from the looks before."""
    taken: list[Look] = []
    chosen: list[int] = []
    for _ in range(looks):
        every_s = next_look_s(taken[-MAX_LOOKS:], **BOUNDS)
        chosen.append(every_s)
        taken.append(Look(every_s, chance.random() < -math.expm1(-every_s / changes_every_s)))
    return chosen


@pytest.mark.parametrize("every_s", [0.5 * DAY, 4 * DAY, 20 * DAY])
def test_looks_become_as_frequent_as_changes(every_s: float) -> None:
    """Half of them find one, give or take."""
    chance = random.Random(1)  # a simulation
    settled = [s for _ in range(40) for s in watched(chance, every_s, looks=60)[20:]]
    assert math.log(2) / 1.6 < sorted(settled)[len(settled) // 2] / every_s < math.log(2) * 1.6


def test_pages_that_never_change_are_left_alone_longer_and_longer() -> None:
    """Up to the bound; those that always do are looked at as often as is allowed."""
    chance = random.Random(1)  # a simulation
    chosen = watched(chance, 1e12, looks=12)
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (BOUNDS["min_s"], BOUNDS["max_s"])
    assert {int(BOUNDS["min_s"])} == set(watched(chance, 1.0, looks=30)[1:])
