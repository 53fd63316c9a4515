"""The older VA calibration service's socket: its messages over a real connection, live, replayed and resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tasks.core.records import Job
from tasks.core.relay import announce
from tests.app.conftest import Caller, claim, finish
from tests.app.desk import Desk
from tests.app.streams.test_websocket import close_code, receive
from tests.app.test_compat_va import EXAMPLE
from tests.calibration.results import a_result


def created(desk: Desk, *, by: Caller | None = None) -> str:
    answer = httpx.post(
        f"http://{desk.address}/calibrate/realtime", json=EXAMPLE, headers={"X-API-Key": (by or desk.alice).key}
    )
    assert 200 == answer.status_code, answer.text
    return str(answer.json()["job_id"])


def running(desk: Desk) -> Job:
    job = claim(desk.services.kernel, created(desk))
    announce(desk.services.kernel.ledger, desk.services.kernel.events, job)
    return job


def tell(desk: Desk, job: Job, type_: Any, data: dict[str, Any]) -> None:
    assert desk.services.kernel.events.append(job.id, type_, data, fence=job.fence, attempt=job.attempt)


def tell_line(desk: Desk, job: Job, line: str) -> None:
    tell(desk, job, "log", {"line": line, "level": "info", "stream": "r-stdout", "n": 1})


def end(desk: Desk, job: Job, **how: Any) -> None:
    kernel = desk.services.kernel
    ended = finish(kernel, job, **({"result": a_result(("insilicova",))} | how))
    announce(kernel.ledger, kernel.events, ended)


@contextmanager
def watching(
    desk: Desk, job_id: str, query: str = "", *, key: str | None = None, header: str = "X-API-Key"
) -> Iterator[ClientConnection]:
    headers = {header: desk.alice.key} if key is None else {}
    with connect(
        f"ws://{desk.address}/ws/calibrate/{job_id}/logs{query}", additional_headers=headers, close_timeout=2
    ) as client:
        yield client


def next_of(client: ClientConnection, type_: str) -> dict[str, Any]:
    """The next message of this type; heartbeats may come in between."""
    while (message := receive(client))["type"] == "heartbeat" != type_:
        pass
    assert type_ == message["type"], message
    assert {"type", "job_id", "timestamp", "data", "sequence"} == set(message)
    return message


def rest_of(client: ClientConnection) -> list[dict[str, Any]]:
    """Every message up to the end, but heartbeats."""
    messages = []
    while True:
        message = receive(client)
        if message["type"] != "heartbeat":
            messages.append(message)
        if message["type"] in {"result", "error"}:
            return messages


def test_messages_are_literal_and_live(desk: Desk) -> None:
    """Connection, states, progress in numbers and text, R's lines, the result, 1000; the sequence grows."""
    job_id = created(desk)
    with watching(desk, job_id) as client:
        connection = next_of(client, "connection")
        assert ("connected", job_id) == (connection["data"]["status"], connection["job_id"])
        job = claim(desk.services.kernel, job_id)
        announce(desk.services.kernel.ledger, desk.services.kernel.events, job)
        words = [next_of(client, "status")["data"]["status"] for _ in range(2)]
        assert ["pending", "running"] == words
        tell(desk, job, "progress", {"percent": 42.25, "stage": "sampling", "message": "fit 1 of 1"})
        progress = next_of(client, "progress")["data"]
        assert {"progress": 42.25, "stage": "fit 1 of 1", "percentage": "42.2%"} == progress
        tell_line(desk, job, "chain 1")
        line = next_of(client, "log")
        assert {"line": "chain 1", "level": "info", "source": "r-stdout"} == line["data"]
        end(desk, job)
        done, result = next_of(client, "status"), next_of(client, "result")
        assert "completed" == done["data"]["status"]
        assert {"results", "completed_at"} == set(result["data"])
        assert 0.6 == result["data"]["results"]["calibrated"]["insilicova"]["mean"]["pneumonia"]
        assert connection["sequence"] < line["sequence"] < done["sequence"] < result["sequence"]
        assert 1000 == close_code(client)


def test_polling_tells_progress_in_the_same_words(desk: Desk) -> None:
    """What is being done, as the socket says it."""
    job_id = created(desk)
    job = claim(desk.services.kernel, job_id)
    tell(desk, job, "progress", {"percent": 42.25, "stage": "fit", "message": "fit 1 of 1: insilicova"})
    steps = desk.alice.get(f"/api/v1/calibrate/{job_id}/status").json["progress"]
    assert (2, "fit 1 of 1: insilicova") == (steps["current_step"], steps["step_name"])
    live = desk.alice.get(f"/calibrate/{job_id}/status").json
    assert (42.25, "fit 1 of 1: insilicova") == (live["progress"], live["stage"])


