"""The broker carries; losing what it carries loses no job."""

import psutil
import pytest

from tasks.core.ledger import pauses
from tasks.core.ledger.audit import Actor
from tasks.core.ledger.pauses import Scope
from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.processes import await_true, thaw
from tests.samples import eventually

_JOBS_PER_CHILD = 40


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """A worker whose children are replaced now and then."""
    return ("-Q", "analytics", "--max-tasks-per-child", str(_JOBS_PER_CHILD))


def test_job_runs_once_and_leaves_its_result(house: House) -> None:
    """A submitted job reaches a plain worker and comes back with its result."""
    job = house.submit()

    ended = house.await_end(job)

    assert (JobState.SUCCEEDED, {"attempt": 1, "fence": 1}) == (ended.state, ended.result)
    assert [(1, 1)] == house.effects(job)


def test_no_job_is_taken_before_a_child_stands(house: House) -> None:
    """While children load, the worker asks for nothing: what it cannot begin stays where another finds it."""
    ended = house.worker.pool_children()
    for child in ended:
        child.kill()

    def successors() -> list[psutil.Process]:
        found = [child for child in house.worker.pool_children() if child not in ended]
        return found if len(found) == len(ended) else []

    loading = await_true(successors, what="others are started for them")
    for child in loading:
        child.suspend()
    await_true(lambda: not house.waits_for_messages(), what="the worker asks for no more")
    job = house.submit("sleep", seconds=0.1)
    await_true(lambda: house.messages(job), what="its message is in Redis")
    assert not house.waits_for_messages()
    thaw(loading)

    assert JobState.SUCCEEDED == house.await_end(job).state
    assert 1 == len(house.attempts(job))


def test_worker_keeps_no_note_in_redis_of_what_it_took(house: House) -> None:
    """Taking a message is one call: the ledger knows who has which job."""
    with house.broker.container.client as client, client.monitor() as monitor:
        house.await_end(house.submit())
        client.set("seen", 1)
        commands = list(iter(lambda: monitor.next_command()["command"], "SET seen 1"))

    assert [] != [command for command in commands if command.startswith("EVALSHA")]
    notes = [command for command in commands if "unacked" in command]
    assert [] == [note for note in notes if note.split()[0] in {"ZADD", "HSET", "ZREM", "HDEL"}]


def test_wiping_redis_with_100_jobs_waiting_loses_none(house: House) -> None:
    """After FLUSHALL all hundred jobs still run, each once."""
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)
    jobs = [house.submit() for _ in range(100)]

    house.flush_redis()
    house.cancel(blocker)

    ended = [house.await_end(job) for job in jobs]
    assert [JobState.SUCCEEDED] * 100 == [job.state for job in ended]
    assert [[(1, 1)]] * 100 == [house.effects(job) for job in jobs]


def test_nothing_begins_once_a_pause_is_answered(house: House) -> None:
    """Under load: what had begun ends, nothing else begins, also not by what comes meanwhile; then all run, once."""
    jobs = [house.submit() for _ in range(40)]
    assert eventually(lambda: any(house.effects(job) for job in jobs), within_s=30)
    made = pauses.pause(house.kernel.ledger, Scope(queue="analytics"), by=Actor("test"))[0]
    begun = {job.id for job in jobs if house.job(job).attempt}

    late = [house.submit() for _ in range(10)]
    messages = [job for job in late if job.published_at is not None]
    assert eventually(lambda: all(house.job(job).published_at is None for job in late), within_s=30)
    house.flush_redis()
    assert eventually(lambda: not [job for job in jobs if house.job(job).state is JobState.RUNNING], within_s=30)
    assert begun == {job.id for job in (*jobs, *late) if house.job(job).attempt}
    assert [] == [job.id for job in messages if house.job(job).attempt or house.effects(job)]

    pauses.resume(house.kernel.ledger, made.id, by=Actor("test"))
    house.kernel.events.ring()
    ended = [house.await_end(job) for job in (*jobs, *late)]
    assert [(JobState.SUCCEEDED, 1)] * 50 == [(job.state, job.attempt) for job in ended]
    assert [[(1, 1)]] * 50 == [house.effects(job) for job in ended]


def test_progress_log_and_artifact_reach_the_stream(house: House) -> None:
    """What an engine tells is in the job's stream, in the order of telling, between its states."""
    job = house.await_end(house.submit("tell"))

    told = [event.type for event in house.kernel.events.read(job.id)]

    assert {"state": 3, "log": 1, "artifact": 1} == {type_: told.count(type_) for type_ in ("state", "log", "artifact")}
    assert (
        100.0 == [event.data for event in house.kernel.events.read(job.id) if event.type == "progress"][-1]["percent"]
    )
    assert ["state", "state"] == [told[0], told[-1]]


def test_duplicate_delivery_runs_the_engine_once(house: House) -> None:
    """The same message delivered three times, twice before and once after the run, starts one attempt."""
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)
    job = house.submit()
    house.deliver(job, carry=job.carry)
    house.cancel(blocker)
    house.await_end(job)

    house.deliver(job, carry=job.carry)
    house.await_end(house.submit())

    assert [(1, 1)] == house.effects(job)
    assert ["queued", "running", "succeeded"] == house.events(job)


def test_old_carry_is_refused(house: House) -> None:
    """A message from before the job was carried again is void; only the newest carry is claimed."""
    blocker = house.submit("sleep", seconds=100)
    house.await_start(blocker)
    job = house.submit()
    house.take_carry(job)
    house.cancel(blocker)

    ended = house.await_end(job)

    assert JobState.SUCCEEDED == ended.state
    assert ended.carry > job.carry + 1
    assert [(1, 1)] == house.effects(job)


def test_child_replaced_after_its_share_of_jobs_loses_none(house: House) -> None:
    """A child that has run as many jobs as it may is replaced, and its successors run the rest, each once.

    What it runs in one go counts once, and on a busy machine it may find the next job as it ends one.
    """
    jobs = [house.await_end(house.submit()) for _ in range(_JOBS_PER_CHILD + 1)]
    while len({house.child_of(job) for job in jobs}) < 2 and len(jobs) < 10 * _JOBS_PER_CHILD:
        jobs.append(house.await_end(house.submit()))

    assert {(JobState.SUCCEEDED, 1)} == {(job.state, len(house.effects(job))) for job in jobs}
    assert len({house.child_of(job) for job in jobs}) >= 2


def test_child_replaced_between_jobs_goes_on_claiming(house: House) -> None:
    """When a child dies between two jobs, its successor claims the next one."""
    first = house.await_end(house.submit())
    (dead,) = [child for child in house.worker.children() if child.pid == house.child_of(first)]
    dead.kill()

    second = house.await_end(house.submit())

    assert JobState.SUCCEEDED == second.state
    assert house.child_of(second) != house.child_of(first)
