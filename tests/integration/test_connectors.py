"""Connectors against servers from packages: Flower over HTTP, Chromium's DevTools over a WebSocket."""

import base64
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from tasks.connectors.configured import seal_secrets
from tasks.connectors.contract import CHECK, HTTP, WEBSOCKET
from tasks.connectors.store.records import SealedSecrets, keep_connector
from tasks.core.records import Job, JobState
from tasks.dispatch import submit
from tasks.registry import load_specs
from tasks.submission import Submission
from tests.integration.house import House, LocalBroker
from tests.integration.processes import CommandContainer, LocalProcess, await_true
from tests.servers import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

_SIGN_IN = "someone:a long password"
_BASIC = base64.b64encode(_SIGN_IN.encode()).decode()
_APP = ("-m", "celery", "-A", "tests.connectors.elsewhere")
_TICKS = 60
# Runs in the page: a work is begun once for each key, counts its ticks aloud, and can be ended.
_WORK = """
(() => {
  window.works ??= new Map();
  const key = '{{job.key}}';
  if (!works.has(key)) works.set(key, new Promise(resolve => {
    let ticks = 0;
    window.begun = (window.begun ?? 0) + 1;
    window.timer = setInterval(() => {
      console.log(++ticks);
      if (ticks === {{input.ticks}}) resolve('{{input.word}} after ' + ticks);
    }, 100);
  }));
  return works.get(key);
})()
"""


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Where the two servers listen."""
    return {"flower": free_port(), "chromium": free_port()}


@pytest.fixture(scope="module")
def house_settings(ports: Mapping[str, int]) -> dict[str, str]:
    """Both may be spoken to; a dead worker is soon missed."""
    return {"egress_allow": ",".join(f"127.0.0.1:{port}" for port in ports.values()), "lease_s": "3"}


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """A worker of two children."""
    return ("-Q", "ai", "--concurrency", "2")


@pytest.fixture(scope="module")
def flower(folder: Path, celery_broker: LocalBroker, ports: Mapping[str, int]) -> Iterator[Path]:
    """Flower with a Celery worker of its own; the folder that its tasks write to."""
    written = folder / "elsewhere"
    written.mkdir()
    redis = celery_broker.url.removesuffix("0")
    env = {**os.environ, "ELSEWHERE_REDIS": f"{redis}5", "ELSEWHERE_FOLDER": str(written)}
    worker = (*_APP, "worker", "--concurrency", "2", "--loglevel", "INFO")
    server = (*_APP, "flower", "--address=127.0.0.1", f"--port={ports['flower']}", f"--basic-auth={_SIGN_IN}")
    containers = [
        CommandContainer("elsewhere", worker, env=env, folder=folder, prompt="ready."),
        CommandContainer("flower", server, env=env, folder=folder, prompt="Visit me at"),
    ]
    try:
        for container in containers:
            container.ready()
        yield written
    finally:
        for container in containers:
            container.teardown()


@pytest.fixture(scope="module")
def page(folder: Path, ports: Mapping[str, int]) -> Iterator[str]:
    """The id of an empty page of a Chromium that others may command."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium here: make setup installs it")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--remote-debugging-port={ports['chromium']}")
    command = [program, *options, f"--user-data-dir={folder / 'chromium'}", "about:blank"]
    process = LocalProcess("chromium", command, env=dict(os.environ), log=folder / "chromium.log", cwd=folder)
    try:
        yield str(await_true(lambda: _page_of(ports["chromium"]), what="Chromium has a page"))
    finally:
        process.stop()


def _page_of(port: int) -> str | None:
    try:
        pages = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return next((str(one["id"]) for one in pages if one["type"] == "page"), None)


def _asked(port: int, page: str, expression: str) -> Any:
    """Return what an expression is worth in the page."""
    with connect(f"ws://127.0.0.1:{port}/devtools/page/{page}", proxy=None) as socket:
        socket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": {"expression": expression}}))
        return json.loads(socket.recv(timeout=20))["result"]["result"].get("value")


def _store(house: House, name: str, service: dict[str, Any], secrets: dict[str, str]) -> None:
    kernel = house.kernel
    sealed = SealedSecrets(tuple(secrets), seal_secrets(kernel.settings, house.tenant_id, name, secrets))
    keep_connector(kernel.ledger, house.tenant_id, name, service=service, secrets=sealed)


@pytest.fixture(scope="module")
def shouting(celery_setup: House, flower: Path, ports: Mapping[str, int]) -> Path:
    """Flower's configuration is stored; the folder that its tasks write to."""
    service = {
        "base_url": f"http://127.0.0.1:{ports['flower']}/api",
        "headers": {"Authorization": "Basic {{secret.basic}}"},
        "request": {
            "method": "POST",
            "path": "/task/async-apply/elsewhere.shout",
            "body": {"args": ["{{input.text}}"]},
        },
        "poll": {
            "remote": {"id": "/task-id"},
            "status": {"path": "/task/result/{{remote.id}}"},
            "cancel": {"method": "POST", "path": "/task/revoke/{{remote.id}}", "query": {"terminate": "true"}},
            "state": "/state",
            "succeeded": ["SUCCESS"],
            "failed": ["FAILURE", "REVOKED"],
            "interval_s": 0.2,
        },
        "health": {"path": "/workers"},
    }
    _store(celery_setup, "flower", service, {"basic": _BASIC})
    return flower


