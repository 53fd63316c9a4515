"""Following events: complete and in order whatever the network does, over whatever gets through."""

import threading
from collections.abc import Iterable

import pytest

from client import ConnectionFailed, Event, NotFound, Notice, Switchyard, TransportRefused
from client.modes import Transport
from tests.client.conftest import FAST
from tests.client.scripted_server import EPOCH, ScriptedJob, ScriptedServer
from tests.client.test_waiting import own_threads

STREAMS: list[Transport] = ["sse", "websocket"]


def seqs(events: Iterable[Event]) -> list[int | None]:
    return [event.seq for event in events if event.type != "snapshot"]


def play(job: ScriptedJob, steps: int) -> threading.Thread:
    thread = threading.Thread(target=lambda: job.run(steps).succeed(pages=steps))
    thread.start()
    return thread


@pytest.mark.parametrize("transport", STREAMS)
def test_stream_is_a_snapshot_then_everything_to_the_end(
    server: ScriptedServer, client: Switchyard, transport: Transport
) -> None:
    """A viewer from the start sees each event once and then the iterator ends."""
    job = server.job()
    stream = client.events("job-1", transport=transport)
    first = next(stream)
    play(job, 4).join()
    rest = list(stream)
    assert (first.type, first.state, stream.transport) == ("snapshot", "queued", transport)
    assert (seqs(rest), rest[-1].is_terminal) == ([1, 2, 3, 4, 5, 6], True)


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("every", [1, 2, 3])
def test_dropped_stream_resumes_without_gap_or_repeat(
    server: ScriptedServer, client: Switchyard, transport: Transport, every: int
) -> None:
    """The server hangs up after every n events; the viewer does not notice."""
    job = server.job()
    server.drop_stream_every = every
    stream = client.events("job-1", transport=transport)
    events = [next(stream)]
    play(job, 8).join()
    events += stream
    assert (seqs(events), [event.type for event in events].count("snapshot")) == ([*range(1, 11)], 1)


@pytest.mark.parametrize("transport", STREAMS)
def test_ended_job_gives_snapshot_and_terminal_event(
    server: ScriptedServer, client: Switchyard, transport: Transport
) -> None:
    """Coming late still shows the end."""
    server.job().run().succeed()
    assert [event.type for event in client.events("job-1", transport=transport)] == ["snapshot", "state"]


@pytest.mark.parametrize("transport", STREAMS)
def test_after_goes_on_from_an_event(server: ScriptedServer, client: Switchyard, transport: Transport) -> None:
    """A kept id gives only what came later, without a snapshot."""
    server.job().run(3).succeed()
    events = list(client.events("job-1", after=f"{EPOCH}-3", transport=transport))
    assert [(event.type, event.seq) for event in events] == [("progress", 4), ("state", 5)]


def test_resuming_from_the_terminal_event_gives_nothing(server: ScriptedServer, client: Switchyard) -> None:
    """The server's 204 is the end, not an error."""
    server.job().run(3).succeed()
    assert list(client.events("job-1", after=f"{EPOCH}-5")) == []


def test_quiet_stream_stays_on_its_transport(server: ScriptedServer, client: Switchyard, notices: list[Notice]) -> None:
    """Silence longer than the probe, after a first event, is no reason to change or to complain."""
    job = server.job()
    stream = client.events("job-1")
    next(stream)
    server.heartbeat_s = 0.3
    threading.Timer(1.5, job.succeed).start()
    assert (seqs(stream), stream.transport) == ([1], "sse")
    assert [notice.name for notice in notices] == ["connected"]


@pytest.mark.parametrize("sse", ["html", "buffered"])
def test_refused_sse_falls_back_to_websocket(
    server: ScriptedServer, client: Switchyard, notices: list[Notice], sse: str
) -> None:
    """A proxy that answers otherwise, or holds the stream back, is passed by."""
    server.sse = sse
    server.heartbeat_s = 5
    server.job().run(2).succeed()
    stream = client.events("job-1")
    assert ([event.type for event in stream], stream.transport) == (["snapshot", "state"], "websocket")
    assert [(notice.name, notice.transport) for notice in notices] == [("refused", "sse"), ("connected", "websocket")]


def test_polling_is_the_last_resort(server: ScriptedServer, client: Switchyard) -> None:
    """Without any stream, events are made of the record's changes."""
    server.sse, server.websocket = "html", "refused"
    job = server.job()
    stream = client.events("job-1")
    types = [next(stream).type]
    job.append("state", state="running", cause="claimed")
    types.append(next(stream).type)
    job.append("progress", percent=50, stage="pages", step=1, total=2)
    progress = next(stream)
    job.append("artifact", name="a.txt", size_bytes=1)
    types.append(next(stream).type)
    job.fail()
    last = next(stream)
    assert (types, stream.transport) == (["snapshot", "state", "artifact"], "polling")
    assert progress.progress is not None
    assert (progress.progress.percent, last.state, list(stream)) == (50, "failed", [])


def test_chosen_transport_does_not_fall_back(server: ScriptedServer, client: Switchyard) -> None:
    """Whoever asks for a WebSocket gets one or an error."""
    server.websocket = "refused"
    server.job()
    with pytest.raises(TransportRefused):
        next(client.events("job-1", transport="websocket"))


@pytest.mark.parametrize("transport", ["auto", "websocket", "polling"])
def test_unknown_job_is_not_found_on_every_transport(client: Switchyard, transport: str) -> None:
    """The server's own refusal is raised, not taken for a proxy's."""
    with pytest.raises(NotFound):
        next(client.events("nothing", transport=transport))  # type: ignore[arg-type]


def test_too_many_drops_in_a_row_raise(server: ScriptedServer, client: Switchyard) -> None:
    """A server that is gone is reported after the reconnects."""
    stream = client.events("job-1")
    server.job()
    next(stream)
    server.faults += ["dropped"] * 50
    server.drop_stream_every = 1
    server.jobs["job-1"].append("state", state="running")
    with pytest.raises(ConnectionFailed):
        list(stream)
    assert server.count("GET", "/api/jobs/job-1/events") == 1 + FAST.reconnects


@pytest.mark.parametrize("transport", [*STREAMS, "polling"])
def test_closed_stream_leaves_nothing_open(server: ScriptedServer, client: Switchyard, transport: Transport) -> None:
    """Leaving in the middle closes the connection on both sides and every thread."""
    server.job()
    before = own_threads()
    with client.events("job-1", transport=transport) as stream:
        next(stream)
    assert own_threads() == before
    assert server.is_idle()


def test_exception_of_the_reader_closes_the_stream(server: ScriptedServer, client: Switchyard) -> None:
    """A reader that breaks down leaves no connection."""
    server.job()

    def read() -> None:
        with client.events("job-1", transport="websocket") as stream:
            next(stream)
            raise RuntimeError("the reader's own fault")

    with pytest.raises(RuntimeError, match="own fault"):
        read()
    assert server.is_idle()


def test_cut_but_healthy_streams_are_not_counted_as_failures(server: ScriptedServer, client: Switchyard) -> None:
    """A proxy that cuts quiet streams again and again, with heartbeats in between, never ends the following."""
    job = server.job()
    server.heartbeat_s = 0.1
    stream = client.events("job-1")
    next(stream)
    server.drop_stream_every = 2
    threading.Timer(3.0, job.succeed).start()
    assert seqs(stream) == [1]
    assert server.count("GET", "/api/jobs/job-1/events") > 2 + FAST.reconnects
