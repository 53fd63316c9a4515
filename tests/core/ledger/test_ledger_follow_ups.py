"""Follow-ups in the ledger: started once by whoever finds them, at the place of the job that they follow."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tasks.core.artifacts import Artifacts
from tasks.core.callbacks.records import OwnCallback
from tasks.core.carriage import NoCarriage
from tasks.core.clock import now
from tasks.core.errors import Conflict
from tasks.core.follow_ups.plans import Branch, Plan
from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, accepting, carrying, follow_ups, limits, queries, replaying, tenants, transitions
from tasks.core.ledger.limits import Limit
from tasks.core.ledger.outbox import number
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.tenants import Tenant
from tasks.core.ledger.webhooks import own_webhook
from tasks.core.ledger_events import LedgerEvents
from tasks.core.records import FollowUpState, Job, JobState
from tasks.core.settings import Settings
from tasks.dispatch import cancel_chain, erase
from tasks.follow_ups import start_due
from tasks.registry import load_specs
from tests.integration.processes import REPOSITORY
from tests.samples import a_job, claimed

SPECS = load_specs()
PING = {"kind": "maintenance.ping", "params": {"message": {"$from": "/result/message"}}}


@pytest.fixture
def kernel(ledger: Ledger, tmp_path: Path) -> Kernel:
    """A kernel on the ledger alone."""
    settings = Settings(state_dir=tmp_path, ledger_url=ledger.url, profile="local")
    return Kernel(
        settings, ledger, LedgerEvents(ledger, maxlen=100, ttl_s=60), Artifacts(settings.resolved_storage_dir, ledger)
    )


def accept(ledger: Ledger, tenant: Tenant, plan: Plan, **changes: Any) -> Job:
    return accepting.accept(ledger, a_job(tenant, **changes), plan=plan, may_publish=True).job


def ended(ledger: Ledger, job: Job, state: JobState = JobState.SUCCEEDED, **values: Any) -> Job:
    """Run a job to an end."""
    if job.published_at is None:
        [job] = carrying.take_due(ledger, job.queue)
    running = claimed(ledger, job)
    if state is JobState.SUCCEEDED:
        values.setdefault("result", {"message": f"{job.request['message']}!"})
    if state is JobState.FAILED:
        values.setdefault("error", {"code": "permanent", "message": "broken"})
    done = transitions.finish(ledger, job.id, fence=running.fence, state=state, cause="because", **values)
    assert done is not None
    return done


def state_of(ledger: Ledger, job: Job) -> tuple[str | None, str | None]:
    link = follow_ups.link_of(ledger, job.id)
    assert link is not None
    return link.state, link.branch


def followers(ledger: Ledger, job: Job) -> list[Job]:
    return queries.listing(ledger, Filter(job.tenant_id, parent_id=job.id), limit=10).jobs


def test_a_result_starts_what_follows_it(kernel: Kernel, tenant: Tenant) -> None:
    """Once, filled from the result; the links lead both ways."""
    ledger = kernel.ledger
    job = accept(ledger, tenant, Plan(on_success=PING))
    assert 0 == start_due(kernel, SPECS)
    assert follow_ups.anything_waits(ledger)
    ended(ledger, job)
    assert [1, 0] == [start_due(kernel, SPECS) for _ in range(2)]
    [child] = followers(ledger, job)
    link, next_link = follow_ups.link_of(ledger, job.id), follow_ups.link_of(ledger, child.id)
    assert link is not None
    assert next_link is not None
    assert ({"message": "hello!"}, "queued") == (child.request, child.state)
    assert (FollowUpState.STARTED, "on_success", child.id) == (link.state, link.branch, link.child_id)
    assert (job.id, job.id, 1, None) == (next_link.parent_id, next_link.chain_id, next_link.depth, next_link.state)
    assert not follow_ups.anything_waits(ledger)


def test_a_request_has_no_text_that_requests_may_not_have(kernel: Kernel, tenant: Tenant) -> None:
    """A result may have a NUL; in a request, PostgreSQL could not read the fields by which jobs are carried."""
    job = accept(kernel.ledger, tenant, Plan(on_success=PING))
    ended(kernel.ledger, job, result={"message": "a\0b \ud83d"})
    start_due(kernel, SPECS)
    [child] = followers(kernel.ledger, job)
    assert {"message": "a\ufffdb ?"} == child.request


@pytest.mark.parametrize(
    ("when", "starts"),
    [
        ("/result/message", True),
        ("/result/none", False),
        ("/request/message", False),
        ("/parent/result/message", False),
    ],
)
def test_a_follow_up_starts_only_when_there_is_something(
    kernel: Kernel, tenant: Tenant, when: str, starts: bool
) -> None:
    """Nothing, or what is empty, starts nothing, and is no failure."""
    step = PING | {"when": when}
    job = accept(kernel.ledger, tenant, Plan(on_success=step), request={"message": ""})
    ended(kernel.ledger, job)
    assert 1 == start_due(kernel, SPECS)
    assert starts == bool(followers(kernel.ledger, job))
    expected = (FollowUpState.STARTED, "on_success") if starts else (FollowUpState.SKIPPED, None)
    assert expected == state_of(kernel.ledger, job)


def test_a_follow_up_takes_over_what_the_job_had(kernel: Kernel, tenant: Tenant) -> None:
    """Its priority and its place in line, its names and its callback; what the step names is the step's."""
    given = {"reference": "r", "labels": {"a": "b"}, "site": "s", "correlation_id": "c", "priority": 80}
    job = a_job(tenant, created_at=now() - timedelta(hours=1), backend="queue", **given)
    asked = OwnCallback("https://a.example", ["job.*"])
    callback = own_webhook(asked, job.tenant_id, webhook_id=new_id(), sealed=None, at=job.created_at, job_id=job.id)
    second = PING | {"reference": "other", "callback": {"url": "https://b.example", "events": ["job.failed"]}}
    plan = Plan(on_success=PING | {"on_success": second})
    accepting.accept(kernel.ledger, job, plan=plan, callback=callback, may_publish=True)
    ended(kernel.ledger, queries.job(kernel.ledger, job.id) or job)
    start_due(kernel, SPECS)
    [child] = followers(kernel.ledger, job)
    assert given | {"backend": "queue"} == {name: getattr(child, name) for name in (*given, "backend")}
    own = follow_ups.own_callback_of(kernel.ledger, child.id)
    assert own is not None
    assert ("https://a.example", ["job.*"]) == (own.url, own.events)
    assert child.created_at > job.created_at
    assert [job.place] * 2 == [place_of(kernel.ledger, one) for one in (job, child)]
    ended(kernel.ledger, child)
    start_due(kernel, SPECS)
    [grandchild] = followers(kernel.ledger, child)
    own = follow_ups.own_callback_of(kernel.ledger, grandchild.id)
    assert own is not None
    assert ("other", "https://b.example", {"message": "hello!!"}) == (
        grandchild.reference,
        own.url,
        grandchild.request,
    )
    assert job.place == place_of(kernel.ledger, grandchild)


