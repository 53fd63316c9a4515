"""The universal client against the real front door, behind a proxy that blocks and cuts: each event once."""

import threading
from collections.abc import Callable, Iterator

import pytest

from client import Event, Limits, Notice, Switchyard
from client.modes import Choice, Mode
from tasks.core.relay import announce
from tests.app.conftest import claim, finish
from tests.app.desk import Desk
from tests.proxy import Proxy
from tests.samples import eventually

FAST = Limits(backoff_s=0.05, first_event_s=3.0, silence_s=5.0, poll_gap_s=0.05, long_poll_s=1.0, status_s=5.0)
SSE, WEBSOCKET = b"accept: text/event-stream", b"upgrade: websocket"
NO = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nno\n"
PERCENTS = range(10, 100, 10)


@pytest.fixture
def proxy(desk: Desk) -> Iterator[Proxy]:
    """In front of the front door."""
    with Proxy(int(desk.address.rpartition(":")[2])) as proxy:
        yield proxy


class Show:
    """A job that somebody follows through the proxy, and what was seen."""

    def __init__(self, desk: Desk, proxy: Proxy) -> None:
        self._desk, self._proxy = desk, proxy
        self.notices: list[Notice] = []
        self.seen: list[Event] = []
        self.told = 0

    def client(self, mode: Choice = "auto") -> Switchyard:
        """Open a client whose way leads through the proxy."""
        url = f"http://127.0.0.1:{self._proxy.port}"
        return Switchyard(url, self._desk.alice.key, limits=FAST, on_notice=self.notices.append, mode=mode)

    def follow(self, client: Switchyard, act: Callable[[int], object] = lambda _: None) -> str:
        """Follow a job to its end, which reports nine times; ``act`` is called before each; return the transport."""
        job = client.submit("maintenance.ping")
        with client.events(job.id) as stream:
            self.seen = [next(stream)]
            actor = threading.Thread(target=self._play, args=(job.id, act))
            actor.start()
            for event in stream:
                self.seen.append(event)
            actor.join()
            return stream.transport

    def _play(self, job_id: str, act: Callable[[int], object]) -> None:
        kernel = self._desk.services.kernel
        job = claim(kernel, job_id)
        announce(kernel.ledger, kernel.events, job)
        self.told = 1
        for percent in PERCENTS:
            act(percent)
            kernel.events.append(job.id, "progress", {"percent": percent}, fence=job.fence, attempt=job.attempt)
            self.told += 1
        announce(kernel.ledger, kernel.events, finish(kernel, job))

    def cut(self) -> None:
        """Cut all connections once everything so far has been seen.

        Who is cut off before the first event of a stream begins anew, and a way that brings nothing three times in a
        row counts as blocked.
        """
        told = self.told
        assert eventually(lambda: len(self.seen) > told, within_s=60)
        self._proxy.reset()

    def is_whole(self) -> bool:
        """Whether all that happened after the snapshot was seen, once, in order."""
        first, *rest = self.seen
        kinds = [(event.type, event.state or event.data.get("percent")) for event in rest]
        asked = [("state", "running"), *(("progress", percent) for percent in PERCENTS), ("state", "succeeded")]
        return first.type == "snapshot" and kinds == asked


@pytest.fixture
def show(desk: Desk, proxy: Proxy) -> Show:
    """One such."""
    return Show(desk, proxy)


@pytest.mark.parametrize("mode", ["auto", "websocket"])
def test_streams_that_are_cut_midway_go_on(show: Show, mode: Choice) -> None:
    """No gap and no repeat, and the transport stays."""
    with show.client(mode) as client:
        assert mode == client.mode
        transport = show.follow(client, lambda percent: percent % 20 or show.cut())
        assert ("sse" if mode == "auto" else mode) == transport == client.mode
    assert show.is_whole(), show.seen


@pytest.mark.parametrize("how", ["answer", "reset", "hold"])
def test_where_sse_is_blocked_a_websocket_carries_the_events(show: Show, proxy: Proxy, how: str) -> None:
    """Whatever the proxy does to the stream; the client reports it, and its next stream begins there at once."""
    if how == "hold":
        proxy.hold_back(SSE)
    else:
        proxy.block(SSE, NO if how == "answer" else None)
    with show.client() as client:
        assert ("websocket", True) == (show.follow(client), show.is_whole())
        assert ("refused", "sse") in [(notice.name, notice.transport) for notice in show.notices]
        show.notices.clear()
        assert ("websocket", True, "websocket") == (show.follow(client), show.is_whole(), client.mode)
    assert [("connected", "websocket")] == [(notice.name, notice.transport) for notice in show.notices]


@pytest.mark.parametrize("mode", ["auto", "http"])
def test_where_no_stream_gets_through_records_are_polled(show: Show, proxy: Proxy, mode: Choice) -> None:
    """Each state once; ``http`` does not even try a WebSocket."""
    proxy.block(SSE, NO)
    proxy.block(WEBSOCKET, NO)
    with show.client(mode) as client:
        assert ("polling", "polling") == (show.follow(client), client.mode)
    states = [event.state for event in show.seen]
    assert ("snapshot", "succeeded", len(set(states))) == (show.seen[0].type, states[-1], len(states))
    assert (mode == "auto") == ("websocket" in {notice.transport for notice in show.notices})


def test_what_is_blocked_midway_is_passed_by(show: Show, proxy: Proxy) -> None:
    """The WebSocket goes on where the stream ended."""

    def act(percent: int) -> None:
        if percent == 30:
            proxy.block(SSE)
            show.cut()

    with show.client() as client:
        assert ("websocket", "websocket") == (show.follow(client, act), client.mode)
    assert show.is_whole(), show.seen
    assert 1 == [event.type for event in show.seen].count("snapshot")


def test_a_way_that_was_found_is_taken_first_for_a_while() -> None:
    """After that the better ones are tried again."""
    mode, brief = Mode("auto", Limits()), Mode("http", Limits(mode_s=0))
    assert ("auto", ("sse", "websocket", "polling")) == (mode.now, mode.order())
    for one in (mode, brief):
        one.note("polling")
    assert ("polling", ("polling", "sse", "websocket")) == (mode.now, mode.order())
    assert ("polling", ("sse", "polling")) == (brief.now, brief.order())
    with pytest.raises(ValueError, match="choose auto, http, sse"):
        Mode("ftp", Limits())  # type: ignore[arg-type]
