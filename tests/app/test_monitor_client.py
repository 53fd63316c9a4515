"""The client's monitor and the command, against the real front door."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from client import AsyncSwitchyard, Limits, MonitorEvent, NotAllowed, Switchyard
from client.command.monitor import monitor_line
from tests.app.test_monitor import Door, door
from tests.proxy import Proxy

__all__ = ["door"]  # a fixture

FAST = Limits(backoff_s=0.05, reconnects=40)


def steps(stream: Iterator[MonitorEvent], job_id: str) -> Iterator[MonitorEvent]:
    return (event for event in stream if event.type == "job.state" and event.data["id"] == job_id)


def test_stream_goes_on_through_cut_connections(door: Door) -> None:
    """From the snapshot on, each step once, whatever happens to the connection."""
    with (
        Proxy(int(door.address.rpartition(":")[2])) as proxy,
        Switchyard(f"http://127.0.0.1:{proxy.port}", door.root.key, limits=FAST) as client,
        client.monitor(topics=["job"], tenants="alice") as stream,
    ):
        first = next(stream)
        assert ("snapshot", "start", None) == (first.type, first.data["reason"], first.topic)
        seen: list[tuple[str, int]] = []
        for _ in range(3):
            door.ended(door.bob)
            job_id = door.ended()
            while len(seen) % 3 != 0 or (job_id, 3) not in seen:
                event = next(stream)
                if event.type == "job.state":
                    seen.append((event.data["id"], event.data["version"]))
            proxy.reset()
        assert 9 == len(seen) == len(set(seen))
        with pytest.raises(TypeError, match="choose from"):
            client.monitor(colour="red")  # type: ignore[call-arg]
    with Switchyard(f"http://{door.address}", door.alice.key, limits=FAST) as client, pytest.raises(NotAllowed):
        next(client.monitor(topics=["worker"]))


def test_asyncio_has_the_same(door: Door) -> None:
    """The same events, and a place to go on from."""

    async def watch() -> list[str]:
        async with (
            AsyncSwitchyard(f"http://{door.address}", door.alice.key, limits=FAST) as client,
            client.monitor(topics=["job"]) as stream,
        ):
            first = await anext(stream)
            job_id = await asyncio.to_thread(door.ended)
            states = [(await anext(stream)).data["state"] for _ in range(3)]
            async with client.monitor(topics=["job"], after=first.id or "") as again:
                resumed = await anext(again)
                assert ("resumed", job_id) == (resumed.type, (await anext(again)).data["id"])
            return states

    assert ["queued", "running", "succeeded"] == asyncio.run(watch())


def test_command_shows_lines_and_json_until_interrupted(door: Door) -> None:
    """A line each; Ctrl-C ends it in order."""
    command = [sys.executable, "-m", "client", "--url", f"http://{door.address}", "--key", door.root.key, "monitor"]
    with subprocess.Popen([*command, "--json", "--topic", "job"], stdout=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(60, process.kill)
        killer.start()
        assert process.stdout is not None
        assert "snapshot" == json.loads(process.stdout.readline())["type"]
        job_id = door.ended()
        told = [json.loads(process.stdout.readline())["data"] for _ in range(3)]
        assert [(job_id, n) for n in (1, 2, 3)] == [(one["id"], one["version"]) for one in told]
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(timeout=30)
        killer.cancel()


def test_each_event_is_one_line(door: Door) -> None:
    """With what one wants to know, and no control characters."""
    snapshot = door.root.get("/api/monitor").json
    job_id = door.ended()
    told = {
        "snapshot": (snapshot, "0 queued"),
        "resumed": ({"after": "1-1", "events": 3}, "3 events"),
        "job.state": ({"id": job_id, "kind": "k", "state": "failed", "error": {"message": "no\nway"}}, "no way"),
        "job.progress": ({"id": job_id, "progress": {"percent": 12.5, "stage": "one"}}, "12.5% one"),
        "queue.changed": ({"queue": "ai", "waiting": 2}, "ai 2 waiting"),
        "system.changed": ({"ledger": "away"}, "ledger away"),
        "worker.connected": ({"name": "w", "state": "up", "rss_bytes": 2048}, "w up"),
    }
    for type_, (data, words) in told.items():
        line = monitor_line(MonitorEvent(type=type_, topic=type_.partition(".")[0], data=data))
        assert words in line, line
        assert "\n" not in line
