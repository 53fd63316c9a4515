"""Sites and releases in the ledger, on SQLite and PostgreSQL alike; each tenant's apart."""

import pytest

from tasks.core.errors import JobSuperseded, NotFound
from tasks.core.ledger import Ledger, audit, transitions
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Cause, Job, JobState
from tasks.publishing.release import Act
from tasks.publishing.store import sites as stored_sites
from tasks.publishing.store.actions import actions_of
from tasks.publishing.store.records import LedgerRecords
from tests.discovery.tools import SITE, a_tool, record
from tests.publishing.releases import manifest_of, release_facts
from tests.samples import claimed, running


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    """On each database."""
    return either_ledger


def a_tenant(ledger: Ledger, name: str = "alice") -> Tenant:
    tenant = tenant_of(ledger, create_key(ledger, tenant=name, name="k"))
    assert tenant is not None
    return tenant


def end(ledger: Ledger, job: Job) -> None:
    assert transitions.finish(
        ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, result={}, progress=None
    )


def test_one_job_has_a_site_and_the_others_follow_in_order(ledger: Ledger) -> None:
    """A second waits until the first has left or ended, the older of two first; other sites are free."""
    tenant, records = a_tenant(ledger), LedgerRecords(ledger)
    first, second, third = (running(ledger, tenant) for _ in range(3))
    assert records.take_turn(first, "docs")
    assert not records.take_turn(third, "docs")
    assert not records.take_turn(second, "docs")
    assert records.take_turn(third, "blog")
    assert records.take_turn(running(ledger, a_tenant(ledger, "bob")), "docs")
    assert records.take_turn(first, "docs"), "asked again"
    records.leave(first, "docs")
    assert not records.take_turn(third, "docs")
    assert records.take_turn(second, "docs")
    end(ledger, second)
    assert records.take_turn(third, "docs"), "the holder has ended without leaving"


def test_who_lost_the_job_loses_the_site(ledger: Ledger) -> None:
    """A zombie can neither keep its turn nor write; the next attempt of the same job can."""
    tenant, records = a_tenant(ledger), LedgerRecords(ledger)
    zombie = running(ledger, tenant)
    assert records.take_turn(zombie, "docs")
    waiting = transitions.requeue(ledger, zombie.id, fence=zombie.fence, cause=Cause.WORKER_LOST, delay_s=0)
    assert waiting is not None
    again = claimed(ledger, waiting)
    assert records.take_turn(again, "docs")
    assert not records.take_turn(running(ledger, tenant), "docs")
    for act in (
        lambda: records.take_turn(zombie, "docs"),
        lambda: records.keep(zombie, release_facts("docs")),
        lambda: records.mark_live(zombie, "docs", "a" * 64, Act.PUBLISHED),
        lambda: records.take_back(zombie, "docs", "a" * 64, previous=None),
        lambda: records.note_purge(zombie, "docs", urls=1, tags=()),
        lambda: records.note_stages(zombie, "docs", "a" * 64, {}),
        lambda: records.forget(zombie, "docs", ["a" * 64]),
    ):
        with pytest.raises(JobSuperseded):
            act()
    records.leave(zombie, "docs")
    assert records.take_turn(again, "docs"), "what a zombie leaves is not its own"


def test_live_and_previous_follow_what_is_made_live(ledger: Ledger) -> None:
    """Again is harmless, and a release that went live is no preview any more."""
    tenant, records = a_tenant(ledger), LedgerRecords(ledger)
    job = running(ledger, tenant)
    one, two = manifest_of(index="one"), manifest_of(index="two")
    records.keep(job, release_facts("docs", one))
    records.mark_live(job, "docs", one.release, Act.PUBLISHED)
    records.keep(job, release_facts("docs", two, is_preview=True))
    assert [True, False] == [found.is_preview for found in records.kept(job, "docs")]
    for _ in range(2):
        records.mark_live(job, "docs", two.release, Act.PUBLISHED)
        site = records.site(job, "docs")
        assert site is not None
        assert (two.release, one.release) == (site.live, site.previous)
    records.keep(job, release_facts("docs", one, is_preview=True))
    records.note_stages(job, "docs", two.release, {"building": 1.5})
    kept = {found.release: found for found in records.kept(job, "docs")}
    assert not any(found.is_preview for found in kept.values())
    assert {"building": 1.5} == kept[two.release].stages
    records.forget(job, "docs", [one.release, two.release])
    assert 2 == len(records.kept(job, "docs")), "live and previous stay"


