"""Submit and cancel: the ledger first, the carrier next, and no waiting for Redis."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from celery import Celery
from structlog.testing import capture_logs

from tasks.core.carrier import Carrier
from tasks.core.errors import IdempotencyKeyReused, InputRejected, LedgerUnavailable, NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, queries, transitions
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job, JobState
from tasks.core.redis_events import BELL_KEY
from tasks.core.relay import announce
from tasks.dispatch import cancel, cancel_matching, erase_matching, retry, retry_matching, submit, submit_many
from tasks.maintenance.contract import SPECS
from tasks.submission import Submission
from tests.samples import accepted, eventually, ledger_away, running
from tests.servers import RedisServer

SPEC = SPECS[0]


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def carrier(sender: Celery, kernel: Kernel) -> Iterator[Carrier]:
    carrier = Carrier(sender, kernel.ledger)
    with capture_logs():
        yield carrier
        carrier.close()


@pytest.fixture
def submission(tenant: Tenant) -> Submission:
    return Submission(tenant.id, {"message": "hello"}, idempotency_key="k", labels={"a": "b"})


def test_submitted_job_is_in_the_ledger_then_in_the_broker(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """With the limits of its kind where it asks for none."""
    answer = submit(kernel, carrier, SPEC, submission)
    job = queries.job(kernel.ledger, answer.job.id)
    assert job == answer.job
    assert (job.kind, job.queue, job.request) == (SPEC.kind, SPEC.queue, {"message": "hello"})
    assert (job.timeout_s, job.hard_limit_s, job.max_attempts) == (10.0, 15.0, 3)
    assert eventually(lambda: redis_server.client.llen("sy:maintenance") == 1)


def test_many_submitted_ring_for_the_dispatcher_which_carries_them(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """They are accepted together and published by nobody here."""
    answers = submit_many(
        kernel, carrier, [(SPEC, submission), (SPEC, replace(submission, idempotency_key=None)), (SPEC, submission)]
    )
    assert [False, False, True] == [answer.replayed for answer in answers]
    assert {None} == {queries.job(kernel.ledger, answer.job.id).published_at for answer in answers}
    assert eventually(lambda: redis_server.client.llen(BELL_KEY) == 1)


def test_one_item_over_its_limit_refuses_them_all(kernel: Kernel, carrier: Carrier, submission: Submission) -> None:
    """Nothing is written for the others."""
    with pytest.raises(InputRejected):
        submit_many(kernel, carrier, [(SPEC, submission), (SPEC, replace(submission, timeout_s=11.0))])
    assert not queries.listing(kernel.ledger, Filter(submission.tenant_id), limit=1).total


def test_kind_with_needs_is_left_to_the_dispatcher(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """Which knows whether a live worker meets them; the bell wakes it."""
    needy = replace(SPEC, capabilities=frozenset({"chromium"}))
    assert not submit(kernel, carrier, needy, submission).published
    assert eventually(lambda: redis_server.client.llen(BELL_KEY) == 1)


def test_shorter_limits_keep_the_distance_to_the_hard_one(
    kernel: Kernel, carrier: Carrier, submission: Submission
) -> None:
    """The engine always has the same time to clean up."""
    job = submit(kernel, carrier, SPEC, replace(submission, timeout_s=2.5, max_attempts=1)).job
    assert (job.timeout_s, job.hard_limit_s, job.max_attempts) == (2.5, 7.5, 1)


@pytest.mark.parametrize("over", [{"timeout_s": 10.5}, {"max_attempts": 4}])
def test_limit_over_the_kinds_is_refused(
    kernel: Kernel, carrier: Carrier, submission: Submission, over: dict[str, float]
) -> None:
    """The message names the field and the limit."""
    with pytest.raises(InputRejected, match="over the limit of maintenance") as refusal:
        submit(kernel, carrier, SPEC, replace(submission, **over))
    assert refusal.value.field == next(iter(over))


def test_repeat_is_neither_accepted_nor_published_again(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """The first job answers, also where only who asks differs."""
    first = submit(kernel, carrier, SPEC, submission)
    again = submit(kernel, carrier, SPEC, replace(submission, correlation_id="other", traceparent="other"))
    assert (again.job.id, again.replayed) == (first.job.id, True)
    carrier.close()
    assert redis_server.client.llen("sy:maintenance") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"request": {"message": "other"}},
        {"priority": 51},
        {"timeout_s": 5},
        {"max_attempts": 2},
        {"reference": "r"},
        {"labels": {"a": "c"}},
        {"site": "s"},
    ],
)
def test_key_covers_everything_that_shapes_the_job(
    kernel: Kernel, carrier: Carrier, submission: Submission, changes: dict[str, object]
) -> None:
    """A changed field is another request."""
    submit(kernel, carrier, SPEC, submission)
    with pytest.raises(IdempotencyKeyReused):
        submit(kernel, carrier, SPEC, replace(submission, **changes))


def test_key_does_not_see_the_order_of_fields(kernel: Kernel, carrier: Carrier, submission: Submission) -> None:
    """JSON objects have none."""
    first = submit(kernel, carrier, SPEC, replace(submission, request={"a": 1, "b": 2}))
    assert submit(kernel, carrier, SPEC, replace(submission, request={"b": 2, "a": 1})).job.id == first.job.id


def test_frozen_redis_holds_no_submit_up(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """Accepted jobs wait in the ledger, whether or not the carrier has noticed yet."""
    submit(kernel, carrier, SPEC, replace(submission, idempotency_key=None))
    redis_server.freeze()
    slowest = 0.0
    for _ in range(40):
        began = time.monotonic()
        submit(kernel, carrier, SPEC, replace(submission, idempotency_key=None))
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.03)
    redis_server.thaw()
    assert slowest < 0.3


def test_job_that_is_not_published_here_rings_the_dispatcher(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """It need not wait for the dispatcher's next tick."""
    for _ in range(33):
        submit(kernel, carrier, SPEC, replace(submission, idempotency_key=None))
    assert eventually(lambda: redis_server.client.llen(BELL_KEY) == 1)


