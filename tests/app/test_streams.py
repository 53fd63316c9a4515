"""Where the streams meet the rest of the front door: its keys, its metrics, its problem documents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from websockets.sync.client import connect

from app.openapi import API
from tests.app.conftest import Caller, sign_in
from tests.app.streams.house import eventually, served


@dataclass(frozen=True)
class Door:
    """Where the whole application answers, and one tenant of it."""

    address: str
    caller: Caller

    def open_streams(self) -> set[str]:
        """Return what ``/metrics`` says of them."""
        lines = httpx.get(f"http://{self.address}/metrics").text.splitlines()
        return {line for line in lines if line.startswith("switchyard_open_streams{")}

    def shows(self, **open_streams: int) -> bool:
        """Tell whether it says this soon."""
        wanted = {f'switchyard_open_streams{{transport="{name}"}} {n}.0' for name, n in open_streams.items()}
        return eventually(lambda: wanted == self.open_streams(), within_s=20)


@pytest.fixture
def door(make_app: Callable[..., API]) -> Iterator[Door]:
    """The application behind a server; without a Redis, streams are made of the ledger alone."""
    app = make_app(heartbeat_s=2)  # a pong must come within it, also on a busy machine
    with served(app) as address:
        yield Door(address, sign_in(app, "alice"))


def test_open_streams_are_counted_by_transport(door: Door) -> None:
    """Each counts from its first frame until its client is gone."""
    job_id, headers = door.caller.submit()["id"], {"Authorization": f"Bearer {door.caller.key}"}
    with httpx.stream("GET", f"http://{door.address}/api/jobs/{job_id}/events", headers=headers) as stream:
        next(stream.iter_lines())
        assert door.shows(sse=1)
        with connect(f"ws://{door.address}/ws/jobs/{job_id}", additional_headers=headers) as socket:
            socket.recv(timeout=5)
            assert door.shows(sse=1, websocket=1)
    assert door.shows(sse=0, websocket=0)


def test_token_opens_the_stream_in_place_of_a_key(alice: Caller) -> None:
    """The views of the stream sign in themselves; whoever has the token needs no key."""
    path = f"/api/jobs/{alice.submit()['id']}"
    token = alice.post(f"{path}/stream-token").json["token"]
    alice.post(f"{path}/cancel")
    answer = alice.client.get(f"{path}/events?token={token}")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert [line for line in answer.text.splitlines() if line.startswith("event:")] == [
        "event: snapshot",
        "event: state",
    ]


def test_forged_token_is_no_key(alice: Caller) -> None:
    """A problem document, like any other."""
    answer = alice.client.get(f"/api/jobs/{alice.submit()['id']}/events?token=forged")
    assert (answer.status_code, answer.json["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("sent", [{"query_string": {"after": "x"}}, {"headers": {"Last-Event-ID": "1;2"}}])
def test_malformed_cursor_names_its_field(alice: Caller, sent: dict) -> None:
    """As every refused input does."""
    answer = alice.get(f"/api/jobs/{alice.submit()['id']}/events", **sent)
    assert (answer.status_code, answer.json["errors"][0]["field"]) in {(422, "after"), (422, "Last-Event-ID")}


def test_unknown_parameter_of_a_stream_is_refused(alice: Caller) -> None:
    """A mistyped `after` must not start from the beginning."""
    answer = alice.get(f"/api/jobs/{alice.submit()['id']}/events?afer=1-1")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "afer")


def test_plain_http_at_the_sockets_address_is_told_to_upgrade(alice: Caller) -> None:
    """426 names the protocol."""
    answer = alice.get(f"/ws/jobs/{alice.submit()['id']}")
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.json["code"] == "upgrade_required"


def test_malformed_after_is_refused_even_where_the_header_wins(alice: Caller) -> None:
    """A client that sends nonsense is told so, whatever else it sends."""
    path = f"/api/jobs/{alice.submit()['id']}/events?after=x"
    assert alice.get(path, headers={"Last-Event-ID": "0"}).status_code == 422