def test_what_goes_live_is_in_the_book_of_changes(ledger: Ledger) -> None:
    """Once, with what was live before; by which job, and who that said it was."""
    tenant, records = a_tenant(ledger), LedgerRecords(ledger)
    job = running(ledger, tenant, request={"by": "carol"})
    one, two = manifest_of(index="one"), manifest_of(index="two")
    for manifest in (one, two):
        records.keep(job, release_facts("docs", manifest))
        for _ in range(2):
            records.mark_live(job, "docs", manifest.release, Act.PUBLISHED)
    records.take_back(job, "docs", one.release, previous=None)
    records.note_purge(job, "docs", urls=3, tags=("docs",))
    site = records.site(job, "docs")
    assert site is not None
    assert (one.release, None) == (site.live, site.previous)
    found = audit.entries(ledger, audit.Wanted(tenant_id=tenant.id, subject="docs"), limit=10)
    assert {(f"job {job.id}", "carol")} == {(entry.who, entry.details["by"]) for entry in found}
    assert [
        ("site.purged", None, None),
        ("site.taken_back", two.release, one.release),
        ("site.published", one.release, two.release),
        ("site.published", None, one.release),
    ] == [(entry.what, entry.details.get("before"), entry.details.get("after")) for entry in found]
    assert {"urls": 3, "tags": ["docs"], "by": "carol"} == found[0].details
    records.mark_live(job, "docs", two.release, Act.FOUND)
    (entry,) = audit.entries(ledger, audit.Wanted(what="site.found_live"), limit=1)
    assert {"before": one.release, "after": two.release} == entry.details, "who did it is not known"


def test_the_front_door_reads_what_jobs_wrote(ledger: Ledger) -> None:
    """A tenant's own; a manifest by the beginning of its release's name."""
    tenant, records = a_tenant(ledger), LedgerRecords(ledger)
    job = running(ledger, tenant)
    one, two = manifest_of(index="one"), manifest_of(index="two", other="three")
    for manifest in (one, two):
        records.keep(job, release_facts("docs", manifest))
    records.mark_live(job, "docs", two.release, Act.PUBLISHED)
    (summary,) = stored_sites.list_sites(ledger, tenant.id)
    assert ("docs", 2) == (summary.site.name, summary.kept)
    assert summary.live is not None
    assert (two.release, 2, "alice") == (summary.live.release, summary.live.files, summary.live.by)
    assert [two.release, one.release] == [one.release for one in stored_sites.list_releases(ledger, tenant.id, "docs")]
    assert one == stored_sites.manifest_of(ledger, tenant.id, "docs", one.release[:10])
    for wrong in ("", "f" * 64, "%"):
        with pytest.raises(NotFound):
            stored_sites.manifest_of(ledger, tenant.id, "docs", wrong)
    stranger = a_tenant(ledger, "bob")
    assert [] == stored_sites.list_sites(ledger, stranger.id)
    with pytest.raises(NotFound):
        stored_sites.find_site(ledger, stranger.id, "docs")


def test_actions_are_the_active_tools_of_the_origin(ledger: Ledger) -> None:
    """As MCP tools, of the job's own tenant."""
    tenant = a_tenant(ledger)
    record(ledger, tenant, a_tool("search"), a_tool("weak", confidence=None))
    job = running(ledger, tenant)
    found = actions_of(ledger, job, SITE)
    assert "search" in {one["name"] for one in found}
    assert {"name", "title", "description", "inputSchema", "annotations"} == found[0].keys()
    assert [] == actions_of(ledger, job, "https://other.example")
    assert [] == actions_of(ledger, running(ledger, a_tenant(ledger, "bob")), SITE)
