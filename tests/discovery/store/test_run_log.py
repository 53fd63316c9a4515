"""What running tools leaves: counts, figures, notes, and a mark on what fails again and again."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import outbox
from tasks.core.ledger.tenants import Tenant
from tasks.discovery.contract import SiteRequest
from tasks.discovery.store.notes import judged
from tasks.discovery.store.recording import TOOLS_CHANGED
from tasks.discovery.store.records import Diff, RunFacts, Statistics, Status, StoredTool
from tasks.discovery.store.run_log import TOOL_STALE, record_run, runs_of, statistics_of
from tasks.discovery.store.tools import delete, facts_of
from tests.discovery.tools import SITE, a_tool, ran
from tests.samples import running

Stored = Callable[[str], StoredTool]
Discover = Callable[..., Diff]


@pytest.fixture
def tool(discover: Discover, stored: Stored) -> StoredTool:
    """A stored tool."""
    discover(a_tool("a"))
    return stored("a")


def test_figures_come_from_the_log(ledger: Ledger, alice: Tenant, tool: StoredTool) -> None:
    """Latency of what succeeded, by nearest rank; cost of what is known."""
    for number in range(1, 21):
        ran(ledger, alice, tool, took_ms=10.0 * number, cost_usd=0.5 if number > 18 else None)
    ran(ledger, alice, tool, ok=False, took_ms=60_000.0, error_code="timeout")
    found = statistics_of(ledger, [tool.id])[tool.id]
    assert Statistics(20, 1, 10.0, 105.0, 200.0, 190.0, 1.0, 0.5) == found
    assert pytest.approx(20 / 21) == found.success_rate
    assert {} == statistics_of(ledger, [])
    assert (None, None) == (Statistics().success_rate, Statistics().mean_cost_usd)


def test_the_log_is_read_newest_first(ledger: Ledger, alice: Tenant, tool: StoredTool) -> None:
    """In pages."""
    for number in range(3):
        ran(ledger, alice, tool, took_ms=float(number), ok=number != 1, error_code="x" if number == 1 else None)
    first = runs_of(ledger, tool.id, limit=2)
    assert [(2.0, True, None), (1.0, False, "x")] == [(run.took_ms, run.ok, run.error_code) for run in first]
    assert [0.0] == [run.took_ms for run in runs_of(ledger, tool.id, limit=2, before=first[-1].id)]


def test_an_attempt_counts_once(ledger: Ledger, alice: Tenant, tool: StoredTool, stored: Stored) -> None:
    """Noted twice it is one run."""
    job = running(ledger, alice)
    assert Status.ACTIVE is ran(ledger, alice, tool, job=job)
    assert Status.ACTIVE is ran(ledger, alice, tool, job=job, ok=False)
    assert (1, 0) == (stored("a").runs_ok, stored("a").runs_failed)


def test_failures_in_a_row_make_it_stale(ledger: Ledger, alice: Tenant, tool: StoredTool, stored: Stored) -> None:
    """The third, not one more of them all; then an event offers a discovery, once; a success makes it active."""
    outcomes = [False, False, True, False, False, False, False, True]
    statuses = [ran(ledger, alice, tool, ok=ok, error_code=None if ok else "timeout") for ok in outcomes]
    active, stale = Status.ACTIVE, Status.STALE
    assert [active] * 5 + [stale, stale, active] == statuses
    assert (active, 0) == (stored("a").status, stored("a").failures_in_row)
    with ledger.read() as connection:
        (event,) = connection.execute(sa.select(outbox).where(outbox.c.type == TOOL_STALE)).all()
        changed = sa.select(outbox.c.data).where(outbox.c.type == TOOLS_CHANGED).order_by(outbox.c.id.desc()).limit(1)
        assert ["a"] == connection.execute(changed).scalar_one()["changed"]
    assert alice.id == event.tenant_id
    expected = {"tool_id": tool.id, "site": SITE, "name": "a", "failures": 3, "error_code": "timeout"}
    again = {"kind": "discovery.site", "params": {"url": f"{SITE}/", "force": True}}
    assert expected | {"rediscover": again} == event.data
    assert SiteRequest.model_validate(again["params"])


def test_a_discovery_makes_a_stale_tool_active(
    ledger: Ledger, alice: Tenant, tool: StoredTool, discover: Discover, stored: Stored
) -> None:
    """It was found again, as it is."""
    ran(ledger, alice, tool, ok=False, stale_after=1)
    assert Status.STALE is stored("a").status
    assert stored("a").rediscovery is not None
    assert Diff(same=("a",)) == discover(a_tool("a"))
    assert (Status.ACTIVE, None) == (stored("a").status, stored("a").rediscovery)


def test_a_run_of_a_deleted_tool_is_nothing(ledger: Ledger, alice: Tenant, tool: StoredTool) -> None:
    """It was deleted while it ran."""
    delete(ledger, tool)
    assert None is ran(ledger, alice, tool)


def test_runs_leave_notes(ledger: Ledger, alice: Tenant, tool: StoredTool) -> None:
    """With their evidence; what is undecided is not told."""
    for ok in (True, True, False):
        ran(ledger, alice, tool, ok=ok, used=["argument q"] if ok else ["argument sort"], failed=["selector #go"])
    ran(ledger, alice, tool, used=["argument mixed"])
    ran(ledger, alice, tool, ok=False, used=["argument mixed"])
    told = {note.subject: (note.verdict, note.worked, note.failed) for note in facts_of(ledger, tool).notes}
    assert {
        "argument q": ("helpful", 2, 0),
        "argument sort": ("harmful", 0, 1),
        "selector #go": ("harmful", 0, 3),
    } == told


def test_a_note_is_a_running_mean() -> None:
    """It starts at 0.8 as if seen once, and is told from 0.7 on."""
    assert None is judged("x", worked=0, failed=0)
    note = judged("x", worked=3, failed=1)
    assert note is not None
    assert ("helpful", pytest.approx(3.8 / 5)) == (note.verdict, note.score)
    assert "x: worked in 3 of 4 runs" == note.text
    assert None is judged("x", worked=3, failed=2)


def test_notes_are_bounded(ledger: Ledger, alice: Tenant, tool: StoredTool) -> None:
    """The fifty newest subjects, of at most 200 characters."""
    for batch in range(4):
        ran(ledger, alice, tool, used=[f"argument {batch}-{number} {'x' * 300}" for number in range(20)])
    notes = facts_of(ledger, tool).notes
    assert 50 == len(notes)
    assert {200} == {len(note.subject) for note in notes}
    assert 20 == sum(note.subject.startswith("argument 3-") for note in notes)


def test_notes_take_any_name(ledger: Ledger, alice: Tenant, tool: StoredTool) -> None:
    """Whatever a page calls its inputs: what no database keeps is left out."""
    ran(ledger, alice, tool, used=["argument a\0b", "argument \ud800"])
    assert ["argument ?", "argument ab"] == sorted(note.subject for note in facts_of(ledger, tool).notes)


def test_no_other_tool_is_counted(ledger: Ledger, alice: Tenant, discover: Discover, stored: Stored) -> None:
    """Of two, one was run."""
    discover(a_tool("a"), a_tool("b"))
    job = running(ledger, alice)
    facts = RunFacts(ok=True, took_ms=1.0, backend="http")
    record_run(ledger, stored("a").id, facts, version=1, job_id=job.id, fence=job.fence, stale_after=3)
    assert (1, 0) == (stored("a").uses, stored("b").uses)
    assert Statistics() == facts_of(ledger, stored("b")).statistics
