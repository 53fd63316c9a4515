"""Addresses without end."""

import itertools

import pytest

from tasks.crawling.engine.traps import MAX_DATED, MAX_FILTERED, Traps, without_session

BASE = "https://example.org"


def kept(addresses: list[str]) -> int:
    traps = Traps(this_year=2026)
    return sum(not traps.is_trap(BASE + address) for address in addresses)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/a?PHPSESSID=8a7f2b6c9d0e1f2a3b4c", "/a"),
        ("/a;jsessionid=8A7F2B6C9D0E1F2A?b=1", "/a?b=1"),
        ("/a?b=1&utm_source=mail&utm_medium=x&c=2", "/a?b=1&c=2"),
        ("/a?b=1&gclid=x", "/a?b=1"),
        ("/a?sid=12", "/a?sid=12"),
        ("/a?s=how+to+weave", "/a?s=how+to+weave"),
        ("/a;v=1", "/a;v=1"),
        ("/a", "/a"),
    ],
)
def test_what_tells_visitors_apart_is_no_part_of_an_address(given: str, expected: str) -> None:
    """Session ids and marks of campaigns; short numbers under such names are something else."""
    assert BASE + expected == without_session(BASE + given)


@pytest.mark.parametrize(
    "month",
    ["/calendar/{0}/{1:02}", "/calendar/{0}-{1:02}/", "/events?year={0}&month={1}", "/events?date={0}-{1:02}-01"],
)
def test_calendar_is_followed_for_a_while_and_not_beyond_next_year(month: str) -> None:
    """A link to the next month never ends."""
    ahead = [month.format(year, number) for year in range(2026, 2100) for number in range(1, 13)]
    assert kept(ahead) == 24
    back = [month.format(year, number) for year in range(2025, 1925, -1) for number in range(1, 13)]
    assert kept(back) == MAX_DATED


def test_articles_with_dates_in_their_paths_are_no_calendar() -> None:
    """What follows the date tells them apart."""
    news = [f"/2024/{month:02}/{day:02}/story-{day}" for month in range(1, 13) for day in range(1, 29)]
    assert len(news) == kept(news)


def test_combinations_of_filters_are_followed_for_a_while() -> None:
    """Each alone, each pair, and some of the many together."""
    colours, sizes, makers = (f"c{n}" for n in range(12)), (f"s{n}" for n in range(12)), (f"m{n}" for n in range(12))
    facets = [f"/shoes?colour={c}&size={s}&maker={m}" for c, s, m in itertools.product(colours, sizes, makers)]
    assert kept(facets) == MAX_FILTERED
    assert kept([f"/shoes?colour=c{n}&page={n}" for n in range(900)]) == 900


def test_threads_named_by_numbers_are_no_filters() -> None:
    """As many forums have them: section, thread and place."""
    threads = [f"/viewtopic.php?f={n % 7}&t={n}&start={n % 3 * 15}" for n in range(2000)]
    assert len(threads) == kept(threads)


def test_path_that_grows_into_itself_is_left() -> None:
    """A relative link that is one level off leads ever deeper."""
    assert kept(["/a/b" * times for times in range(1, 9)]) == 3
    assert kept(["/x" * 3, "/" + "/".join(map(str, range(60)))]) == 1
