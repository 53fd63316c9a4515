"""How often one host is asked."""

import asyncio
import itertools
import time

from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.politeness import Politeness
from tests.crawling.conftest import MakeJob
from tests.crawling.local_site import LocalSite


def starts(politeness: Politeness, *hosts: str, hold_s: float = 0.0) -> list[float]:
    """Take a turn at each host, all at once; return seconds from the first start, sorted."""

    async def run() -> list[float]:
        times: list[float] = []

        async def turn(host: str) -> None:
            async with politeness.gate(host).turn():
                times.append(time.monotonic())
                await asyncio.sleep(hold_s)

        await asyncio.gather(*(turn(host) for host in hosts))
        return [at - min(times) for at in sorted(times)]

    return asyncio.run(run())


def test_requests_to_one_host_start_a_delay_apart() -> None:
    """However many want to start at once."""
    times = starts(Politeness(delay_s=0.2, concurrency=8), "a", "a", "a", "a")
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times))


def test_hosts_do_not_wait_for_each_other() -> None:
    """The delay is the host's own."""
    assert starts(Politeness(delay_s=5, concurrency=8), "a", "b", "c")[-1] < 1


def test_only_so_many_requests_are_under_way() -> None:
    """Slow answers slow the crawl down, even without a delay."""
    times = starts(Politeness(delay_s=0, concurrency=2), "a", "a", "a", hold_s=0.5)
    assert times[1] < 0.4 < times[2]


def test_stated_delay_only_ever_slows() -> None:
    """A shorter Crawl-delay does not hurry a crawl that was asked to go slowly."""
    gate = Politeness(delay_s=1, concurrency=1).gate("a")
    gate.slow_to(0.5)
    assert gate.delay_s == 1
    gate.slow_to(2)
    assert gate.delay_s == 2


def test_next_attempt_knows_what_a_host_asks_for(site: LocalSite, make_job: MakeJob) -> None:
    """Without asking it, for pages that an earlier attempt kept; and without waiting for its own first turn."""
    with CrawlState.of(make_job(site)) as state:
        Politeness(delay_s=1, concurrency=1, state=state).slow("a", to_delay_s=7)
        again = Politeness(delay_s=1, concurrency=1, state=state)
        assert (7, 7, 0) == (again.gate("a").stated_delay_s, again.gate("a").delay_s, again.gate("a").next_start)
        assert (0, 1) == (again.gate("b").stated_delay_s, again.gate("b").delay_s)
        assert again.slowest is again.gate("a")


def test_pause_holds_back_the_next_start() -> None:
    """What a Retry-After asked for holds for the whole host."""
    politeness = Politeness(delay_s=0, concurrency=2)
    began = time.monotonic()
    politeness.gate("a").pause(0.1)
    starts(politeness, "a")
    assert time.monotonic() - began >= 0.1


def test_host_in_trouble_is_asked_by_half_as_many_until_it_answers() -> None:
    """Requests that were under way together count as one trouble; answers make room again, up to what was asked."""
    gate = Politeness(delay_s=0, concurrency=8).gate("a")
    gate.overloaded()
    gate.overloaded()
    assert gate.limit == 4
    for _ in range(100):
        gate.answered()
    assert gate.limit == 8


def test_limit_never_falls_below_one_and_holds() -> None:
    """A slower host is still asked, one request at a time; a turn that is cancelled gives its slot back."""

    async def run() -> list[str]:
        gate = Politeness(delay_s=0, concurrency=2).gate("a")
        gate.overloaded()
        order: list[str] = []

        async def turn(name: str) -> None:
            async with gate.turn():
                order.append(f"{name}+")
                await asyncio.sleep(0.01)
                order.append(f"{name}-")

        tasks = [asyncio.create_task(turn(name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.limit == 1
        return order

    assert asyncio.run(run()) == ["a+", "a-", "c+", "c-", "d+", "d-"]
