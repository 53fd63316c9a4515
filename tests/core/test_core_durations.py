"""Durations between bounds: counting, adding up, and what is told of them."""

import pytest

from tasks.core.durations import BOUNDS_S, Durations


def durations(*seconds: float) -> Durations:
    found = Durations()
    for one in seconds:
        found.add(one)
    return found


def test_each_is_counted_between_its_bounds() -> None:
    """A bound belongs to what is below it; a clock that went backwards makes no negative time."""
    found = durations(-1.0, 0.1, 0.11, 3600.0, 3601.0)
    assert [2, 1, *[0] * (len(BOUNDS_S) - 3), 1, 1] == found.counts
    assert 5 == found.count
    assert pytest.approx(7201.21) == found.sum_s


def test_two_add_up() -> None:
    """Counts and sums."""
    found = durations(1.0, 20.0)
    found.absorb(durations(1.0))
    assert durations(1.0, 20.0, 1.0) == found
    assert pytest.approx(22 / 3) == found.mean_s


def test_quantiles_lie_within_their_bounds() -> None:
    """Spread evenly between two bounds; what took longer than all of them is told as the last."""
    found = durations(*[0.7] * 50, *[4.0] * 50)
    assert pytest.approx(1.0) == found.quantile_s(0.5)
    assert pytest.approx(2.0 + 3.0 * 0.9) == found.quantile_s(0.95)
    assert BOUNDS_S[-1] == durations(9999.0).quantile_s(0.5)


def test_of_none_nothing_is_told() -> None:
    """Neither a mean nor a quantile is made up."""
    assert (None, None) == (durations().mean_s, durations().quantile_s(0.5))


def test_cumulative_counts_end_with_all() -> None:
    """As Prometheus wants them."""
    found = durations(0.3, 9999.0).cumulative()
    assert [("0.1", 0), ("0.5", 1)] == found[:2]
    assert ("+Inf", 2) == found[-1]
