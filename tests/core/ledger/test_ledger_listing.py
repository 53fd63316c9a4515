"""Reading: filters, cursor pages, true totals, depths and places in the queue."""

import pytest

from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.core.ledger import Ledger, carrying, queries, transitions
from tasks.core.ledger.queries import Filter, QueueDepth
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tests.samples import accepted, ago, carried, claimed, running


def listed(ledger: Ledger, tenant: Tenant, **wanted: object) -> list[str]:
    page = queries.listing(ledger, Filter(tenant.id, **wanted), limit=50)
    assert page.total == len(page.jobs)
    return [job.id for job in page.jobs]


def ended(ledger: Ledger, tenant: Tenant, state: JobState, *, dead: bool = False, **changes: object) -> Job:
    job = running(ledger, tenant, **changes)
    done = transitions.finish(ledger, job.id, fence=job.fence, state=state, cause="because", dead=dead)
    assert done is not None
    return done


def test_pages_follow_each_other_newest_first(ledger: Ledger, tenant: Tenant) -> None:
    """No job twice, none left out, and the total is of all pages."""
    jobs = [accepted(ledger, tenant) for _ in range(5)]
    found, cursor = [], None
    for size in (2, 2, 1):
        page = queries.listing(ledger, Filter(tenant.id), limit=2, cursor=cursor)
        assert (size, 5) == (len(page.jobs), page.total)
        found += page.jobs
        cursor = page.next_cursor
    assert cursor is None
    assert jobs[::-1] == found


def test_job_accepted_meanwhile_does_not_shift_the_next_page(ledger: Ledger, tenant: Tenant) -> None:
    """The cursor is a place, not a count."""
    jobs = [accepted(ledger, tenant) for _ in range(4)]
    first = queries.listing(ledger, Filter(tenant.id), limit=2)
    accepted(ledger, tenant)
    second = queries.listing(ledger, Filter(tenant.id), limit=2, cursor=first.next_cursor)
    assert [jobs[1], jobs[0]] == second.jobs


@pytest.mark.parametrize("cursor", ["x", "!!", "e30", "WzFd", "bnVsbA", "eyJiZWZvcmUiOiAiXHUwMDAwIn0", "ü"])
def test_foreign_cursor_is_refused(ledger: Ledger, tenant: Tenant, cursor: str) -> None:
    """Only what this API gave out is accepted."""
    with pytest.raises(InputRejected) as refusal:
        queries.listing(ledger, Filter(tenant.id), limit=2, cursor=cursor)
    assert refusal.value.field == "cursor"


def test_only_the_tenants_own_jobs_are_listed_and_counted(ledger: Ledger, tenant: Tenant) -> None:
    """Another tenant's rows are neither shown nor in the total."""
    accepted(ledger, tenant)
    assert listed(ledger, Tenant("other", "other")) == []
    assert queries.job(ledger, listed(ledger, tenant)[0], tenant_id="other") is None


def test_filter_by_state(ledger: Ledger, tenant: Tenant) -> None:
    """Several states may be asked for at once."""
    waiting, begun = accepted(ledger, tenant, queue="ai"), running(ledger, tenant)
    done = ended(ledger, tenant, JobState.SUCCEEDED)
    assert [begun.id] == listed(ledger, tenant, states=["running"])
    assert [done.id, waiting.id] == listed(ledger, tenant, states=["queued", "succeeded"])


@pytest.mark.parametrize("column", ["kind", "queue", "site", "reference"])
def test_filter_by_an_exact_value(ledger: Ledger, tenant: Tenant, column: str) -> None:
    """Equal, not similar."""
    wanted = accepted(ledger, tenant, **{column: "this"})
    accepted(ledger, tenant, **{column: "this2"})
    assert [wanted.id] == listed(ledger, tenant, **{column: "this"})


def test_filter_by_labels(ledger: Ledger, tenant: Tenant) -> None:
    """Every pair that is asked for must be there."""
    both = accepted(ledger, tenant, labels={"team": "blue", "env": "live"})
    one = accepted(ledger, tenant, labels={"team": "blue", "env": "test"})
    accepted(ledger, tenant, labels={"team": "live", "env": "blue"})
    assert [one.id, both.id] == listed(ledger, tenant, labels=[("team", "blue")])
    assert [both.id] == listed(ledger, tenant, labels=[("team", "blue"), ("env", "live")])
    assert listed(ledger, tenant, labels=[("team", "blu%")]) == []