def test_job_for_a_local_runner_never_reaches_the_broker(
    kernel: Kernel, carrier: Carrier, submission: Submission, redis_server: RedisServer
) -> None:
    """Neither when it is accepted nor when it is run again; the key stands for this choice, too."""
    local = replace(submission, backend="local")
    job = submit(kernel, carrier, SPEC, local).job
    cancel(kernel, job.id, tenant_id=job.tenant_id)
    again = retry(kernel, carrier, job.id, tenant_id=job.tenant_id)
    assert [None, None] == [job.published_at, again.published_at]
    assert submit(kernel, carrier, SPEC, local).replayed
    with pytest.raises(IdempotencyKeyReused):
        submit(kernel, carrier, SPEC, submission)
    carrier.close()
    assert redis_server.client.llen("sy:maintenance") == 0


def test_nothing_is_accepted_without_the_ledger(kernel: Kernel, carrier: Carrier, submission: Submission) -> None:
    """The caller hears it and tries again."""
    with ledger_away(kernel.ledger), pytest.raises(LedgerUnavailable):
        submit(kernel, carrier, SPEC, submission)
    assert not submit(kernel, carrier, SPEC, submission).replayed


def test_cancel_of_a_queued_job_is_seen_in_its_stream(kernel: Kernel, carrier: Carrier, submission: Submission) -> None:
    """Viewers hear the end at once."""
    job = submit(kernel, carrier, SPEC, submission).job
    assert cancel(kernel, job.id, tenant_id=job.tenant_id).state == JobState.CANCELLED
    assert kernel.events.read(job.id)[-1].is_terminal


def test_cancel_of_a_running_job_waits_for_its_worker(kernel: Kernel, tenant: Tenant) -> None:
    """Only the flag is set."""
    job = running(kernel.ledger, tenant)
    flagged = cancel(kernel, job.id, tenant_id=tenant.id)
    assert (flagged.state, flagged.cancel_requested_at is None) == (JobState.RUNNING, False)
    assert kernel.events.read(job.id) == []


