"""The event stream over HTTP."""

import socket
import time

import httpx
import pytest

from tests.app.streams.house import KEY, OTHER_KEY, House, add_other_tenant, event_source, eventually


def url(address: str, job_id: str, name: str = "events") -> str:
    return f"http://{address}/api/jobs/{job_id}/{name}"


def get(address: str, job_id: str, *, key: str = KEY, **kwargs) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} | kwargs.pop("headers", {})
    return httpx.get(url(address, job_id), headers=headers, **kwargs)


@pytest.mark.parametrize("name", ["events", "progress"])
def test_stream_carries_snapshot_events_and_end(house: House, address: str, name: str) -> None:
    """Each frame has the cursor as id, the type as event, the whole event as data."""
    job = house.running()
    with event_source(url(address, job.id, name)) as source:
        frames = [source.next()]
        house.report(job, 10)
        house.finish(job)
        frames += [source.next(), source.next()]
        assert source.next() is None
    assert [frame["event"] for frame in frames] == ["snapshot", "progress", "state"]
    assert all(frame["id"] == frame["data"]["id"] and frame["event"] == frame["data"]["type"] for frame in frames)


def test_stream_forbids_caching_and_buffering(house: House, address: str) -> None:
    """Proxies must pass each frame on as it comes."""
    with event_source(url(address, house.running().id)) as source:
        headers = source.response.headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")


def test_stream_tells_when_to_reconnect(house: House, address: str) -> None:
    """Between one and three seconds, spread."""
    with event_source(url(address, house.running().id)) as source:
        source.next()
    assert source.retry_ms is not None
    assert 1000 <= source.retry_ms <= 3000


def test_idle_stream_has_a_heartbeat(house: House, address: str) -> None:
    """A comment, which clients ignore and proxies count."""
    with event_source(url(address, house.running().id)) as source:
        source.next()
        source.until_comment()
    assert source.comments == [": heartbeat"]


def test_last_event_id_resumes(house: House, address: str) -> None:
    """And wins over the ``after`` of a URL that is older."""
    job = house.running()
    first, second = house.report(job, 1), house.report(job, 2)
    headers = {"Last-Event-ID": first}
    with event_source(url(address, job.id), headers=headers, params={"after": "0"}) as source:
        assert second == source.next()["id"]


def test_after_resumes(house: House, address: str) -> None:
    """For clients that cannot send the header."""
    job = house.running()
    first, second = house.report(job, 1), house.report(job, 2)
    with event_source(url(address, job.id), params={"after": first}) as source:
        assert second == source.next()["id"]


def test_resume_from_terminal_event_is_204(house: House, address: str) -> None:
    """Which tells an EventSource to stop."""
    job = house.finish(house.running())
    with event_source(url(address, job.id)) as source:
        while frame := source.next():
            last = frame
    assert get(address, job.id, headers={"Last-Event-ID": last["id"]}).status_code == 204


@pytest.mark.parametrize("sent", [{"params": {"after": "x"}}, {"headers": {"Last-Event-ID": "1;2"}}])
def test_malformed_cursor_is_422(house: House, address: str, sent: dict) -> None:
    """The problem names the field."""
    answer = get(address, house.running().id, **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "input_rejected")
    assert answer.json()["field"] in {"after", "Last-Event-ID"}


@pytest.mark.parametrize("job_id", ["nonsense", "00000000-0000-7000-8000-000000000000", "%00"])
def test_unknown_job_is_404(address: str, job_id: str) -> None:
    """Whatever is asked for."""
    assert get(address, job_id).status_code == 404


def test_other_tenants_job_is_404(house: House, address: str) -> None:
    """Nobody learns that it exists."""
    add_other_tenant(house.kernel)
    assert get(address, house.running().id, key=OTHER_KEY).status_code == 404


def test_stream_without_key_is_401(house: House, address: str) -> None:
    """Nor does a stranger."""
    assert httpx.get(url(address, house.running().id)).status_code == 401


def test_head_opens_no_stream(house: House, address: str) -> None:
    """The headers, and nobody watching."""
    answer = httpx.head(url(address, house.running().id), headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, house.hub.watchers) == (200, 0)


def test_client_that_leaves_is_forgotten(house: House, address: str) -> None:
    """At the latest two heartbeats later."""
    with event_source(url(address, house.running().id)) as source:
        source.next()
        assert house.hub.watchers == 1
    assert eventually(lambda: house.hub.watchers == 0)


def test_client_that_leaves_before_first_frame_is_forgotten(house: House, address: str) -> None:
    """A reset connection never starts the body, but it ends the subscription."""
    job = house.running()
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        request = f"GET /api/jobs/{job.id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        connection.sendall(request.encode())
    time.sleep(0.2)
    assert eventually(lambda: house.hub.watchers == 0)


def test_draining_ends_streams_new_ones_too_with_a_pause(house: House, address: str) -> None:
    """The client comes back to another process with its cursor, a random while later."""
    job = house.running()
    with event_source(url(address, job.id)) as source:
        source.next()
        source.retry_ms = None
        house.hub.drain()
        assert source.next() is None
        assert source.retry_ms is not None
        assert 1000 <= source.retry_ms <= 3000
    answer = get(address, job.id)
    assert (answer.status_code, answer.text.startswith("retry: "), "data" in answer.text) == (200, True, False)


def test_routes_are_documented(house: House) -> None:
    """With their parameters."""
    document = house.app().api_doc["paths"]
    parameters = document["/api/jobs/{job_id}/events"]["get"]["parameters"]
    assert {"job_id", "after", "token", "Last-Event-ID"} == {parameter["name"] for parameter in parameters}
    assert "post" in document["/api/jobs/{job_id}/stream-token"]
