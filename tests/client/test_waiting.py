"""Waiting: for the end, within a limit, through outages, and leaving nothing behind."""

import gc
import threading
import time

import pytest

from client import ConnectionFailed, JobCancelled, JobFailed, NotFound, Switchyard, WaitTimedOut
from tests.client.scripted_server import ScriptedServer, problem


def own_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "process_request" not in thread.name}


def test_wait_returns_the_final_record(server: ScriptedServer, client: Switchyard) -> None:
    """One long-poll sees the end when it comes."""
    job = server.job().run()
    threading.Timer(0.2, lambda: job.succeed(pages=1)).start()
    assert client.wait("job-1", 5).result == {"pages": 1}
    assert server.count("GET", "/api/jobs/job-1") == 1


def test_wait_raises_for_a_failed_job(server: ScriptedServer, client: Switchyard) -> None:
    """The job's own code is the error's."""
    server.job().fail("robots_refused", "not allowed there")
    with pytest.raises(JobFailed, match="not allowed there") as caught:
        client.wait("job-1")
    assert (caught.value.code, caught.value.job.id) == ("robots_refused", "job-1")


def test_wait_raises_for_a_cancelled_job(server: ScriptedServer, client: Switchyard) -> None:
    """Cancelled is not failed."""
    server.job().append("state", state="cancelled", cause="cancel_requested")
    with pytest.raises(JobCancelled):
        client.wait("job-1")


def test_unchecked_wait_returns_any_end(server: ScriptedServer, client: Switchyard) -> None:
    """Whoever looks for themselves gets the record."""
    server.job().fail()
    assert client.wait("job-1", check=False).state == "failed"


def test_wait_for_an_unknown_job_fails_at_once(client: Switchyard) -> None:
    """A wrong id is no reason to wait."""
    with pytest.raises(NotFound):
        client.wait("nothing", 30)


@pytest.mark.parametrize("limit_s", [0.3, 1.5])
def test_wait_times_out_in_time(server: ScriptedServer, client: Switchyard, limit_s: float) -> None:
    """The error comes when it was asked for, with what was last seen."""
    server.job().run()
    began = time.monotonic()
    with pytest.raises(WaitTimedOut) as caught:
        client.wait("job-1", limit_s)
    assert limit_s <= time.monotonic() - began < limit_s + 5
    assert caught.value.job is not None
    assert caught.value.job.state == "running"


def test_timed_out_wait_leaves_nothing_behind(server: ScriptedServer, client: Switchyard) -> None:
    """No thread or timer here, no open request there, no second run, no cancel: the job just goes on."""
    server.job().run()
    before = own_threads()
    with pytest.raises(WaitTimedOut):
        client.wait("job-1", 1.2)
    assert own_threads() == before
    assert server.is_idle(within_s=0.5)
    calls = len(server.seen)
    time.sleep(0.5)
    assert {method for method, _ in server.seen} == {"GET"}
    assert len(server.seen) == calls


def test_wait_outlasts_503_and_drops(server: ScriptedServer, client: Switchyard) -> None:
    """An outage within the limit is only a pause."""
    job = server.job().run()
    server.faults += ["dropped", problem(503, "draining", retry_after_s=0), problem(503, "ledger_unavailable")]
    threading.Timer(0.3, job.succeed).start()
    assert client.wait("job-1", 5).state == "succeeded"


def test_wait_for_a_server_that_never_answers_gives_up(server: ScriptedServer, client: Switchyard) -> None:
    """A wait that never saw the job fails after the reconnects, long before its limit."""
    server.faults += ["dropped"] * 20
    began = time.monotonic()
    with pytest.raises(ConnectionFailed):
        client.wait("job-1", 60)
    assert time.monotonic() - began < 3


def test_closed_client_leaves_no_connection(server: ScriptedServer, client: Switchyard) -> None:
    """After close, the garbage collector finds no open socket to warn of."""
    server.job().succeed()
    client.wait("job-1")
    client.close()
    gc.collect()
    assert server.is_idle()