def test_failure_is_an_error_message(desk: Desk) -> None:
    """With its type."""
    job = running(desk)
    with watching(desk, job.id) as client:
        end(
            desk, job, state="failed", cause="engine_error", result=None, error={"code": "engine_error", "message": "R"}
        )
        told = rest_of(client)
        assert ["connection", "status", "status", "status", "error"] == [message["type"] for message in told]
        assert ("failed", "R", "engine_error") == (
            told[-2]["data"]["status"],
            told[-1]["data"]["error"],
            told[-1]["data"]["error_type"],
        )
        assert 1000 == close_code(client)


def test_who_comes_late_is_told_what_was(desk: Desk) -> None:
    """The last hundred messages, up to the result."""
    job = running(desk)
    for n in range(120):
        tell_line(desk, job, f"line {n}")
    end(desk, job)
    with watching(desk, job.id) as client:
        told = rest_of(client)
        assert 1000 == close_code(client)
    assert 1 + 100 == len(told)
    lines = [message["data"]["line"] for message in told if message["type"] == "log"]
    assert [f"line {n}" for n in range(22, 120)] == lines


def test_who_comes_back_misses_nothing_and_gets_nothing_twice(desk: Desk) -> None:
    """With the sequence of its last message."""
    job = running(desk)
    tell_line(desk, job, "one")
    with watching(desk, job.id) as client:
        while (last := receive(client))["type"] != "log":
            pass
    tell_line(desk, job, "two")
    with watching(desk, job.id, f"?after={last['sequence']}") as client:
        next_of(client, "connection")
        assert "two" == next_of(client, "log")["data"]["line"]
        tell_line(desk, job, "three")
        assert "three" == next_of(client, "log")["data"]["line"]
        end(desk, job)
        assert ["status", "result"] == [message["type"] for message in rest_of(client)]


def test_ping_and_silence_give_heartbeats(desk: Desk) -> None:
    """A ping is answered with a pong."""
    with watching(desk, running(desk).id) as client:
        while receive(client)["type"] != "heartbeat":
            pass
        client.send('{"type": "ping"}')
        while not (message := receive(client))["data"].get("pong"):
            pass
        assert "heartbeat" == message["type"]


def test_unknown_jobs_close_with_4004(desk: Desk) -> None:
    """Those of another tenant, of another kind, and what is no id."""
    ping = desk.alice.submit()["id"]
    for job_id in (created(desk, by=desk.bob), ping, "job_0123456789ab", "01890000-0000-7000-8000-000000000000"):
        with watching(desk, job_id) as client:
            assert 4004 == close_code(client)


def test_keys_and_tokens_open_the_socket(desk: Desk) -> None:
    """By either header, by parameter, by a stream token of the job; anything else closes with 1008."""
    job = running(desk)
    token = desk.alice.post(f"/api/jobs/{job.id}/stream-token").json["token"]
    for query in (f"?api_key={desk.alice.key}", f"?token={token}"):
        with watching(desk, job.id, query, key="") as client:
            next_of(client, "connection")
    for query in ("", "?api_key=sy_no", "?token=x", f"?api_key={desk.alice.key}&after=x"):
        with watching(desk, job.id, query, key="") as client:
            assert 1008 == close_code(client)


def test_stats_count_the_tenants_own_sockets(desk: Desk) -> None:
    """By job, with the last sequence; nothing once they are gone."""
    job = running(desk)

    def told(by: Caller) -> dict[str, Any]:
        answer = httpx.get(f"http://{desk.address}/websocket/stats", headers={"X-API-Key": by.key}).json()
        assert {"websocket_connections", "server_time"} == set(answer)
        return answer["websocket_connections"]  # type: ignore[no-any-return]

    with watching(desk, job.id) as client, watching(desk, job.id) as second:
        for one in (client, second):
            next_of(one, "connection")
            next_of(one, "status")
            last = next_of(one, "status")
        mine = told(desk.alice)
        assert (1, 2) == (mine["total_jobs"], mine["total_connections"])
        assert {job.id: {"connections": 2, "last_sequence": last["sequence"]}} == mine["jobs"]
        assert 0 == told(desk.bob)["total_connections"]


def test_plain_http_is_told_to_upgrade(desk: Desk) -> None:
    """426 names the protocol, whatever the job."""
    answer = httpx.get(f"http://{desk.address}/ws/calibrate/x/logs")
    assert (426, "websocket") == (answer.status_code, answer.headers["Upgrade"])


def test_a_draining_server_says_so(desk: Desk) -> None:
    """1012: come back, elsewhere or later."""
    with watching(desk, running(desk).id) as client:
        next_of(client, "connection")
        desk.services.drain()
        with pytest.raises(ConnectionClosed):
            rest_of(client)
        assert 1012 == client.close_code
