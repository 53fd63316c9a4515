"""F13 and F14: crowds at the front door: viewers of one job, some of which drop all the time, and pollers."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.chaos.crowd import Crowd
from tests.chaos.house import House, open_house
from tests.chaos.memory import Memory
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge
from tests.integration.processes import LocalProcess, family_of

_DROP_EVERY_S = 3.0
_MOST_GROWTH_MIB = 10.0
# From the middle third to the last, when every poller is there: some ten thousand answers in the full run.
_MOST_GROWTH_OF_POLLING_MIB = 3.0
# The web process' pools hold no more: of streams, of tenants' events, of the carrier.
_MOST_CONNECTIONS = 24


@dataclass(slots=True)
class Samples:
    """What was seen of Redis and of the web process, once a second."""

    web: LocalProcess
    readers: list[int] = field(default_factory=list)
    """Connections of the web process that read streams."""
    connections: list[int] = field(default_factory=list)
    """Connections of the web process to Redis."""
    channels: list[int] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)

    def take(self, house: House) -> None:
        """Look once."""
        clients = house.redis.client.client_list()
        self.readers.append(sum(one["cmd"] == "xread" for one in clients))
        self.connections.append(_connections(self.web.pid, house.redis.port))
        self.channels.append(len(house.redis.client.pubsub_channels()))
        self.memory.look({"web": self.web.pid})

    def flat_memory(self, *, most_mib: float = _MOST_GROWTH_MIB) -> Claim:
        """Claim that the web process, once warm, grows by no more than a little."""
        growth = self.memory.growth_mib("web")
        return Claim(
            f"memory grows by less than {most_mib:g} MiB",
            f"{growth:+.1f} MiB; {self.memory.told('web')}",
            growth < most_mib,
        )

    def constant_connections(self) -> Claim:
        """Claim that what is polled for longer needs no more connections: of the second and the last quarter."""
        quarter = max(1, len(self.connections) // 4)
        before, after = max(self.connections[quarter : 2 * quarter]), max(self.connections[-quarter:])
        return Claim(
            f"the web process' Redis connections stay as they are, at most {_MOST_CONNECTIONS}",
            f"at most {before} in the second quarter, {after} in the last",
            after <= min(before, _MOST_CONNECTIONS),
        )


def _connections(web_pid: int, port: int) -> int:
    found = 0
    for process in family_of(web_pid):
        with suppress(psutil.NoSuchProcess):  # it was replaced in this moment
            found += sum(
                connection.raddr.port == port
                for connection in process.net_connections("tcp")
                if connection.raddr and connection.status == psutil.CONN_ESTABLISHED
            )
    return found


def play_viewers(trial: Trial) -> Verdict:
    """Let a thousand viewers follow one job; a part of them drops every three seconds and comes back."""
    steady = int(os.environ.get("CHAOS_VIEWERS", trial.pick(quick=100, full=900)))
    dropping = max(10, steady // 9)
    with open_house(trial) as house:
        web = house.start_web(env={"SWITCHYARD_WEB_THREADS": str(steady + dropping + 200)})
        house.start_dispatcher()
        house.start_worker("--concurrency", "1")
        submitter = house.submitter()
        job = submitter.submit(seconds=trial.pick(quick=20.0, full=120.0), step_s=0.5)
        crowd = Crowd(house.url, house.headers, chance=trial.chance)
        try:
            crowd.watch(job.id, steady)
            crowd.watch(job.id, dropping, drop_every_s=_DROP_EVERY_S)
            samples = Samples(web)
            most_open = _while(house, samples, crowd, lambda: job.id not in house.watch.ends)
            trial.say(f"the job ended; {crowd.open} viewers are still there")
            _until_all_saw_the_end(trial, crowd)
        finally:
            crowd.close()
        faults = [fault for member in crowd.members for fault in member.faults]
        ended = sum(member.ended for member in crowd.members)
        events = Counter(member.events for member in crowd.members)
        return judge(
            house,
            Claim(
                "no gap that a snapshot did not announce, no repeat",
                f"{len(faults)} faults {faults[:3]} in {sum(one * times for one, times in events.items())} events",
                not faults and sum(events) > 0,
            ),
            Claim("every viewer saw the end", f"{ended} of {len(crowd.members)}", ended == len(crowd.members)),
            Claim("they watched at the same time", f"at most {most_open}", most_open >= 0.9 * steady),
            Claim(
                "one Redis reader in the web process",
                f"at most {max(samples.readers)}",
                max(samples.readers) == 1,
            ),
            samples.flat_memory(),
            notes=[f"{steady} steady viewers, {dropping} that drop; answers {dict(crowd.answers)}"],
        )


def _until_all_saw_the_end(trial: Trial, crowd: Crowd) -> None:
    try:
        trial.await_true(lambda: all(one.ended for one in crowd.members), "all saw the end", within_s=60)
    except AssertionError:
        trial.say("some never saw the end")


def play_pollers(trial: Trial) -> Verdict:
    """Let thousands of clients ask for records for minutes, most of them waiting in long polls."""
    pollers = int(os.environ.get("CHAOS_POLLERS", trial.pick(quick=150, full=2000)))
    while_s = float(os.environ.get("CHAOS_POLL_S", trial.pick(quick=20, full=180)))
    with open_house(trial) as house:
        web = house.start_web(env={"SWITCHYARD_WEB_THREADS": str(pollers + 200)})
        house.start_dispatcher()
        house.start_worker("--concurrency", "2")
        submitter = house.submitter()
        waiting = [told.id for told in submitter.submit_many(40, seconds=while_s / 4, step_s=1.0)]
        crowd = Crowd(house.url, house.headers, chance=trial.chance)
        try:
            long, short = pollers * 9 // 10, pollers - pollers * 9 // 10
            crowd.poll([f"/api/jobs/{job}?wait=30" for job in waiting], long)
            crowd.poll([f"/api/jobs/{job}" for job in waiting[:3]], min(short, 5))
            samples = Samples(web)
            left = iter(range(int(while_s)))
            most_open = _while(house, samples, crowd, lambda: next(left, None) is not None)
        finally:
            crowd.close()
        with house.client() as client:
            for job in waiting:
                client.post(f"/api/jobs/{job}/cancel")
        house.drain(within_s=60)
        half = len(samples.channels) // 2
        channels = samples.channels[half:]
        others = {answer: count for answer, count in crowd.answers.items() if answer != "200"}
        return judge(
            house,
            Claim("they polled at the same time", f"at most {most_open} open", most_open >= 0.85 * pollers),
            Claim(
                "polls were answered 200, or 503 with Retry-After",
                f"{crowd.answers['200']} times, else {others or 'nothing'}",
                set(others) <= {"503"} and crowd.answers["200"] > pollers,
            ),
            samples.constant_connections(),
            Claim("channels constant", f"{min(channels)} to {max(channels)}", min(channels) == max(channels)),
            Claim("one Redis reader in the web process", f"at most {max(samples.readers)}", max(samples.readers) <= 1),
            samples.flat_memory(most_mib=_MOST_GROWTH_OF_POLLING_MIB),
            notes=[f"{pollers} pollers for {while_s:g} s"],
            all_succeed=False,
        )


def _while(house: House, samples: Samples, crowd: Crowd, goes_on: Callable[[], bool]) -> int:
    """Sample once a second; return how many clients were connected at the most."""
    most = 0
    while goes_on():
        house.trial.sleep(1)
        samples.take(house)
        most = max(most, crowd.open)
    return most


SCENARIOS = (
    Scenario(
        "F13",
        "1,000 viewers of one job, some drop every 3 s",
        play_viewers,
        bound_s=420,
        quick_bound_s=180,
    ),
    Scenario("F14", "thousands of pollers for minutes", play_pollers, bound_s=600, quick_bound_s=180),
)