def place_of(ledger: Ledger, job: Job) -> int:
    with ledger.read() as connection:
        return int(connection.execute(jobs.select().where(jobs.c.id == job.id)).one().place)


def test_a_follow_up_goes_before_what_was_accepted_after_the_chain(kernel: Kernel, tenant: Tenant) -> None:
    """It does not line up anew."""
    job = accept(kernel.ledger, tenant, Plan(on_success=PING), created_at=now() - timedelta(minutes=1))
    late = accepting.accept(kernel.ledger, a_job(tenant)).job
    ended(kernel.ledger, job)
    start_due(kernel, SPECS)
    assert [followers(kernel.ledger, job)[0].id, late.id] == [
        one.id for one in carrying.take_due(kernel.ledger, "maintenance")
    ]


def test_each_end_has_its_branch(kernel: Kernel, tenant: Tenant) -> None:
    """A failure starts the other one, with the error; an end without one starts nothing."""
    on_failure = {"kind": "maintenance.ping", "params": {"message": {"$from": "/error/code"}}}
    both, one = Plan(PING, on_failure), Plan(on_success=PING)
    failing = [accept(kernel.ledger, tenant, plan) for plan in (both, one)]
    for job in failing:
        ended(kernel.ledger, job, JobState.FAILED)
    start_due(kernel, SPECS)
    [child] = followers(kernel.ledger, failing[0])
    assert {"message": "permanent"} == child.request
    assert [(FollowUpState.STARTED, "on_failure"), (FollowUpState.SKIPPED, None)] == [
        state_of(kernel.ledger, job) for job in failing
    ]


def test_expiry_counts_as_failure_and_a_cancel_as_neither(kernel: Kernel, tenant: Tenant) -> None:
    """Cancelling a job cancels what was to follow."""
    plan = Plan(PING, {"kind": "maintenance.ping", "params": {"message": {"$from": "/error/code"}}})
    late = accept(kernel.ledger, tenant, plan, expires_at=now() - timedelta(seconds=1))
    cancelled = accept(kernel.ledger, tenant, plan)
    transitions.expire(kernel.ledger)
    transitions.request_cancel(kernel.ledger, cancelled.id, tenant_id=tenant.id)
    start_due(kernel, SPECS)
    assert [{"message": "expired"}] == [child.request for child in followers(kernel.ledger, late)]
    assert [] == followers(kernel.ledger, cancelled)
    assert (FollowUpState.SKIPPED, None) == state_of(kernel.ledger, cancelled)


