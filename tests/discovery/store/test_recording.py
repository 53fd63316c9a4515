"""What a discovery leaves in the registry: versions where tools changed, marks where they are gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tasks.core.errors import InputRejected, JobSuperseded
from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import outbox
from tasks.core.ledger.tenants import Tenant
from tasks.discovery.store.recording import TOOLS_CHANGED, record_discovery
from tasks.discovery.store.records import Diff, Status, StoredTool
from tasks.discovery.store.tables import tools, versions
from tasks.discovery.store.tools import versions_of
from tasks.discovery.tool import Check, CheckName
from tests.discovery.tools import SITE, a_tool, ran, record
from tests.samples import running

Stored = Callable[[str], StoredTool]
Discover = Callable[..., Diff]


def told(ledger: Ledger) -> list[dict[str, object]]:
    statement = sa.select(outbox.c.data).where(outbox.c.type == TOOLS_CHANGED).order_by(outbox.c.id)
    with ledger.read() as connection:
        return list(connection.execute(statement).scalars())


def test_a_first_discovery_makes_tools(discover: Discover, stored: Stored) -> None:
    """Each as it was found, at version 1."""
    assert Diff(new=("a", "b")) == discover(a_tool("b"), a_tool("a"))
    found = stored("a")
    assert (a_tool("a"), 1, Status.ACTIVE, 0) == (found.tool, found.version, found.status, found.uses)


def test_a_second_discovery_tells_what_differs(discover: Discover, stored: Stored, ledger: Ledger) -> None:
    """Same, changed, gone, new; what is gone stays readable, and deprecated."""
    discover(a_tool("same"), a_tool("changed"), a_tool("gone"))
    diff = discover(a_tool("same"), a_tool("changed", description="Other."), a_tool("new"))
    assert Diff(same=("same",), changed=("changed",), gone=("gone",), new=("new",)) == diff
    assert (Status.DEPRECATED, 1) == (stored("gone").status, stored("gone").version)
    assert [1, 2, 1] == [stored(name).version for name in ("same", "changed", "new")]
    history = versions_of(ledger, stored("changed").id)
    assert [(2, "Other."), (1, "Search the catalogue of the shop.")] == [
        (one.version, one.tool.description) for one in history
    ]
    assert {"site": SITE, "new": ["new"], "changed": ["changed"], "gone": ["gone"]} == told(ledger)[-1]


def test_what_is_not_found_again_on_its_page_is_gone(discover: Discover, stored: Stored) -> None:
    """Where only some pages were looked at, tools of others stay; addresses are compared as browsers have them."""
    pages = {name: f"{SITE}/{name}" for name in "abc"}
    discover(*(a_tool(name, found_on=f"{page}#form") for name, page in pages.items()))
    diff = discover(a_tool("c", found_on=pages["c"]), is_whole=False, pages={pages["a"], pages["c"]})
    assert (("a",), ()) == (diff.gone, diff.new)
    assert [Status.DEPRECATED, Status.ACTIVE] == [stored(name).status for name in "ab"]


def test_another_assessment_makes_no_version(discover: Discover, stored: Stored, ledger: Ledger) -> None:
    """It is kept, with the newest version."""
    discover(a_tool("a"))
    assert Diff(same=("a",)) == discover(
        a_tool("a", confidence=0.5, evidence=("seen again",), wording={"title": "A", "description": "Does a."})
    )
    found = stored("a")
    assert (1, 0.5) == (found.version, found.tool.confidence)
    assert "A" == found.tool.words.title
    assert [found.tool] == [one.tool for one in versions_of(ledger, found.id)]
    assert 1 == len(told(ledger))


def test_a_tool_that_comes_back_is_new(discover: Discover, stored: Stored) -> None:
    """With its id and its history."""
    discover(a_tool("a"))
    before = stored("a")
    assert Diff(gone=("a",)) == discover()
    assert Diff() == discover()
    assert Diff(new=("a",)) == discover(a_tool("a"))
    assert (before.id, 1, Status.ACTIVE) == (stored("a").id, stored("a").version, stored("a").status)


def test_counters_survive_a_discovery(discover: Discover, stored: Stored, ledger: Ledger, alice: Tenant) -> None:
    """Whatever it finds; only the row of failures ends."""
    discover(a_tool("a"))
    for ok in (True, False, False):
        ran(ledger, alice, stored("a"), ok=ok)
    discover(a_tool("a", description="Other."))
    found = stored("a")
    assert (1, 2, 0, 2) == (found.runs_ok, found.runs_failed, found.failures_in_row, found.version)
    assert found.used_at is not None


def test_a_part_of_the_site_takes_nothing_away(discover: Discover, stored: Stored) -> None:
    """A discovery of one tool says nothing of the others."""
    discover(a_tool("a"))
    assert Diff(new=("b",)) == discover(a_tool("b"), is_whole=False)
    assert Status.ACTIVE is stored("a").status


def test_the_same_job_records_once(ledger: Ledger, alice: Tenant, stored: Stored) -> None:
    """A second attempt with the same tools gets the first answer; with others it counts."""
    job = running(ledger, alice)
    first = record(ledger, alice, a_tool("a"), job=job)
    assert Diff(new=("a",)) == first == record(ledger, alice, a_tool("a"), job=job)
    assert 1 == len(told(ledger))
    assert Diff(changed=("a",)) == record(ledger, alice, a_tool("a", title="B"), job=job)
    assert 2 == stored("a").version


def test_a_late_writer_is_refused(ledger: Ledger, alice: Tenant) -> None:
    """Who has lost the job to another claim leaves no trace."""
    job = running(ledger, alice)
    for late in (replace(job, fence=job.fence - 1), replace(job, id="01890000-0000-7000-8000-000000000000")):
        with pytest.raises(JobSuperseded):
            record(ledger, alice, a_tool("a"), job=late)
    with ledger.read() as connection:
        assert connection.execute(sa.select(tools)).first() is None


def test_tenants_and_sites_do_not_collide(ledger: Ledger, alice: Tenant, bob: Tenant, stored: Stored) -> None:
    """The same name is another tool elsewhere."""
    other = a_tool("a", site="https://other.example")
    record(ledger, alice, a_tool("a"))
    assert Diff(new=("a",)) == record(ledger, alice, other)
    assert Diff(new=("a",)) == record(ledger, bob, a_tool("a", title="Bob's"))
    assert ("A", Status.ACTIVE) == (stored("a").tool.title, stored("a").status)


def test_bad_lists_are_refused(ledger: Ledger, alice: Tenant) -> None:
    """Two of one name, or one of another site."""
    job = running(ledger, alice)
    with pytest.raises(InputRejected, match=r"Two tools of https://shop\.example are called 'a'"):
        record(ledger, alice, a_tool("a"), a_tool("a"), job=job)
    with pytest.raises(InputRejected, match=r"is of https://other\.example, not of"):
        record_discovery(ledger, job.id, job.fence, site=SITE, tools=[a_tool("a", site="https://other.example")])


def test_status_follows_the_assessment(discover: Discover, stored: Stored) -> None:
    """Not assessed is testing, not running is failed."""
    failed = (Check(name=CheckName.RUNS, passed=False),)
    discover(a_tool("a", confidence=None), a_tool("b", checks=failed))
    assert (Status.TESTING, Status.FAILED) == (stored("a").status, stored("b").status)


def test_discoveries_at_the_same_time_take_turns(ledger: Ledger, alice: Tenant, stored: Stored) -> None:
    """Four jobs find the same tool: one makes it, nobody fails."""
    jobs = [running(ledger, alice) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        diffs = list(threads.map(lambda job: record(ledger, alice, a_tool("a"), job=job), jobs))
    assert 1 == diffs.count(Diff(new=("a",)))
    assert 3 == diffs.count(Diff(same=("a",)))
    with ledger.read() as connection:
        assert 1 == len(connection.execute(versions.select()).all())
    assert 1 == stored("a").version
