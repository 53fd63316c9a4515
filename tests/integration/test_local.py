"""The profile without Redis: the same promises, kept by ``python -m workers local``. Nothing listens where Redis would.

Tests imported from other modules run here against the local runner.
"""

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from client import Job, Switchyard, SwitchyardError
from tasks.core.callbacks.records import OwnCallback
from tasks.core.carriage import NoCarriage
from tasks.core.kernel import open_kernel
from tasks.core.ledger import deliveries, queries, schedules, tenants
from tasks.core.ledger.deliveries import Wanted
from tasks.core.ledger.fleet import Worker, WorkerState
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import workers
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tasks.core.settings import load_settings
from tasks.scheduling import stored
from tasks.submission import Submission
from tests.conftest import DEAD_REDIS_URL
from tests.core.ledger.test_ledger_schedules import kept
from tests.faulty.contract import ACT
from tests.integration.house import environment, worker_arguments
from tests.integration.jobs import Jobs
from tests.integration.processes import REPOSITORY, CommandContainer, await_true, family_of, freeze, thaw
from tests.integration.test_cancelling import *  # noqa: F403  # the same tests on another backend
from tests.integration.test_dying import *  # noqa: F403  # the same tests on another backend
from tests.servers import free_port

RUNNER = ("-m", "workers", "local", "-Q", "analytics", "--slots", "1")