@pytest.mark.parametrize(
    ("step", "code", "field"),
    [
        (PING | {"params": {"message": {"$from": "/result/no"}}}, "input_rejected", "on_success.params.message"),
        (PING | {"params": {"message": {"$from": "/result"}}}, "input_rejected", "on_success.params.message"),
        (PING | {"kind": "no.more"}, "unknown_kind", "on_success.kind"),
        (PING | {"timeout_s": 1e6}, "input_rejected", "on_success.timeout_s"),
    ],
)
def test_what_cannot_follow_is_told(
    kernel: Kernel, tenant: Tenant, step: dict[str, Any], code: str, field: str
) -> None:
    """On the record of the job that ended and as a domain event, once; never in silence."""
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(on_success=step)))
    assert [1, 0] == [start_due(kernel, SPECS) for _ in range(2)]
    link = follow_ups.link_of(kernel.ledger, job.id)
    assert link is not None
    assert (FollowUpState.FAILED, code, field) == (link.state, (link.error or {})["code"], (link.error or {})["field"])
    assert [] == followers(kernel.ledger, job)
    assert 1 == number(kernel.ledger)


def test_a_check_that_raises_anything_stops_nobody(kernel: Kernel, tenant: Tenant) -> None:
    """It is a failure of that follow-up; the next one is started."""

    class Broken(Mapping[str, Any]):
        def __getitem__(self, kind: str) -> Any:
            if kind == "crawling.site":
                raise ZeroDivisionError
            return SPECS[kind]

        def __iter__(self) -> Any:
            return iter(SPECS)

        def __len__(self) -> int:
            return len(SPECS)

    plans = [Plan({"kind": "crawling.site", "params": {}}), Plan(PING)]
    both = [ended(kernel.ledger, accept(kernel.ledger, tenant, plan)) for plan in plans]
    assert 2 == start_due(kernel, Broken())
    assert [FollowUpState.FAILED, FollowUpState.STARTED] == [state_of(kernel.ledger, job)[0] for job in both]


def test_two_that_find_the_same_end_start_one_follow_up(kernel: Kernel, tenant: Tenant) -> None:
    """Whoever comes second finds it done."""
    done = [ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(PING))) for _ in range(5)]
    barrier = Barrier(2)

    def start() -> None:
        barrier.wait()
        start_due(kernel, SPECS)

    with ThreadPoolExecutor(2) as pool:
        for waiting in [pool.submit(start) for _ in range(2)]:
            waiting.result()
    assert [1] * 5 == [len(followers(kernel.ledger, job)) for job in done]


# Ends itself without a word: in the middle of the transaction, or right behind it.
_DYING = """
import os, signal, sys
from pathlib import Path
import tasks.follow_ups
from tasks.core.ledger import accepting
from tasks.core.kernel import open_kernel
from tasks.core.settings import Settings
from tasks.registry import load_specs

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "within":
    accepting.note_started = die
else:
    tasks.follow_ups.log.info = die
kernel = open_kernel(Settings(state_dir=Path(sys.argv[2]), ledger_url=sys.argv[3], profile="local"))
tasks.follow_ups.start_due(kernel, load_specs())
"""


@pytest.mark.parametrize(("dies", "started"), [("within", 0), ("behind", 1)])
def test_a_death_loses_and_doubles_nothing(
    kernel: Kernel, tenant: Tenant, tmp_path: Path, dies: str, started: int
) -> None:
    """Killed before the commit, nothing was there; behind it, all was."""
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(PING)))
    command = [sys.executable, "-c", _DYING, dies, str(tmp_path), kernel.ledger.url]
    died = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert -signal.SIGKILL == died.returncode, died.stderr
    assert started == len(followers(kernel.ledger, job))
    assert bool(started) is not follow_ups.anything_waits(kernel.ledger)
    start_due(kernel, SPECS)
    [child] = followers(kernel.ledger, job)
    assert (FollowUpState.STARTED, "on_success") == state_of(kernel.ledger, job)
    assert {"message": "hello!"} == child.request


def test_an_end_that_was_left_meanwhile_starts_nothing(kernel: Kernel, tenant: Tenant) -> None:
    """Somebody retried the job between the look and the act; the new end decides."""
    plan = Plan(PING, PING | {"params": {}})
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, plan), JobState.FAILED)
    [found] = follow_ups.due(kernel.ledger, limit=10)
    replaying.replay(kernel.ledger, job.id, tenant_id=tenant.id)
    assert not follow_ups.note_skipped(kernel.ledger, found)
    assert not accepting.accept_follow_up(kernel.ledger, found, Branch.FAILURE, a_job(tenant), plan=Plan())
    assert 1 == queries.listing(kernel.ledger, Filter(tenant.id), limit=10).total
    ended(kernel.ledger, queries.job(kernel.ledger, job.id) or job)
    start_due(kernel, SPECS)
    assert (FollowUpState.STARTED, "on_success") == state_of(kernel.ledger, job)


