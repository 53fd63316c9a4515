"""F11: web processes and workers are told to stop in turn, under load, behind a proxy that follows readiness."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.chaos.house import House, open_house
from tests.chaos.ledger_reading import lost_attempts
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge
from tests.integration.processes import LocalProcess
from tests.proxy import Proxy, ports_of
from tests.servers import free_port

_STOP_LIMIT_S = 60.0
_JOB_S = 0.3
# Readers, and the pause of each. A server that closes its door before the proxy has noticed, a tenth of a second later,
# must meet many new connections in that time.
_KEPT, _ANEW = 2, 8
_PAUSE_S = 0.02


@dataclass(slots=True)
class Readers:
    """Clients that read records through the proxy, on kept and on new connections; every answer is counted."""

    url: str
    headers: dict[str, str]
    answers: Counter[str] = field(default_factory=Counter)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, path: str) -> None:
        """Read ``path`` again and again."""
        for keeps in (*(True,) * _KEPT, *(False,) * _ANEW):
            thread = threading.Thread(target=self._run, args=(path, keeps), name="reader", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, path: str, keeps: bool) -> None:
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=30) as kept:
            while not self._stopping.wait(_PAUSE_S):
                try:
                    answer = kept.get(path) if keeps else httpx.get(self.url + path, headers=self.headers, timeout=30)
                except httpx.TransportError as exc:
                    self.answers[type(exc).__name__] += 1
                else:
                    self.answers[str(answer.status_code)] += 1

    def stop(self) -> None:
        """Stop."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=35)


def play(trial: Trial) -> Verdict:
    """Restart two web processes and two workers, each once in every round, while clients submit, read and watch."""
    rounds = trial.pick(quick=1, full=3)
    # Nobody dies here, so a short lease would only take a starved worker for gone.
    settings = {"drain_s": trial.pick(quick="3", full="5"), "lease_s": "10"}
    with open_house(trial, settings=settings) as house:
        ports = [free_port(), free_port()]
        webs = {port: _start_web(house, port) for port in ports}
        house.start_dispatcher()
        workers = house.start_workers(2)
        with Proxy(*ports, follow_ready=True) as proxy:
            _await_ready(house, proxy, ports)
            house.url = f"http://127.0.0.1:{proxy.port}"
            submitter = house.submitter()
            submitter.submit_many(10, seconds=_JOB_S)
            readers = Readers(house.url, house.headers)
            readers.start(f"/api/jobs/{submitter.ids[0]}")
            submitter.start(every_s=0.1, seconds=_JOB_S)
            codes = [code for _ in range(rounds) for code in _restart_all(house, proxy, webs, workers)]
            submitter.stop()
            readers.stop()
            house.drain(within_s=trial.pick(quick=60, full=120))
            reached = {port: proxy.accepted["127.0.0.1", port] for port in ports}
            return judge(
                house,
                Claim("every process ended in order", f"exit codes {codes}", set(codes) == {0}),
                Claim(
                    "every submission was answered 202 at once, on kept connections",
                    f"{len(submitter.answers_s)} times, else {dict(submitter.refusals) or 'nothing'}",
                    not submitter.refusals,
                ),
                Claim("every read was answered 200", f"{dict(readers.answers)}", set(readers.answers) == {"200"}),
                Claim("no connection was refused", f"{proxy.refused} by the proxy", proxy.refused == 0),
                Claim("both web processes were used", f"{reached}", min(reached.values()) > 0),
                Claim("no attempt was lost", f"{len(lost_attempts(house.ledger))}", not lost_attempts(house.ledger)),
                notes=[f"{rounds} rounds: {len(codes)} processes stopped and started again"],
            )


def _start_web(house: House, port: int) -> LocalProcess:
    return house.start("web", "-m", "app", env={"SWITCHYARD_PORT": str(port)})


def _await_ready(house: House, proxy: Proxy, ports: list[int]) -> None:
    house.trial.await_true(lambda: ports_of(proxy.ready) == set(ports), "both web processes are ready", within_s=90)


def _restart_all(house: House, proxy: Proxy, webs: dict[int, LocalProcess], workers: list[LocalProcess]) -> list[int]:
    """Stop and start again each web process and each worker, one after another, with load in between."""
    codes = []
    for port in list(webs):
        house.trial.say(f"SIGTERM to the web process on {port}")
        codes.append(_stop(webs[port]))
        _go_on(house)
        webs[port] = _start_web(house, port)
        _await_ready(house, proxy, list(webs))
        _go_on(house)
    for number, worker in enumerate(workers):
        house.trial.say(f"SIGTERM to worker {worker.pid}")
        codes.append(_stop(worker))
        workers[number] = house.start_worker()
        _go_on(house)
    return codes


def _stop(process: LocalProcess) -> int:
    process.kill("SIGTERM")
    return process.wait(within_s=_STOP_LIMIT_S)


def _go_on(house: House) -> None:
    """Wait for some more jobs to be accepted."""
    submitter = house.submitters[0]
    before, began = len(submitter.told), time.monotonic()
    house.trial.await_true(
        lambda: len(submitter.told) >= before + 10 and time.monotonic() - began > 1, "the load goes on", within_s=60
    )


SCENARIOS = (
    Scenario(
        "F11", "rolling restart of web and workers under load, behind a proxy", play, bound_s=480, quick_bound_s=300
    ),
)
