"""Every process told to stop in turn, under load, behind a proxy that follows readiness: nobody outside notices."""

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tasks.core.ledger.fleet import WorkerState
from tasks.core.records import JobState
from tests.integration.house import House
from tests.integration.processes import CommandContainer, await_true
from tests.proxy import Proxy, ports_of
from tests.servers import free_port

_PAUSE_S = 0.1


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """Long enough to drain for a proxy that looks every tenth of a second on a busy machine."""
    return {"drain_s": "3", "web_threads": "32", "beat_s": "0.2"}


class Web:
    """One web process, which can be started again on its port."""

    def __init__(self, house: House) -> None:
        self.port = free_port()
        self._house = house
        self.start()

    def start(self) -> None:
        env = {"SWITCHYARD_PORT": str(self.port)}
        self._process: CommandContainer = self._house.start("web", "-m", "app", prompt="Listening at", env=env)

    def stop(self) -> int:
        self._process._container.kill("SIGTERM")
        return self._process.wait()


class Load:
    """Clients that submit without end, one half on kept connections, the other each time on a new one."""

    def __init__(self, url: str, body: dict[str, object]) -> None:
        self.accepted: list[str] = []
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self._url = f"{url}/api/jobs/faulty.act"
        self._body = body
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(keeps,)) for keeps in (True, False, True, False)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, keeps: bool) -> None:
        headers = {"Authorization": "Bearer tests-key"}
        with httpx.Client(headers=headers, timeout=20) as kept:
            while not self._stopping.wait(_PAUSE_S):
                try:
                    answer = (kept.post if keeps else self._post_anew)(self._url, json={"params": self._body})
                except httpx.TransportError as exc:
                    with self._lock:
                        self.failures.append(repr(exc))
                    continue
                with self._lock:
                    self.answers[answer.status_code] += 1
                    if answer.status_code == httpx.codes.ACCEPTED:
                        self.accepted.append(answer.json()["id"])

    def _post_anew(self, url: str, *, json: dict[str, object]) -> httpx.Response:
        return httpx.post(url, json=json, headers={"Authorization": "Bearer tests-key"}, timeout=20)

    def goes_on(self) -> None:
        """Wait for some more to be accepted."""
        seen = len(self.accepted)
        await_true(lambda: len(self.accepted) >= seen + 10, what="the load goes on")


def test_rolling_restart_loses_and_refuses_nothing(house: House) -> None:
    """Two web processes and two workers in turn: every answer is 202, every job succeeds, each takes effect once."""
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(Web, house), pool.submit(Web, house)]
        workers = [house.worker, house.start_worker("-Q", "analytics")]
        webs = [one.result() for one in starting]
    body = {"act": "succeed", "effects": str(house.folder / "effects")}
    ports = {web.port for web in webs}
    with Proxy(*ports, follow_ready=True, ready_every_s=0.1) as proxy:
        await_true(lambda: ports_of(proxy.ready) == ports, what="both web processes are ready")
        with Load(f"http://127.0.0.1:{proxy.port}", body) as load:
            load.goes_on()
            for web in webs:
                assert 0 == web.stop()
                load.goes_on()
                web.start()
                await_true(lambda: ports_of(proxy.ready) == ports, what="both are ready again")
                load.goes_on()
            for worker in workers:
                worker.kill("SIGTERM")
                assert 0 == worker.container.wait()
                house.await_row(worker, WorkerState.STOPPED)
                load.goes_on()
                if worker is not workers[-1]:
                    house.start_worker("-Q", "analytics")
        house.await_idle(within_s=120)
        assert ([], {202}, 0) == (load.failures, set(load.answers), proxy.refused)
        assert min(proxy.accepted[address] for address in proxy.backends) > 0
    effects = Counter(line.split()[0] for line in (house.folder / "effects").read_text().splitlines())
    assert dict.fromkeys(load.accepted, 1) == dict(effects)
    states = {one["state"] for one in _records(webs[0], load.accepted)}
    assert {str(JobState.SUCCEEDED)} == states


def _records(web: Web, ids: list[str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    cursor: str | None = None
    for _ in itertools.count():
        params = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = httpx.get(
            f"http://127.0.0.1:{web.port}/api/jobs", params=params, headers={"Authorization": "Bearer tests-key"}
        ).json()
        found += page["jobs"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert set(ids) == {one["id"] for one in found}
    return found