@pytest.fixture(scope="module")
def counting(celery_setup: House, page: str, ports: Mapping[str, int]) -> str:
    """Chromium's configuration is stored; the id of its page."""
    service = {
        "type": "websocket",
        "base_url": f"http://127.0.0.1:{ports['chromium']}",
        "path": f"/devtools/page/{page}",
        "opening": [{"id": 1, "method": "Runtime.enable"}],
        "request": {
            "id": 7,
            "method": "Runtime.evaluate",
            "params": {"expression": _WORK, "awaitPromise": True},
        },
        "cancel": {
            "id": 8,
            "method": "Runtime.evaluate",
            "params": {"expression": "clearInterval(timer); window.ended = '{{job.key}}'"},
        },
        "state": "/id",
        "succeeded": ["7"],
        "result": "/result/result",
        "progress": "/params/args/0/value",
        "progress_of": _TICKS,
        "health": {"send": {"id": 9, "method": "Browser.getVersion"}, "expect": {"/id": 9}},
    }
    _store(celery_setup, "chromium", service, {})
    return page


def _submit(house: House, kind: str, connector: str, **given: Any) -> Job:
    spec = load_specs(house.kernel.settings.extra_families)[kind]
    request = {"connector": connector, "input": given}
    return submit(house.kernel, house.carrier, spec, Submission(tenant_id=house.tenant_id, request=request)).job


def _is_followed(job: Job) -> bool:
    """Whether the service has said something of the work, and what it calls that is kept."""
    return job.progress is not None and job.progress.get("stage") == "remote"


def _begun(folder: Path, text: str) -> int:
    """Count how often the task began."""
    path = folder / f"{text}.begun"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_flower_s_task_outlives_a_killed_worker_and_is_not_begun_twice(house: House, shouting: Path) -> None:
    """The worker and its children die by SIGKILL; another goes on polling the task that runs there."""
    job = _submit(house, HTTP, "flower", text="hello")
    await_true(lambda: _begun(shouting, "hello"), what="the task begins")
    house.await_job(job, _is_followed, what="it is polled")
    lost = psutil.Process(house.worker.pid)
    for process in (lost, *lost.children(recursive=True)):
        process.kill()
    house.start_worker("-Q", "ai", "--concurrency", "2")
    house.await_job(job, lambda seen: seen.attempt == 2, what="the second attempt")
    (shouting / "hello.go").touch()

    ended = house.await_end(job)

    assert (JobState.SUCCEEDED, 1) == (ended.state, _begun(shouting, "hello"))
    assert (True, "HELLO") == (ended.result["resumed"], ended.result["answer"]["result"])


def test_flower_s_task_is_revoked_when_the_job_is_cancelled(
    house: House, shouting: Path, ports: Mapping[str, int]
) -> None:
    """It is terminated there, not left to run."""
    job = _submit(house, HTTP, "flower", text="never")
    await_true(lambda: _begun(shouting, "never"), what="the task begins")
    house.await_job(job, _is_followed, what="it is polled")
    house.cancel(job)

    assert JobState.CANCELLED == house.await_end(job).state
    tasks = httpx.Client(base_url=f"http://127.0.0.1:{ports['flower']}/api", auth=tuple(_SIGN_IN.split(":")))
    with tasks:

        def is_revoked() -> bool:
            found = tasks.get("/tasks", params={"taskname": "elsewhere.shout"}).json()
            states = [tasks.get(f"/task/result/{name}").json()["state"] for name in found]
            return "REVOKED" in states

        await_true(is_revoked, what="the task is revoked")


def test_a_check_of_flower(house: House, shouting: Path) -> None:
    """It is well, and an input without its text does not fit."""
    found = house.await_end(_submit(house, CHECK, "flower")).result
    assert (True, False, "input.text is missing.") == (found["healthy"], found["can_process"], found["reasons"][0])


def test_chromium_s_work_outlives_a_killed_child_and_is_not_begun_twice(
    house: House, counting: str, ports: Mapping[str, int]
) -> None:
    """The next attempt asks under the same key, and gets what the first one began."""
    job = _submit(house, WEBSOCKET, "chromium", ticks=_TICKS, word="done")
    running = house.await_job(job, _is_followed, what="it counts")
    psutil.Process(running.child_pid).kill()

    ended = house.await_end(job)

    assert (JobState.SUCCEEDED, 2) == (ended.state, ended.attempt)
    assert (f"done after {_TICKS}", 1) == (
        ended.result["answer"]["value"],
        _asked(ports["chromium"], counting, "begun"),
    )


def test_chromium_s_work_is_ended_when_the_job_is_cancelled(
    house: House, counting: str, ports: Mapping[str, int]
) -> None:
    """By a frame on the socket of the attempt."""
    job = _submit(house, WEBSOCKET, "chromium", ticks=100_000, word="never")
    house.await_job(job, _is_followed, what="it counts")
    house.cancel(job)

    assert JobState.CANCELLED == house.await_end(job).state
    await_true(lambda: job.id == _asked(ports["chromium"], counting, "window.ended"), what="the page is told")


def test_a_check_of_chromium(house: House, counting: str) -> None:
    """It answers a frame."""
    found = house.await_end(_submit(house, CHECK, "chromium", ticks=1, word="a")).result
    assert (True, True) == (found["healthy"], found["can_process"])