class LocalHouse(Jobs):
    """A ledger, and a runner that a test may stop, kill and start."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        settings = {"profile": "local", "lease_s": "3", "drain_grace_s": "3", "worker_labels": "here"}
        self.env = environment(folder, DEAD_REDIS_URL, settings)
        for name, value in self.env.items():
            if name.startswith("SWITCHYARD_"):
                patch.setenv(name, value)
        self.kernel = open_kernel(load_settings())
        self.carrier = NoCarriage()
        tenants.create_key(self.kernel.ledger, tenant="tests", name="tests", key="tests-key")
        tenant = tenants.tenant_of(self.kernel.ledger, "tests-key")
        assert tenant is not None
        self.tenant_id = tenant.id
        self._runners: list[CommandContainer] = []

    def start(self) -> CommandContainer:
        runner = CommandContainer("local", RUNNER, env=self.env, folder=self.folder, prompt="local_runner_ready")
        self._runners.append(runner)
        runner.ready()
        return runner

    @property
    def runner(self) -> CommandContainer:
        return self._runners[-1]

    @property
    def worker(self) -> psutil.Process:
        return psutil.Process(self.runner.pid)

    def row(self, runner: CommandContainer) -> Worker:
        with self.kernel.ledger.read() as connection:
            return Worker(**connection.execute(workers.select().where(workers.c.pid == runner.pid)).one()._mapping)

    def close(self) -> None:
        for runner in self._runners:
            runner.teardown()
        self.kernel.close()


@pytest.fixture(scope="module")
def local_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHouse]:
    with pytest.MonkeyPatch.context() as patch:
        house = LocalHouse(tmp_path_factory.mktemp("house"), patch)
        house.start()
        yield house
        house.close()


@pytest.fixture
def house(local_house: LocalHouse) -> Iterator[LocalHouse]:
    if not is_alive(local_house.runner.pid):
        local_house.start()
    yield local_house
    local_house.await_idle()


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def connections_of(pid: int) -> list[Any]:
    return [connection for process in family_of(pid) for connection in process.net_connections("inet")]


def test_job_runs_and_its_story_is_told(house: LocalHouse) -> None:
    """States, progress, log line and artifact, all in the ledger; and no process opened any socket of the internet."""
    job = house.submit("tell")
    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, {"attempt": 1, "fence": 1}) == (ended.state, ended.result)
    told = house.kernel.events.read(job.id)
    assert ["queued", "running", "succeeded"] == [event.data["state"] for event in told if event.type == "state"]
    assert {"state", "progress", "log", "artifact"} == {event.type for event in told}
    assert [] == connections_of(house.runner.pid)


def test_runner_takes_what_fits_it_and_leaves_the_rest(house: LocalHouse) -> None:
    """A job that requires a label of another machine waits, and holds up nobody."""
    elsewhere = house.submit(requires={"labels": ["there"]}, priority=90)
    here = house.submit(requires={"labels": ["here"]})
    after = house.submit(requires={"same_worker_as": here.id})
    ended = [house.await_end(job) for job in (here, after, house.submit())]
    assert [JobState.SUCCEEDED] * 3 == [job.state for job in ended]
    assert JobState.QUEUED == house.job(elsewhere).state
    house.cancel(elsewhere)


def test_retry_waits_in_the_ledger_and_succeeds(house: LocalHouse) -> None:
    """A transient error costs an attempt."""
    ended = house.await_end(house.submit("transient", until_attempt=1))
    assert (JobState.SUCCEEDED, 2) == (ended.state, ended.attempt)


def test_child_is_replaced_after_it_died(house: LocalHouse) -> None:
    """The one slot is there again for the next job."""
    house.await_end(house.submit("exit", max_attempts=1))
    assert JobState.SUCCEEDED == house.await_end(house.submit()).state


def test_killed_runner_takes_its_children_along_and_its_job_is_rescued(house: LocalHouse) -> None:
    """kill -9: the kernel ends the children; the next runner takes the job over after a lease."""
    job = house.submit("sleep", seconds=300, until_attempt=1)
    child = house.await_start(job).child_pid
    os.kill(house.runner.pid, signal.SIGKILL)
    await_true(lambda: not is_alive(child), what="child is gone")
    house.start()
    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, 2) == (ended.state, ended.attempt)
    assert ["retried", "succeeded"] == [row.outcome for row in house.attempts(job)]


def test_frozen_runner_cannot_write_after_another_took_over(house: LocalHouse) -> None:
    """Its fence is old when it comes back, so there is one effect that counts."""
    job = house.submit("sleep", seconds=8)
    house.await_start(job)
    frozen = house.runner
    family = family_of(frozen.pid)
    freeze(family, house.kernel.ledger)
    house.start()
    house.await_start(job, starts=2)
    thaw(family)
    ended = house.await_end(job)
    assert (JobState.SUCCEEDED, {"attempt": 2, "fence": 2}) == (ended.state, ended.result)
    frozen.teardown()


def test_two_runners_never_run_one_job_twice(house: LocalHouse) -> None:
    """Both are shown the same jobs; the claim decides."""
    other = house.start()
    jobs = [house.submit() for _ in range(30)]
    assert {JobState.SUCCEEDED} == {house.await_end(job).state for job in jobs}
    assert {1} == {len(house.effects(job)) for job in jobs}
    os.kill(other.pid, signal.SIGTERM)
    assert 0 == other.wait()
    house._runners.remove(other)


def test_schedule_comes_again_and_again(house: LocalHouse) -> None:
    """The runner fires its ticks and runs their jobs, each once."""
    ledger, tenant = house.kernel.ledger, Tenant(house.tenant_id, "tests")
    wanted = stored(Submission(tenant.id, {"act": "succeed", "effects": str(house.folder / "effects")}))
    made = kept(ledger, tenant, kind=ACT, submission=wanted, every_s=1)
    mine = Filter(tenant.id, states=[JobState.SUCCEEDED], labels=[("schedule", made.id)])
    await_true(lambda: queries.listing(ledger, mine, limit=1).total >= 2, what="two of its jobs have run")
    schedules.delete(ledger, tenant.id, made.id)
    ran = queries.listing(ledger, mine, limit=200).jobs
    assert len(ran) == len({job.labels["tick"] for job in ran})
    assert [1] * len(ran) == [len(house.effects(job)) for job in ran]


def test_drain_lets_the_job_finish(house: LocalHouse) -> None:
    """SIGTERM: nothing new is taken, what runs may end, then the runner leaves in order."""
    job = house.submit("sleep", seconds=1.5)
    house.await_start(job)
    runner = house.runner
    os.kill(runner.pid, signal.SIGTERM)
    later = house.submit()
    assert 0 == runner.wait()
    assert (JobState.SUCCEEDED, JobState.QUEUED) == (house.job(job).state, house.job(later).state)
    assert WorkerState.STOPPED == house.row(runner).state
    house.start()
    house.await_end(later)


def test_drain_hands_back_what_does_not_end(house: LocalHouse) -> None:
    """After the grace the job is queued again, and its attempt is not counted."""
    job = house.submit("stubborn", seconds=300, until_attempt=1)
    child = house.await_start(job).child_pid
    runner = house.runner
    os.kill(runner.pid, signal.SIGTERM)
    assert 0 == runner.wait()
    back = house.job(job)
    assert (JobState.QUEUED, "drained", 0) == (back.state, back.cause, back.attempt)
    assert not is_alive(child)
    house.cancel(job)
    house.start()


def test_one_command_runs_web_and_runner(tmp_path: Path) -> None:
    """A developer's whole house: submit over HTTP, follow the events, read the result; no Redis anywhere."""
    port = free_port()
    env = environment(tmp_path, DEAD_REDIS_URL, {"profile": "local", "port": str(port)})
    command = ("-m", "workers", "local", "--with-web", "--slots", "1")
    both = CommandContainer("both", command, env=env, folder=tmp_path, prompt="local_runner_ready")
    try:
        both.ready()
        key = await_true(lambda: re.search(r"development key: (\S+)", both.logs()), what="the web server starts")
        with Switchyard(f"http://127.0.0.1:{port}", key[1]) as client:
            job = await_true(lambda: submitted(client), what="the web server answers")
            with client.events(job.id) as stream:
                states = [event.state for event in stream if event.state]
            assert ("sse", "succeeded") == (stream.transport, states[-1])
            assert {"message": "hi"} == client.job(job.id).result
        assert [] == [peer for peer in connections_of(both.pid) if peer.raddr and peer.raddr.port == 1]
        os.kill(both.pid, signal.SIGTERM)
        assert 0 == both.wait()
    finally:
        both.teardown()


