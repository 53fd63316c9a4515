"""Three ways to wait for a calibration, and being answered from an earlier one: real Redis, real worker, real R."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.calibration.r_library import built_library
from tests.integration.processes import await_true

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]

EXAMPLE = {"va_data": {"insilicova": "use_example", "interva": "use_example"}, "age_group": "neonate"}
ENDED = {"succeeded", "failed", "cancelled"}


@pytest.fixture(autouse=True)
def _r_package() -> None:
    built_library()


@pytest.fixture
def older(yard: Yard) -> Iterator[httpx.Client]:
    """A client of the older VA calibration service."""
    with httpx.Client(base_url=yard.url, headers={"X-API-Key": yard.key}, timeout=90) as opened:
        yield opened


@contextmanager
def watching(yard: Yard, job_id: str, after: int = 0) -> Iterator[ClientConnection]:
    address = yard.url.replace("http://", "ws://")
    with connect(
        f"{address}/ws/calibrate/{job_id}/logs?after={after}",
        additional_headers={"X-API-Key": yard.key},
        max_size=None,
    ) as socket:
        yield socket


def messages_of(socket: ClientConnection) -> Iterator[dict[str, Any]]:
    for text in socket:
        message = json.loads(text)
        if message["type"] not in {"connection", "heartbeat"}:
            yield message


def sums_to_one(result: dict[str, Any]) -> None:
    for fit in result["calibrated"].values():
        assert 1.0 == pytest.approx(sum(fit["mean"].values()), abs=1e-9)


def test_sync_mode_answers_with_the_result(older: httpx.Client) -> None:
    """One request, one result: every algorithm asked for and the ensemble."""
    answer = older.post("/calibrate", json=EXAMPLE)
    assert 200 == answer.status_code, answer.text
    result = answer.json()
    assert ("success", True) == (result["status"], result["is_example"])
    assert {"insilicova", "interva", "ensemble"} == set(result["calibrated"]) == set(result["uncalibrated"])
    sums_to_one(result)


def test_asynchronous_mode_is_polled_to_its_end(older: httpx.Client) -> None:
    """The address in the reply says how far it is; the job has the result and what R printed."""
    reply = older.post("/calibrate", json=EXAMPLE | {"async": True}).json()
    statuses: list[dict[str, Any]] = []

    def has_ended() -> bool:
        statuses.append(older.get(reply["urls"]["status"]).json())
        return statuses[-1]["status"] in {"completed", "failed"}

    await_true(has_ended, what="the calibration has ended", within_s=60)
    assert ("completed", 100.0, True) == tuple(statuses[-1][name] for name in ("status", "progress", "has_result"))
    percents = [status["progress"] for status in statuses]
    assert sorted(percents) == percents
    job = older.get(f"/jobs/{reply['job_id']}").json()
    sums_to_one(job["result"])
    assert older.get(f"/jobs/{reply['job_id']}/output").json()["r_output"]


def test_realtime_mode_survives_a_broken_connection(yard: Yard, older: httpx.Client) -> None:
    """Progress, R's lines and the result arrive once each, in order, over two connections."""
    job_id = older.post("/calibrate/realtime", json=EXAMPLE).json()["job_id"]
    told: list[dict[str, Any]] = []
    with watching(yard, job_id) as socket:
        for message in messages_of(socket):
            told.append(message)
            if message["type"] == "progress":
                break
    with watching(yard, job_id, after=told[-1]["sequence"]) as socket:
        told += messages_of(socket)
        assert 1000 == socket.close_code
    sequences = [message["sequence"] for message in told]
    assert sorted(set(sequences)) == sequences
    percents = [message["data"]["progress"] for message in told if message["type"] == "progress"]
    assert (sorted(percents), 100.0) == (percents, percents[-1])
    stages = " ".join(message["data"]["stage"] for message in told if message["type"] == "progress")
    # At most ten reports a second are sent, so that one of them may be left out, but not all.
    assert re.search("fit [123] of 3|ensemble", stages)
    assert "r-stdout" in {message["data"]["source"] for message in told if message["type"] == "log"}
    assert "result" == told[-1]["type"]
    sums_to_one(told[-1]["data"]["results"])


def run(by: Switchyard, **params: Any) -> tuple[str, dict[str, Any]]:
    job = by.submit("calibration.va", {"use_example": True, "draws": 400, "warmup": 300, "seed": 77} | params)
    record = by.wait(job.id, timeout_s=60)
    assert record.result is not None, record.error
    return job.id, record.result


def test_the_same_again_is_answered_from_the_first(yard: Yard, client: Switchyard) -> None:
    """Files included; the opt-out, another seed and another tenant compute; so does who comes after the erasure."""
    first, result = run(client)
    assert {"hit": False, "job": None, "at": None} == result["cache"]
    second, again = run(client, cores=1)
    assert (True, first) == (again["cache"]["hit"], again["cache"]["job"])
    assert result == again | {"cache": result["cache"]}
    digests = [{one.name: one.sha256 for one in client.artifacts(job_id)} for job_id in (first, second)]
    assert digests[0] == digests[1] != {}
    assert not run(client, seed=78)[1]["cache"]["hit"]
    with Switchyard(yard.url, api_key=yard.other_key) as stranger:
        assert not run(stranger)[1]["cache"]["hit"]
    third, computed = run(client, use_cache=False)
    assert not computed["cache"]["hit"]
    assert third == run(client)[1]["cache"]["job"]
    client.delete(third)
    assert not run(client)[1]["cache"]["hit"]
    assert digests[0] == {one.name: one.sha256 for one in client.artifacts(second)}
    standing = httpx.get(f"{yard.url}/api/calibration/cache", headers={"Authorization": f"Bearer {yard.key}"}).json()
    assert standing["hits"] >= 2
    assert standing["misses"] >= 3


def test_other_requests_are_answered_while_calibrations_run(yard: Yard, client: Switchyard) -> None:
    """Health and records, of queued jobs and of the running one."""
    ids = [
        client.submit("calibration.va", {"use_example": True, "seed": 900 + n, "use_cache": False}).id for n in range(6)
    ]
    seen: set[str] = set()
    headers = {"Authorization": f"Bearer {yard.key}"}

    def all_ended() -> bool:
        states = set()
        for job_id in ids:
            assert 200 == httpx.get(f"{yard.url}/health/live").status_code
            answer = httpx.get(f"{yard.url}/api/jobs/{job_id}", headers=headers)
            assert 200 == answer.status_code
            states.add(answer.json()["state"])
        seen.update(states)
        return states <= ENDED

    await_true(all_ended, what="all calibrations have ended", within_s=120)
    assert {"queued", "running", "succeeded"} <= seen
