"""What a worker's child takes by itself, and what it tells of that; with a real Redis in the middle."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.utils.saferepr import saferepr
from structlog.testing import capture_logs

from tasks.core import ending
from tasks.core.carrier import Publisher
from tasks.core.errors import LedgerUnavailable, Permanent
from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, queries, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Delivery, Job, JobState
from tasks.core.run import JobTask, run_job
from tasks.core.streak import LONGEST_S, Streaks
from tasks.core.streak_telling import MOST, Followed, Told, read_told
from tasks.core.telemetry import Telemetry
from tasks.maintenance.contract import PING, SPECS, PingRequest, PingResult
from tasks.maintenance.engine import ping
from tests.samples import WORKER, carried

_LIMITS = (15.0, 10.0)


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


class Untimed(Streaks):
    """Takes messages however slow this machine is just now."""

    def note(self, kind: str, took_s: float) -> None:
        super().note(kind, 0.001)

    def take(self, kind: str, **asked: Any) -> Delivery | None:
        return super().take(kind, **(asked | {"began": time.monotonic()}))


@pytest.fixture
def untimed(kernel: Kernel, sender: Celery) -> Streaks:
    """Those of a child that knows pings to be brief, and cannot unlearn it."""
    prefix = sender.conf.broker_transport_options["global_keyprefix"]
    opened = Untimed(kernel.settings.redis_url, key_prefix=prefix)
    for _ in range(3):
        opened.note(PING, 0.001)
    return opened


@pytest.fixture
def streaks(kernel: Kernel, sender: Celery) -> Streaks:
    """Those of a child that knows pings to be brief."""
    prefix = sender.conf.broker_transport_options["global_keyprefix"]
    opened = Streaks(kernel.settings.redis_url, key_prefix=prefix)
    for _ in range(3):
        opened.note(PING, 0.001)
    return opened


@pytest.fixture
def publisher(sender: Celery) -> Publisher:
    return Publisher(sender)


def take(
    streaks: Streaks,
    kind: str = PING,
    *,
    queue: str = "maintenance",
    limits: Any = _LIMITS,
    since_s: float = 0.0,
    **of: int,
) -> Any:
    began = time.monotonic() - since_s
    return streaks.take(kind, queue=queue, limits=limits, began=began, **({"followed": 0} | of))


def run(kernel: Kernel, streaks: Streaks, job: Job, engine: Any = ping) -> Any:
    """Let Celery deliver ``job`` to a child."""
    request = SimpleNamespace(
        id=job.id,
        carry=job.carry,
        hostname=WORKER,
        delivery_info={"routing_key": job.queue},
        timelimit=[job.hard_limit_s, job.timeout_s],
    )
    app = SimpleNamespace(kernel=kernel, telemetry=Telemetry(), streaks=streaks)
    with capture_logs():
        return run_job(SimpleNamespace(app=app, request=request), SPECS[0], lambda: engine)


def states(kernel: Kernel, jobs: list[Job]) -> list[str]:
    return [str(queries.job(kernel.ledger, job.id).state) for job in jobs]


def test_messages_are_taken_in_the_order_in_which_they_were_sent(
    kernel: Kernel, tenant: Tenant, streaks: Streaks, publisher: Publisher
) -> None:
    """As Celery's parent takes them, until there is none."""
    jobs = [carried(kernel.ledger, tenant) for _ in range(3)]
    publisher.publish(jobs)
    assert [take(streaks) for _ in range(4)] == [*((job.id, job.carry) for job in jobs), None]


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "maintenance.sweep"},
        {"queue": "critical"},
        {"limits": (15.0, 9.0)},
        {"limits": (15.0, 0.5)},  # of which 0.1 s would be much
        {"limits": (14.0, 10.0)},
    ],
)
def test_other_kinds_queues_and_limits_are_left_to_the_parent(
    kernel: Kernel, tenant: Tenant, streaks: Streaks, publisher: Publisher, asked: dict[str, Any]
) -> None:
    """The message stays where it was."""
    job = carried(kernel.ledger, tenant)
    publisher.publish([job])
    for _ in range(3):
        streaks.note("maintenance.sweep", 0.001)
    assert take(streaks, **asked) is None
    assert take(streaks) == (job.id, job.carry)