def test_cancel_of_a_foreign_job_finds_none(kernel: Kernel, tenant: Tenant) -> None:
    """As if it did not exist."""
    with pytest.raises(NotFound):
        cancel(kernel, running(kernel.ledger, tenant).id, tenant_id="other")


def failed(kernel: Kernel, tenant: Tenant) -> Job:
    job = running(kernel.ledger, tenant)
    ended = transitions.finish(kernel.ledger, job.id, fence=job.fence, state=JobState.FAILED, cause="permanent")
    assert ended is not None
    return ended


def states_in_stream(kernel: Kernel, job: Job) -> list[str]:
    return [event.data["state"] for event in kernel.events.read(job.id)]


def test_retried_job_is_in_the_broker_at_once(
    kernel: Kernel, carrier: Carrier, tenant: Tenant, redis_server: RedisServer
) -> None:
    """As a submitted one is, with its state event in the stream."""
    job = failed(kernel, tenant)
    back = retry(kernel, carrier, job.id, tenant_id=tenant.id)
    assert back.published_at is not None
    assert eventually(lambda: redis_server.client.llen("sy:maintenance") == 1)
    assert eventually(lambda: states_in_stream(kernel, job) == ["queued", "running", "failed", "queued"])


def test_retried_job_behind_others_rings_for_the_dispatcher(
    kernel: Kernel, carrier: Carrier, tenant: Tenant, redis_server: RedisServer
) -> None:
    """It waits its turn."""
    job = failed(kernel, tenant)
    accepted(kernel.ledger, tenant)
    assert retry(kernel, carrier, job.id, tenant_id=tenant.id).published_at is None
    assert eventually(lambda: redis_server.client.llen(BELL_KEY) == 1)
    assert redis_server.client.llen("sy:maintenance") == 0


def test_many_are_cancelled_and_announced(kernel: Kernel, carrier: Carrier, tenant: Tenant) -> None:
    """Five hundred at once, in a few transactions; their streams end without the dispatcher's help."""
    jobs = [accepted(kernel.ledger, tenant) for _ in range(500)]
    with counted_commits(kernel.ledger) as commits:
        assert cancel_matching(kernel, carrier, Filter(tenant.id), limit=1000) == 500
    assert len(commits) <= 10
    assert eventually(lambda: states_in_stream(kernel, jobs[-1]) == ["queued", "cancelled"], within_s=30)


def test_many_are_retried(kernel: Kernel, carrier: Carrier, tenant: Tenant, redis_server: RedisServer) -> None:
    """The dispatcher carries them, as it has room."""
    jobs = [failed(kernel, tenant) for _ in range(3)]
    assert retry_matching(kernel, carrier, Filter(tenant.id), limit=2) == 2
    found = [queries.job(kernel.ledger, job.id) for job in jobs]
    assert ["queued", "queued", "failed"] == [job.state for job in found if job is not None]
    assert eventually(lambda: redis_server.client.llen(BELL_KEY) == 1)


def test_many_are_erased_with_what_they_left(kernel: Kernel, tenant: Tenant) -> None:
    """Rows, files and streams; also where Redis is away."""
    jobs = [failed(kernel, tenant) for _ in range(2)]
    for job in jobs:
        (kernel.artifacts.folder(job.id, 1)).mkdir(parents=True)
        announce(kernel.ledger, kernel.events, job)
    assert erase_matching(kernel, Filter(tenant.id), limit=10) == 2
    assert list(kernel.artifacts.job_ids()) == []
    assert [kernel.events.read(job.id) for job in jobs] == [[], []]


@contextmanager
def counted_commits(ledger: Ledger) -> Iterator[list[object]]:
    """Collect the transactions that are committed meanwhile."""
    commits: list[object] = []
    note = commits.append
    sa.event.listen(ledger._engine, "commit", note)
    try:
        yield commits
    finally:
        sa.event.remove(ledger._engine, "commit", note)
