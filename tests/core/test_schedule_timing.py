"""When schedules come: cron expressions in time zones, fixed distances, and what becomes of missed ticks."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import InputRejected
from tasks.core.schedules.plan import MOST_CAUGHT_UP, Plan, planned
from tasks.core.schedules.records import CatchUp
from tasks.core.schedules.timing import Timing, check_cron

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def by_cron(cron: str, zone: str = "UTC") -> Timing:
    """Return the timing of a cron expression."""
    return Timing(cron, zone, None, NOON)


def each(seconds: int) -> Timing:
    """Return the timing of ticks so many seconds apart, counted from noon."""
    return Timing(None, "UTC", seconds, NOON)


def ticks(timing: Timing, begin: str, end: str) -> list[str]:
    """List the ticks after ``begin`` until ``end``, by the minute, in UTC."""
    found = timing.newest(datetime.fromisoformat(begin), datetime.fromisoformat(end), most=100)
    return [tick.strftime("%d %H:%M") for tick in found]


@pytest.mark.parametrize(
    ("cron", "zone", "begin", "end", "expected"),
    [
        # Berlin, 2027-03-28: 01:59 CET is followed by 03:00 CEST. What was meant for in between comes then.
        ("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", "2027-03-29T12:00Z", ["28 01:00", "29 00:30"]),
        ("0,30 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", "2027-03-28T12:00Z", ["28 01:00"]),
        ("30 * * * *", "Europe/Berlin", "2027-03-28T00:00Z", "2027-03-28T02:00Z", ["28 00:30", "28 01:30"]),
        ("0 3 * * *", "Europe/Berlin", "2027-03-27T12:00Z", "2027-03-28T12:00Z", ["28 01:00"]),
        # 2026-10-25: 02:00 to 02:59 come twice. A time of day is the first one; what comes each hour comes in both.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-26T12:00Z", ["25 00:30", "26 01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10Z", "2026-10-26T12:00Z", ["26 01:30"]),
        ("0 * * * *", "Europe/Berlin", "2026-10-24T23:59Z", "2026-10-25T02:00Z", ["25 00:00", "25 01:00", "25 02:00"]),
        ("0 4 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T12:00Z", ["25 03:00"]),
        # Half an hour is skipped, and comes twice.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", "2026-10-05T00:00Z", ["03 15:30", "04 15:15"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T02:00Z", "2027-04-05T00:00Z", ["03 14:45", "04 15:15"]),
        # A whole day is skipped: Samoa went to the other side of the date line.
        ("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00Z", "2011-12-31T00:00Z", ["29 19:00", "30 10:00", "30 19:00"]),
        # No such change: Mozambique is two hours ahead all year.
        ("0 6 * * MON", "Africa/Maputo", "2026-11-20T00:00Z", "2026-11-30T12:00Z", ["23 04:00", "30 04:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", "2028-12-31T00:00Z", ["29 00:00"]),
    ],
)
def test_clocks_that_change_are_as_with_cron(cron: str, zone: str, begin: str, end: str, expected: list[str]) -> None:
    """No tick is lost for an hour that is not there, and none comes twice for one that is there twice."""
    assert expected == ticks(by_cron(cron, zone), begin, end)


@settings(max_examples=25)
@given(
    minute=st.sampled_from(["*/15", "0", "30", "0,59"]),
    hour=st.sampled_from(["*", "*/2", "0", "1-3", "2", "23"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    hours=st.integers(0, 264 * 24),
    seconds=st.integers(0, 7200),
)
def test_ticks_do_not_depend_on_where_one_looks_from(
    minute: str, hour: str, zone: str, hours: int, seconds: int
) -> None:
    """They grow, and whoever looks from between two of them finds the same ones."""
    timing = by_cron(f"{minute} {hour} * * *", zone)
    start = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours)
    found = timing.newest(start, start + timedelta(days=1), most=100)
    assert all(before < after for before, after in pairwise(found))
    between = start + timedelta(seconds=seconds)
    later = [tick for tick in found if tick > between]
    assert later == timing.newest(between, start + timedelta(days=1), most=100)
    assert later[:1] == [tick for tick in [timing.after(between)] if tick is not None and tick in found]


def test_fixed_distances_count_from_the_anchor() -> None:
    """However late somebody looks, and from before it as well."""
    at = [each(90).after(NOON + timedelta(seconds=late)) for late in (-500, 0, 89.9, 90)]
    assert [90, 90, 90, 180] == [(tick - NOON).total_seconds() for tick in at if tick is not None]


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("* * * *", "UTC", "cron"),
        ("0 0 * * * *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("0 0 * * MON#6", "UTC", "cron"),
        (f"{'9' * 90} * * * *", "UTC", "cron"),
        ("* * * * *", "Mars/Olympus", "time_zone"),
        ("* * * * *", "../etc/passwd", "time_zone"),
        ("* * * * *", "Europe", "time_zone"),
        ("* * * * *", "", "time_zone"),
    ],
)
def test_what_never_comes_is_refused(cron: str, zone: str, field: str) -> None:
    """Saying which of the two is wrong."""
    with pytest.raises(InputRejected) as refused:
        check_cron(cron, zone, at=NOON)
    assert field == refused.value.field


def after(minutes: float) -> datetime:
    """Return the time so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_tick_on_time_makes_its_job(catch_up: CatchUp) -> None:
    """Whatever is to be done about missed ones, and also where several of them came within the grace."""
    assert Plan(after(1), after(2)) == planned(each(60), catch_up, after(1), at=after(1.5), grace_s=60)
    assert Plan(after(1), after(2)) == planned(each(60), catch_up, after(1), at=after(5), grace_s=300)


@pytest.mark.parametrize(
    ("catch_up", "at", "expected"),
    [
        # Hourly; nobody was there from 1 to 5 o'clock.
        (CatchUp.SKIP, 330, Plan(None, after(360), (after(60), after(300)))),
        (CatchUp.ONE, 330, Plan(after(300), after(360), (after(60), after(240)))),
        (CatchUp.ALL, 330, Plan(after(60), after(120))),
        # The last of them is on time.
        (CatchUp.SKIP, 300.5, Plan(None, after(300), (after(60), after(240)))),
        (CatchUp.ONE, 300.5, Plan(None, after(300), (after(60), after(240)))),
        (CatchUp.ALL, 300.5, Plan(after(60), after(120))),
    ],
)
def test_missed_ticks_are_made_up_for_as_asked(catch_up: CatchUp, at: float, expected: Plan) -> None:
    """By nothing, by one job, or by one each; what is left out is told."""
    assert expected == planned(each(3600), catch_up, after(60), at=after(at), grace_s=60)


def test_only_one_missed_tick_is_made_up_for_by_itself() -> None:
    """Nothing was left out then."""
    assert Plan(after(60), after(120)) == planned(each(3600), CatchUp.ONE, after(60), at=after(90), grace_s=60)


def test_of_very_many_missed_ticks_the_newest_are_made_up_for() -> None:
    """A month of minutes makes a hundred jobs."""
    minutes, done, due = each(60), 0, after(1)
    at = after(60 * 24 * 30)
    while True:
        plan = planned(minutes, CatchUp.ALL, due, at=at, grace_s=60)
        assert plan.next_at is not None
        if plan.tick is None:
            assert plan.skipped == (after(1), plan.next_at - timedelta(minutes=1))
        elif plan.tick > at - timedelta(seconds=60):
            break
        else:
            done += 1
        due = plan.next_at
    assert MOST_CAUGHT_UP == done