def test_a_kind_is_brief_after_three_brief_attempts_and_until_a_long_one(
    kernel: Kernel, tenant: Tenant, streaks: Streaks, publisher: Publisher
) -> None:
    """Whatever is not known to be brief goes by way of the parent, which counts its time from the first moment."""
    publisher.publish([carried(kernel.ledger, tenant)])
    streaks.note(PING, 1.0)
    assert take(streaks) is None
    streaks.note(PING, 0.001)
    streaks.note(PING, 0.001)
    assert take(streaks) is None
    streaks.note(PING, 0.001)
    assert take(streaks) is not None


def test_nothing_begins_long_after_the_first_of_the_streak(
    kernel: Kernel, tenant: Tenant, streaks: Streaks, publisher: Publisher
) -> None:
    """The parent would end it so much too early."""
    publisher.publish([carried(kernel.ledger, tenant)])
    assert take(streaks, since_s=LONGEST_S + 0.01) is None


def test_a_slow_machine_runs_a_few_behind_the_first(
    kernel: Kernel, tenant: Tenant, streaks: Streaks, publisher: Publisher
) -> None:
    """Else each would go by way of the parent there; more than these are for a machine that is quicker."""
    job = carried(kernel.ledger, tenant)
    publisher.publish([job])
    assert take(streaks, since_s=0.2, followed=8) is None
    assert take(streaks, since_s=0.2, followed=7) == (job.id, job.carry)


def test_without_redis_nothing_follows() -> None:
    """The job that was run is not the worse for it."""
    streaks = Streaks("redis://127.0.0.1:1/0", key_prefix="")
    for _ in range(3):
        streaks.note(PING, 0.001)
    assert take(streaks) is None


def test_jobs_that_wait_are_run_behind_the_first_and_told(
    kernel: Kernel, tenant: Tenant, untimed: Streaks, publisher: Publisher
) -> None:
    """A void delivery among them is passed over."""
    first, *others = [carried(kernel.ledger, tenant) for _ in range(4)]
    publisher.publish([others[0], first, *others[1:]])  # the first is delivered once more
    told = run(kernel, untimed, first)
    text, followed = read_told(repr(told))
    assert text == "{'message': 'hello'}"
    assert [(one.job_id, one.result) for one in followed] == [(job.id, text) for job in others]
    assert states(kernel, [first, *others]) == ["succeeded"] * 4


def test_one_that_fails_is_told_as_such_and_the_next_still_runs(
    kernel: Kernel, tenant: Tenant, untimed: Streaks, publisher: Publisher
) -> None:
    """Each job ends as it would have by way of the parent."""
    first, bad, last = jobs = [carried(kernel.ledger, tenant, request={"message": text}) for text in ("a", "b", "c")]
    publisher.publish([bad, last])

    def engine(request: PingRequest, job: JobContext) -> PingResult:
        if request.message == "b":
            raise Permanent("It is b.", code="is_b")
        return ping(request, job)

    _, followed = read_told(repr(run(kernel, untimed, first, engine)))
    assert [one.result for one in followed] == [None, "{'message': 'c'}"]
    assert states(kernel, jobs) == ["succeeded", "failed", "succeeded"]


