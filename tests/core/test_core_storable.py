"""What an engine says may hold what UTF-8 and PostgreSQL cannot: nobody else must suffer for it, nor the job's work."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

from tasks.core.callbacks.records import OwnCallback
from tasks.core.domain_events import Emissions
from tasks.core.errors import InputRejected
from tasks.core.ids import new_id
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, accepting, callbacks, deliveries, outbox, queries, replaying, schema, state_events
from tasks.core.ledger.deliveries import Wanted
from tasks.core.ledger.tenants import Tenant
from tasks.core.ledger.webhooks import own_webhook
from tasks.core.outcome import bounded
from tasks.core.records import Job, JobState
from tasks.core.relay import relay_unsent
from tasks.core.storable import storable_data
from tasks.maintenance.contract import SPECS, PingRequest
from tests.core.test_core_run import ended, raising, run, states
from tests.samples import a_job, ago, carried

# A service that cuts its message in the middle of an emoji says this, as JSON.
HALF = json.loads('"out of luck \\ud83d"')


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    job_id = new_id()
    job = a_job(tenant, id=job_id)
    asked = OwnCallback("http://127.0.0.1:1/", ["job.failed"])
    callback = own_webhook(asked, tenant.id, webhook_id=new_id(), sealed=None, at=job.created_at, job_id=job_id)
    return accepting.accept(kernel.ledger, job, may_publish=True, callback=callback).job


@pytest.mark.parametrize("text", ["a\0b", HALF], ids=ascii)
@pytest.mark.parametrize("error", [ValueError, lambda text: InputRejected(text, field=text)], ids=["bug", "input"])
def test_failure_of_any_words_is_told_and_can_be_retried(
    kernel: Kernel, job: Job, error: Callable[[str], Exception], text: str
) -> None:
    """By the stream, to callbacks, and by the record; whatever is told of all jobs goes on."""
    failed = ended(kernel, job, raising(error(text)))
    assert failed.error == storable_data(failed.error)
    assert ["queued", "running", "failed"] == states(kernel, job)
    callbacks.tell_transitions(kernel.ledger, keep_trying_s=60)
    (told,) = deliveries.page(kernel.ledger, Wanted(job.tenant_id), limit=10)
    assert failed.error == json.loads(told.body)["data"]["error"]
    again = replaying.replay(kernel.ledger, job.id, tenant_id=job.tenant_id)
    assert (JobState.QUEUED, again.attempt + SPECS[0].retry.max_attempts) == (again.state, again.max_attempts)


def test_words_that_were_kept_as_they_came_are_told_all_the_same(kernel: Kernel, tenant: Tenant) -> None:
    """What an earlier version wrote must not keep the relay from what comes after it."""
    poisoned, other = carried(kernel.ledger, tenant), carried(kernel.ledger, tenant)
    with kernel.ledger.write() as connection:
        mine = schema.state_events.update().where(schema.state_events.c.job_id == poisoned.id)
        connection.execute(mine.values(data={"state": "queued", "cause": HALF}))
    unsent = state_events.unsent_events(kernel.ledger, before=ago(-10))
    assert 2 == relay_unsent(kernel.ledger, kernel.events, unsent)
    assert [["queued"], ["queued"]] == [states(kernel, one) for one in (poisoned, other)]


def test_result_of_any_words_is_kept(kernel: Kernel, tenant: Tenant) -> None:
    """The work is done, and paid for; half of a character is no reason to lose it."""

    class Answered(BaseModel):
        answer: Any

    def engine(request: PingRequest, job: JobContext) -> BaseModel:
        job.delta({"text": HALF})
        job.emit("ping.answered", {HALF: [HALF]})
        return Answered(answer={HALF: HALF, "at": [HALF, 1, float("nan")], "on": date(2026, 11, 24)})

    job = carried(kernel.ledger, tenant)
    kept = {"out of luck ?": "out of luck ?", "at": ["out of luck ?", 1, None], "on": "2026-11-24"}
    assert {"answer": kept} == run(kernel, job, engine)
    assert JobState.SUCCEEDED == queries.job(kernel.ledger, job.id).state
    (delta,) = [event.data for event in kernel.events.read(job.id) if event.type == "delta"]
    assert {"text": "out of luck ?"} == delta
    outbox.number(kernel.ledger)
    (event,) = outbox.events_after(kernel.ledger, tenant.id, 0)
    assert {"out of luck ?": ["out of luck ?"]} == event.data


def test_number_that_is_none_is_kept_as_null(kernel: Kernel, tenant: Tenant) -> None:
    """As readers always got it from SQLite; PostgreSQL refuses it, and the job would be tried again and again."""

    class Figures(BaseModel):
        mean: float
        others: list[Any]

    kept = bounded(SPECS[0], Figures(mean=float("nan"), others=[float("inf"), 1.5, 2, 2**70, "ü"]))
    assert {"mean": None, "others": [None, 1.5, 2, 2**70, "ü"]} == kept
    kept = bounded(SPECS[0], Figures(mean=float("nan"), others=[HALF, float("-inf")]))
    assert {"mean": None, "others": ["out of luck ?", None]} == kept


def test_emission_is_told_in_words_that_can_be_told() -> None:
    """Whoever reads them gets UTF-8."""
    emissions = Emissions()
    emissions.add("site.crawled", {"title": HALF, "words": ["a\0b", 1, None]})
    assert {"title": "out of luck ?", "words": ["a\ufffdb", 1, None]} == emissions.emitted[0].data