def test_a_retried_job_is_followed_at_its_new_end_too(kernel: Kernel, tenant: Tenant) -> None:
    """Each end is another fact. What followed the first one stays."""
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(PING, PING | {"params": {}})), JobState.FAILED)
    start_due(kernel, SPECS)
    replaying.replay(kernel.ledger, job.id, tenant_id=tenant.id)
    assert (FollowUpState.WAITING, None) == state_of(kernel.ledger, job)
    [failed] = followers(kernel.ledger, job)
    transitions.request_cancel(kernel.ledger, failed.id, tenant_id=tenant.id)
    ended(kernel.ledger, queries.job(kernel.ledger, job.id) or job)
    start_due(kernel, SPECS)
    assert [{"message": "hello!"}, {"message": ""}] == [child.request for child in followers(kernel.ledger, job)]


def test_cancelled_chain_goes_no_further(kernel: Kernel, tenant: Tenant) -> None:
    """Whether its newest job waits, or has just ended and is to be followed."""
    plan = Plan(PING | {"on_success": PING})
    for is_started in (False, True):
        job = ended(kernel.ledger, accept(kernel.ledger, tenant, plan))
        if is_started:
            start_due(kernel, SPECS)
        changed = cancel_chain(kernel, NoCarriage(), job.id, tenant_id=tenant.id)
        start_due(kernel, SPECS)
        assert int(is_started) == changed
        assert [JobState.CANCELLED] * changed == [child.state for child in followers(kernel.ledger, job)]
        assert not follow_ups.anything_waits(kernel.ledger)


def test_quotas_do_not_refuse_what_was_accepted_with_its_chain(kernel: Kernel, tenant: Tenant) -> None:
    """Limits keep it back as any other job."""
    limits.set_limit(kernel.ledger, Limit(tenant.id, "*", most_queued=0, most_at_once=1))
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(PING)))
    start_due(kernel, SPECS)
    [child] = followers(kernel.ledger, job)
    assert (True, True) == (child.parked, child.limited)


def test_erased_parent_leaves_its_follow_up(kernel: Kernel, tenant: Tenant) -> None:
    """And a job that is erased before it is followed takes along what was to follow."""
    first, second = (ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(PING))) for _ in range(2))
    follow_ups_before = follow_ups.due(kernel.ledger, limit=10)
    erase(kernel, second.id, tenant_id=tenant.id)
    assert not follow_ups.note_skipped(kernel.ledger, follow_ups_before[1])
    start_due(kernel, SPECS)
    [child] = followers(kernel.ledger, first)
    erase(kernel, first.id, tenant_id=tenant.id)
    ended(kernel.ledger, child)
    link = follow_ups.link_of(kernel.ledger, child.id)
    assert link is not None
    assert first.id == link.parent_id
    with pytest.raises(Conflict):
        transitions.request_cancel(kernel.ledger, child.id, tenant_id=tenant.id)


def test_pointers_reach_the_jobs_before(kernel: Kernel, tenant: Tenant) -> None:
    """As long as the ledger has them."""
    second = PING | {"params": {"message": {"$from": "/parent/request/message"}}}
    third = PING | {"params": {"message": {"$from": "/parent/parent/job/id", "default": "gone"}}}
    chain = Plan(PING | {"on_success": second | {"on_success": third}})
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, chain, request={"message": "first"}))
    start_due(kernel, SPECS)
    [one] = followers(kernel.ledger, job)
    ended(kernel.ledger, one)
    start_due(kernel, SPECS)
    [two] = followers(kernel.ledger, one)
    assert {"message": "first"} == two.request
    erase(kernel, job.id, tenant_id=tenant.id)
    ended(kernel.ledger, two)
    start_due(kernel, SPECS)
    assert [{"message": "gone"}] == [three.request for three in followers(kernel.ledger, two)]


def test_tenants_are_kept_apart(kernel: Kernel, tenant: Tenant) -> None:
    """A chain's jobs are of the tenant of its first."""
    other = tenants.named(kernel.ledger, "other")
    job = ended(kernel.ledger, accept(kernel.ledger, tenant, Plan(PING)))
    start_due(kernel, SPECS)
    assert 0 == queries.listing(kernel.ledger, Filter(other.id, chain_id=job.id), limit=10).total
    assert 2 == queries.listing(kernel.ledger, Filter(tenant.id, chain_id=job.id), limit=10).total