def test_ledger_that_is_away_as_a_job_ends_costs_no_job(
    kernel: Kernel, tenant: Tenant, untimed: Streaks, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends when the ledger is back; the one whose message was taken is carried again, as it is still queued."""
    first, second, third = jobs = [carried(kernel.ledger, tenant) for _ in range(3)]
    publisher.publish([second, third])
    both = transitions.succeed_and_claim

    def fail(ledger: Any, job: Job, **asked: Any) -> Any:
        assert (job.id, asked["following"].job_id) == (second.id, third.id)
        monkeypatch.setattr(transitions, "succeed_and_claim", both)
        raise LedgerUnavailable("It is away.")

    monkeypatch.setattr(transitions, "succeed_and_claim", fail)
    run(kernel, untimed, first)
    assert states(kernel, jobs) == ["succeeded", "succeeded", "queued"]
    assert queries.job(kernel.ledger, third.id) == third


def test_one_that_breaks_is_settled_by_itself_and_ends_the_streak(
    kernel: Kernel, tenant: Tenant, untimed: Streaks, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery knows of the first alone, which has ended well."""
    first, bad, last = jobs = [carried(kernel.ledger, tenant) for _ in range(3)]
    publisher.publish([bad, last])
    write = ending.write_end

    def fail(kernel: Kernel, job: Job, *args: Any, **options: Any) -> Any:
        if job.id == bad.id:
            raise ValueError("no database takes this")
        return write(kernel, job, *args, **options)

    monkeypatch.setattr("tasks.core.run.write_end", fail)
    assert run(kernel, untimed, first) == {"message": "hello"}
    assert states(kernel, jobs) == ["succeeded", "queued", "queued"]
    [attempt] = queries.attempts_of(kernel.ledger, bad.id)
    assert (attempt.outcome, attempt.cause) == ("retried", "internal_error")
    assert queries.job(kernel.ledger, last.id) == last


def test_one_that_would_begin_late_is_given_back(
    kernel: Kernel, tenant: Tenant, untimed: Streaks, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger took long to write; what was claimed with it goes back, and its attempt does not count."""
    first, slow, last = jobs = [carried(kernel.ledger, tenant) for _ in range(3)]
    publisher.publish([slow, last])
    write = ending.write_end

    def wait(kernel: Kernel, job: Job, *args: Any, **options: Any) -> Any:
        written = write(kernel, job, *args, **options)
        if job.id == slow.id:
            time.sleep(0.5)
        return written

    monkeypatch.setattr("tasks.core.run._LATEST_S", 0.4)
    monkeypatch.setattr("tasks.core.run.write_end", wait)
    run(kernel, untimed, first)
    assert states(kernel, jobs) == ["succeeded", "succeeded", "queued"]
    back = queries.job(kernel.ledger, last.id)
    assert back is not None
    assert (back.attempt, back.cause) == (0, "drained")


def test_a_streak_is_told_whole(
    kernel: Kernel, tenant: Tenant, streaks: Streaks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may be, with results as long as may be, fit into what Celery passes on."""
    monkeypatch.setattr("tasks.core.run._LATEST_S", 60.0)  # however slow this machine is
    jobs = [carried(kernel.ledger, tenant, request={"message": "ü" * 200}) for _ in range(MOST + 3)]
    waiting = [Delivery(job.id, job.carry) for job in jobs[1:]]
    streaks.take = lambda *_, **__: waiting.pop(0)  # type: ignore[method-assign]  # as above
    told = run(kernel, streaks, jobs[0])
    _, followed = read_told(saferepr(told, JobTask.resultrepr_maxsize))
    assert [one.job_id for one in followed] == [job.id for job in jobs[1 : MOST + 1]]
    assert states(kernel, jobs).count(JobState.QUEUED) == 2


def test_what_is_told_is_read_as_it_was() -> None:
    """Also text that looks like what stands between two jobs."""
    followed = [Followed("a", 0.25, "'x y\nz'"), Followed("b", 0.5, None)]
    assert read_told(repr(Told({"message": "a\N{SYMBOL FOR RECORD SEPARATOR}b"}, followed))) == (
        "{'message': 'a b'}",
        followed,
    )
    assert read_told("{'message': 'alone'}") == ("{'message': 'alone'}", [])
    forged = "{'message': 'a\N{SYMBOL FOR RECORD SEPARATOR}another 0.1 done'}"
    assert read_told(forged) == (forged, [])
