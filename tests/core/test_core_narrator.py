"""The narrator: at most ten reports a second, every log line in the file, and never in an engine's way."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.artifacts import LOG_NAME
from tasks.core.kernel import Kernel
from tasks.core.ledger.tenants import Tenant
from tasks.core.narrator import Narrator
from tasks.core.records import Job
from tests.samples import eventually, running
from tests.servers import RedisServer


@pytest.fixture
def job(kernel: Kernel, tenant: Tenant) -> Job:
    return running(kernel.ledger, tenant)


@pytest.fixture
def narrator(kernel: Kernel, job: Job, tmp_path: Path) -> Iterator[Narrator]:
    narrator = Narrator(kernel.events, job, lambda: tmp_path / "log")
    yield narrator
    narrator.close()


def told(kernel: Kernel, job: Job, type_: str) -> list[dict[str, object]]:
    return [event.data for event in kernel.events.read(job.id) if event.type == type_]


def test_reports_are_throttled_and_the_last_is_sent(kernel: Kernel, job: Job, narrator: Narrator) -> None:
    """A thousand reports in half a second become a handful, and the newest always arrives."""
    began = time.monotonic()
    for n in range(1000):
        narrator.progress({"n": n})
        time.sleep(0.0005)
    narrator.close()
    sent = told(kernel, job, "progress")
    assert 2 <= len(sent) <= 3 + 10 * (time.monotonic() - began)
    assert sent[-1] == {"n": 999}


def test_last_report_arrives_without_a_close(kernel: Kernel, job: Job, narrator: Narrator) -> None:
    """An engine that goes quiet leaves viewers with its newest word."""
    narrator.progress({"n": 1})
    assert eventually(lambda: told(kernel, job, "progress") == [{"n": 1}])
    narrator.progress({"n": 2})
    narrator.progress({"n": 3})
    assert eventually(lambda: told(kernel, job, "progress") == [{"n": 1}, {"n": 3}], within_s=2)


def test_log_lines_reach_stream_and_file_in_order(kernel: Kernel, job: Job, narrator: Narrator, tmp_path: Path) -> None:
    """Numbered, with level and source; the file keeps them when the stream has expired."""
    for level in ("info", "error", "nonsense"):
        narrator.log(f"a {level} line ü\n", level=level, stream="engine")
    narrator.close()
    entries = [
        {"line": "a info line ü", "level": "info", "stream": "engine", "n": 1},
        {"line": "a error line ü", "level": "error", "stream": "engine", "n": 2},
        {"line": "a nonsense line ü", "level": "info", "stream": "engine", "n": 3},
    ]
    assert entries == told(kernel, job, "log")
    lines = [json.loads(line) for line in (tmp_path / "log" / LOG_NAME).read_text().splitlines()]
    assert [
        {"at": line["at"], "attempt": 1, "fence": 1, **entry} for line, entry in zip(lines, entries, strict=True)
    ] == lines


def test_long_lines_are_cut(kernel: Kernel, job: Job, narrator: Narrator) -> None:
    """A binary dump by accident does not fill the stream."""
    narrator.log("x" * 100_000, level="info", stream="s" * 100)
    narrator.close()
    (entry,) = told(kernel, job, "log")
    assert (len(str(entry["line"])), len(str(entry["stream"]))) == (8000, 20)


def test_artifacts_are_announced_in_order_with_lines(kernel: Kernel, job: Job, narrator: Narrator) -> None:
    """What was said first comes first."""
    narrator.log("saving", level="info", stream="engine")
    narrator.artifact({"name": "a"})
    narrator.delta({"text": "b"})
    narrator.close()
    assert [event.type for event in kernel.events.read(job.id)] == ["log", "artifact", "delta"]


def test_quiet_attempt_leaves_no_file_and_no_thread(job: Job, narrator: Narrator, tmp_path: Path) -> None:
    """Nothing is opened before it is needed."""
    narrator.close()
    assert not (tmp_path / "log").exists()
    assert narrator._thread is None


def test_frozen_redis_never_holds_the_engine_up(
    kernel: Kernel, job: Job, narrator: Narrator, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Each call returns at once, close soon, and no line is missing in the file."""
    redis_server.freeze()
    slowest = 0.0
    for n in range(300):
        began = time.monotonic()
        narrator.progress({"n": n})
        narrator.log(f"line {n}", level="info", stream="engine")
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.002)
    assert slowest < 0.2
    began = time.monotonic()
    narrator.close()
    assert time.monotonic() - began < 3
    assert len((tmp_path / "log" / LOG_NAME).read_text().splitlines()) == 300


def test_stream_is_told_again_after_an_outage(
    kernel: Kernel, job: Job, narrator: Narrator, redis_server: RedisServer
) -> None:
    """What was said meanwhile is dropped from the stream; what comes after is not."""
    redis_server.stop()
    narrator.log("lost to the stream", level="info", stream="engine")
    assert eventually(lambda: kernel.events.breaker._open_until > 0)
    redis_server.start()
    kernel.events.breaker.succeeded()
    narrator.log("heard", level="info", stream="engine")
    assert eventually(lambda: [entry["line"] for entry in told(kernel, job, "log")] == ["heard"])