def test_filter_by_creation_time(ledger: Ledger, tenant: Tenant) -> None:
    """From is inside the range, to is not."""
    times = [ago(30), ago(20), ago(10)]
    jobs = [accepted(ledger, tenant, created_at=at) for at in times]
    assert [jobs[2].id, jobs[1].id] == listed(ledger, tenant, created_from=times[1])
    assert [jobs[0].id] == listed(ledger, tenant, created_to=times[1])


def test_filter_by_death(ledger: Ledger, tenant: Tenant) -> None:
    """Dead are those whose attempts were used up."""
    dead = ended(ledger, tenant, JobState.FAILED, dead=True)
    refused = ended(ledger, tenant, JobState.FAILED)
    assert [dead.id] == listed(ledger, tenant, dead=True)
    assert [refused.id] == listed(ledger, tenant, dead=False)


@pytest.mark.parametrize("text", ["100%", "a_b", "a/b", "a\\b", "ORDER 7", "'; --"])
def test_text_is_searched_as_it_stands(ledger: Ledger, tenant: Tenant, text: str) -> None:
    """Neither % nor _ nor an escape character is a wildcard; case does not matter."""
    wanted = accepted(ledger, tenant, reference=f"x {text.lower()} y")
    accepted(ledger, tenant, reference="x 100 axb a-b order y")
    assert [wanted.id] == listed(ledger, tenant, text=text)


def test_text_is_searched_in_id_kind_site_and_cause(ledger: Ledger, tenant: Tenant) -> None:
    """Whatever of a job a person may remember."""
    job = accepted(ledger, tenant, site="docs.example.org")
    for text in (job.id[-12:], "maintenance.p", "DOCS.example", "accept"):
        assert [job.id] == listed(ledger, tenant, text=text)


def test_queue_depths_count_each_job_once(ledger: Ledger, tenant: Tenant) -> None:
    """Waiting is due, delayed is not, and the oldest waiting tells the age of the queue."""
    claimed(ledger, carried(ledger, tenant))
    oldest = carried(ledger, tenant, created_at=ago(60))
    accepted(ledger, tenant)
    accepted(ledger, tenant, not_before=ago(-60), created_at=ago(90))
    accepted(ledger, tenant, queue="ai", not_before=ago(-60))
    ended(ledger, tenant, JobState.FAILED, queue="voice")
    assert {
        "maintenance": QueueDepth("maintenance", 2, 1, 1, 1, oldest.created_at, 0, oldest.created_at),
        "ai": QueueDepth("ai", 0, 1, 0, 0, None),
    } == queries.queue_depths(ledger, at=now())


def test_what_a_limit_keeps_back_is_told_apart(ledger: Ledger, tenant: Tenant) -> None:
    """It waits, but makes nobody late; a delay that was asked for does not, either."""
    kept_back = accepted(ledger, tenant, parked=True, concurrency_key="k", created_at=ago(90))
    due = ago(10)
    accepted(ledger, tenant, created_at=ago(60), not_before=due)
    expected = QueueDepth("maintenance", 2, 0, 0, 0, kept_back.created_at, 1, due)
    assert {"maintenance": expected} == queries.queue_depths(ledger, at=now())


def test_queue_position_follows_priority_and_age(ledger: Ledger, tenant: Tenant) -> None:
    """One is next; other queues do not count."""
    low, first, second = (accepted(ledger, tenant, priority=priority) for priority in (10, 50, 50))
    accepted(ledger, tenant, queue="ai", priority=99)
    assert [queries.queue_position(ledger, job) for job in (low, first, second)] == [3, 1, 2]


def test_read_transaction_sees_one_snapshot(ledger: Ledger, tenant: Tenant) -> None:
    """A page and its total belong together although others write."""
    accepted(ledger, tenant)
    with ledger.read() as connection:
        before = carrying.published_count(connection, "maintenance")
        carrying.take_due(ledger, "maintenance")
        assert before == carrying.published_count(connection, "maintenance") == 0


def test_cause_of_a_listed_job_is_the_newest(ledger: Ledger, tenant: Tenant) -> None:
    """A listing shows why each job is where it is."""
    job = running(ledger, tenant)
    transitions.requeue(ledger, job.id, fence=1, cause=Cause.WORKER_LOST)
    (found,) = queries.listing(ledger, Filter(tenant.id), limit=1).jobs
    assert (found.state, found.cause) == (JobState.QUEUED, Cause.WORKER_LOST)