def submitted(client: Switchyard) -> Job | None:
    try:
        return client.submit("maintenance.ping", {"message": "hi"})
    except SwitchyardError:
        return None  # it does not listen yet


@pytest.mark.parametrize("command", [(), ("dispatcher",)])
def test_what_needs_a_broker_refuses_to_start(local_house: LocalHouse, command: tuple[str, ...]) -> None:
    """And says what to run instead."""
    answer = run("-m", "workers", *command, env=local_house.env)
    assert (2, True) == (answer.returncode, "python -m workers local" in answer.stderr)


def test_callbacks_are_sent_without_redis(local_house: LocalHouse) -> None:
    """The runner keeps a sender, which tries what it may not reach, and says so."""
    if not is_alive(local_house.runner.pid):
        local_house.start()
    job = local_house.submit(callback=OwnCallback("https://10.0.0.1/"))
    local_house.await_end(job)
    wanted = Wanted(local_house.tenant_id, job_id=job.id)

    def errors() -> list[str]:
        found = deliveries.page(local_house.kernel.ledger, wanted, limit=2)
        return [attempt["error"] for one in found for attempt in one.attempts]

    await_true(errors, what="a try is noted")
    assert {"egress_refused"} == set(errors())


def test_celery_worker_refuses_to_start(local_house: LocalHouse) -> None:
    """It would wait for a broker that nobody publishes to."""
    answer = run(*worker_arguments("-Q", "analytics"), env=local_house.env)
    assert (2, True) == (answer.returncode, "python -m workers local" in answer.stderr)


def test_runner_refuses_another_profile(local_house: LocalHouse) -> None:
    """Beside a dispatcher it would take jobs that lie in the broker."""
    answer = run(*RUNNER, env={**local_house.env, "SWITCHYARD_PROFILE": "dashboard"})
    assert (2, True) == (answer.returncode, "SWITCHYARD_PROFILE" in answer.stderr)


def run(*command: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("module", ["workers.local", "workers.local_child"])
def test_runner_and_child_load_no_redis(module: str) -> None:
    """A fresh interpreter has what each needs, and no Redis client among it; the runner has no Celery either."""
    told = run("-c", f"import sys, {module}; print(sorted(sys.modules))", env=os.environ).stdout
    unwanted = {"redis", "kombu.transport.redis"} | ({"celery"} if module == "workers.local" else set())
    assert set() == unwanted & set(ast.literal_eval(told))
