"""F17: receivers of callbacks that fail, hang, answer too much or point inward, and a sender that is killed."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from client import Switchyard
from client.webhooks import Delivery
from tests.chaos.house import House, open_house
from tests.chaos.oracle import Claim
from tests.chaos.registry import Scenario
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict, judge, percentile
from tests.receiver import READY, Received, read_received
from tests.servers import free_port

# Paths of one receiver share its lane, so those that misbehave have one of their own.
_GOOD, _ROUGH = ("/in", "/third"), ("/fail", "/hang", "/huge", "/inward")
_MOST_MEMORY_MIB = 200.0
_ENDS = {"job.succeeded", "job.failed", "job.cancelled"}


@dataclass(slots=True)
class Receivers:
    """Three processes: one that takes callbacks, one that does not, and one that nothing may ever reach."""

    house: House
    ports: dict[str, int]

    def start(self) -> None:
        """Start them."""
        trap = f"http://127.0.0.1:{self.ports['trap']}/metadata"
        for name, port in self.ports.items():
            arguments = ("-m", "tests.receiver", "--port", str(port), "--file", str(self._file(name)))
            self.house.await_logged(self.house.start(name, *arguments, "--inward", trap), READY)

    def url(self, name: str, path: str) -> str:
        """Return an address."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def got(self, *names: str) -> list[Received]:
        """Return what these have received so far."""
        return [one for name in names for one in read_received(self._file(name))]

    def paths(self, *names: str) -> Counter[str]:
        """Count what these have received so far by path."""
        return Counter(one.path for one in self.got(*names))

    def _file(self, name: str) -> Path:
        return self.house.trial.folder / f"{name}.jsonl"


@dataclass(slots=True)
class Senders:
    """The processes that send, found below the dispatchers; looked at, and killed."""

    house: House
    rss_mib: float = 0.0
    killed: int = 0
    pids: set[int] = field(default_factory=set)

    def look(self) -> psutil.Process | None:
        """Return the one that runs now."""
        for process in self.house.processes:
            if process.name == "dispatcher" and process.status == "running":
                for child in psutil.Process(process.pid).children():
                    try:
                        if "callbacks" in child.cmdline():
                            self.rss_mib = max(self.rss_mib, child.memory_info().rss / 2**20)
                            self.pids.add(child.pid)
                            return child
                    except psutil.Error:  # it ended meanwhile
                        continue
        return None

    def kill(self) -> None:
        """End it with SIGKILL, whatever it was about to write down."""
        self.house.trial.await_true(self.look, "a sender runs", within_s=60).kill()
        self.killed += 1
        self.house.trial.say(f"killed the sender, {self.killed} times by now")


@dataclass(slots=True)
class Endings:
    """What became of it all."""

    deliveries: Sequence[Delivery]
    received: Sequence[Received]
    secrets: dict[str, str]
    """What signs, by the webhook's id; of a job's callback it is the tenant's own."""
    own: str

    def of(self, path: str) -> list[Delivery]:
        """Return the ends that were to be told at a path."""
        ids = {one.id for one in self.received if one.path == path}
        return [one for one in self.deliveries if one.id in ids and one.type in _ENDS]

    @property
    def ids_by_job(self) -> dict[tuple[str, str], set[str]]:
        """The ids under which a receiver was told of the end of a job, by path and job."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for one in self.received:
            told = json.loads(one.body)
            if told["type"] in _ENDS:
                found[one.path, told["data"]["job_id"]].add(one.id)
        return found

    @property
    def unsigned(self) -> int:
        """How many arrived that their secret does not verify; the endpoint whose secret is rotated is left out."""
        webhooks = {one.id: one.webhook_id for one in self.deliveries}
        checked = [one for one in self.received if one.path != "/tenant"]
        return sum(not _verifies(one, self.secrets.get(webhooks[one.id], self.own)) for one in checked)


def _verifies(received: Received, secret: str) -> bool:
    try:
        Verifier(secret).verify(received.body, received.signed)
    except WebhookVerificationError:
        return False
    return True


def play(trial: Trial) -> Verdict:
    """Send jobs whose callbacks go to all sorts of receivers; kill the sender now and then, rotate a secret."""
    each, kills = trial.pick(quick=2, full=20), trial.pick(quick=2, full=6)
    day_s = trial.pick(quick=25, full=120)
    ports = {name: free_port() for name in ("good", "rough", "trap")}
    allowed = ",".join(f"127.0.0.1:{ports[name]}" for name in ("good", "rough"))
    timing = {"callback_timeout_s": "2", "callback_retry_s": str(day_s), "callback_off_after_s": str(day_s // 3)}
    with open_house(trial, settings={"egress_allow": allowed, **timing}) as house:
        receivers, senders = Receivers(house, ports), Senders(house)
        receivers.start()
        house.furnish(workers=1)
        submitter = house.submitter()
        with Switchyard(house.url, house.headers["Authorization"].removeprefix("Bearer ")) as client:
            heard = client.webhooks.create(receivers.url("good", "/tenant"), events=["job.*"])
            failing = client.webhooks.create(receivers.url("rough", "/fail/tenant"), events=["job.succeeded"])
            for _ in range(each):
                for path in (*_GOOD, *_ROUGH):
                    url = receivers.url("good" if path in _GOOD else "rough", path)
                    submitter.submit(options={"callback": {"url": url}}, seconds=0.05)
            for number in range(kills):
                trial.sleep(trial.chance.uniform(0.0, 2.0))
                submitter.submit(options={"callback": {"url": receivers.url("good", f"/slow/{number}")}}, seconds=0.05)
                trial.await_true(lambda: f"/slow/{number}" in receivers.paths("good"), "it waits", within_s=60)  # noqa: B023  # used before it changes
                senders.kill()
            house.drain(within_s=90)
            trial.await_true(lambda: len(receivers.got("good")) > 0, "the first callbacks arrive")
            rotated = client.webhooks.rotate(heard.id, old_for_s=3600)
            rotated_at = time.time() + 1  # what was signed before that is on its way
            trial.sleep(2)
            submitter.submit_many(each, seconds=0.05)
            house.drain(within_s=90)
            _await_the_end(trial, client, senders, day_s)
            switched_off = client.webhooks.get(failing.id)
            replayed = _replay(trial, client, failing.id, receivers)
            endings = Endings(
                _all_deliveries(client),
                receivers.got("good", "rough"),
                {failing.id: str(failing.secret)},
                client.webhooks.signing_secret(),
            )
            rotation = _rotation(endings, [str(heard.secret), str(rotated.secret)], rotated_at)
        return judge(
            house,
            _sent_again(endings, kills),
            *_claims(endings, each=each, jobs=len(submitter.ids), day_s=day_s),
            rotation,
            Claim(
                "no inward redirect was followed", f"{len(receivers.got('trap'))} requests", not receivers.got("trap")
            ),
            Claim(
                "an endpoint that failed for long was switched off, and shows it",
                f"enabled {switched_off.enabled}, {switched_off.off_reason}",
                not switched_off.enabled and switched_off.off_reason == "failing",
            ),
            replayed,
            Claim(
                f"a killed sender was replaced; its memory stayed below {_MOST_MEMORY_MIB:g} MiB",
                f"{len(senders.pids)} senders after {senders.killed} kills, at most {senders.rss_mib:.0f} MiB",
                len(senders.pids) > senders.killed and senders.rss_mib < _MOST_MEMORY_MIB,
            ),
            notes=[f"a day lasts {day_s} s here", *_told(endings)],
        )


def _await_the_end(trial: Trial, client: Switchyard, senders: Senders, day_s: float) -> None:
    trial.say("waiting for every delivery to arrive, or to be given up")

    def all_ended() -> bool:
        senders.look()
        return not client.webhooks.deliveries(state="pending", limit=1).deliveries

    trial.await_true(all_ended, "no delivery is pending", within_s=trial.patient_s(2 * day_s + 60))


def _replay(trial: Trial, client: Switchyard, webhook_id: str, receivers: Receivers) -> Claim:
    """Send what an endpoint missed once more, to where it has moved."""
    dead = {one.id for one in client.webhooks.deliveries(webhook_id=webhook_id, state="dead", limit=200).deliveries}
    client.webhooks.change(webhook_id, url=receivers.url("good", "/moved"), enabled=True)
    count = client.webhooks.replay_dead(webhook_id)

    def arrived() -> set[str]:
        return {one.id for one in receivers.got("good") if one.path == "/moved"}

    trial.await_true(lambda: arrived() >= dead, "what was replayed arrives", within_s=trial.patient_s(60))
    trial.await_true(lambda: client.webhooks.stats(webhook_id).pending == 0, "what was replayed is noted", within_s=60)
    holds = count == len(dead) > 0 and arrived() == dead
    return Claim("dead deliveries were replayed, under their ids", f"{len(arrived())} of {len(dead)}", holds)


def _rotation(endings: Endings, secrets: list[str], rotated_at: float) -> Claim:
    """Claim that before a rotation the old secret signed, and after it both do."""
    got = [one for one in endings.received if one.path == "/tenant"]
    before = [one for one in got if one.at < rotated_at]
    after = [one for one in got if one.at >= rotated_at]
    verified = [all(_verifies(one, secret) for secret in secrets) for one in after]
    first = [_verifies(one, secrets[0]) for one in before]
    return Claim(
        "signatures verify before and after the rotation of a secret, then by either",
        f"{sum(first)} of {len(before)} before, {sum(verified)} of {len(after)} after",
        all(first) and all(verified) and bool(before) and bool(after),
    )


def _claims(endings: Endings, *, each: int, jobs: int, day_s: float) -> list[Claim]:
    several = sum(len(ids) > 1 for ids in endings.ids_by_job.values())
    good = [one for path in _GOOD for one in endings.of(path)]
    heard = {job for path, job in endings.ids_by_job if path == "/tenant"}
    rough = [one for path in _ROUGH for one in endings.of(path)]
    tries = [one.tries for one in rough]
    lasted = [(one.ended_at - one.created_at).total_seconds() for one in rough if one.ended_at and one.created_at]
    return [
        Claim("one terminal callback id per job and receiver (I6)", f"{several} with more", several == 0),
        Claim(
            "whoever takes callbacks got each end",
            f"{len(good)} of {len(_GOOD) * each} jobs' own, {len(heard)} of {jobs} at the tenant's endpoint",
            len(good) == len(_GOOD) * each and len(heard) == jobs and all(one.state == "delivered" for one in good),
        ),
        Claim(
            "whoever does not was tried again for a day, then given up",
            f"{sum(one.state == 'dead' for one in rough)} of {len(_ROUGH) * each} dead, {min(tries, default=0)} to "
            f"{max(tries, default=0)} tries, after {min(lasted, default=0):.0f} to {max(lasted, default=0):.0f} s",
            len(rough) == len(_ROUGH) * each
            and all(one.state == "dead" for one in rough)
            and min(tries) > 1
            and min(lasted) >= day_s - 1,
        ),
        _jitter(endings),
        Claim("every signature verifies", f"{endings.unsigned} do not", endings.unsigned == 0),
    ]


def _sent_again(endings: Endings, kills: int) -> Claim:
    """Claim that a try whose sender was killed before it noted the answer was made again, under the same id."""
    arrivals = Counter(one.id for one in endings.received if one.path.startswith("/slow/"))
    again = sum(count > 1 for count in arrivals.values())
    found = f"{again} of {kills} arrived again, under {len(arrivals)} ids"
    return Claim(
        "what a killed sender had not noted was sent again, under its id", found, again == len(arrivals) == kills
    )


def _jitter(endings: Endings) -> Claim:
    """Claim that pauses are drawn by chance: those after the same number of tries differ.

    The first ones are left out: a killed sender's try is not among the attempts.
    """
    pauses: dict[int, list[float]] = defaultdict(list)
    for one in (one for path in ("/fail", "/huge", "/inward") for one in endings.of(path)):
        for number, (earlier, later) in enumerate(pairwise(one.attempts), start=1):
            pauses[number].append((later.at - earlier.at).total_seconds())
    second = pauses.get(2, [0.0])
    return Claim(
        "pauses are drawn by chance",
        f"{len(second)} second ones from {min(second):.1f} to {max(second):.1f} s",
        len(second) > 1 and max(second) - min(second) > 0.05,
    )


def _told(endings: Endings) -> list[str]:
    waits = [_wait_s(one) for one in endings.received if one.path == "/in"]
    return [f"job's end to arrival at /in: p50 {percentile(waits, 50)} s, p99 {percentile(waits, 99)} s"]


def _wait_s(received: Received) -> float:
    told: dict[str, Any] = json.loads(received.body)
    return received.at - datetime.fromisoformat(told["timestamp"]).timestamp()


def _all_deliveries(client: Switchyard) -> list[Delivery]:
    found: list[Delivery] = []
    page = client.webhooks.deliveries(limit=200)
    found += page.deliveries
    while page.next_cursor:
        page = client.webhooks.deliveries(limit=200, cursor=page.next_cursor)
        found += page.deliveries
    return found


SCENARIOS = (
    Scenario(
        "F17",
        "callback receivers that answer 500, hang, send 10 MB, redirect inward; the sender is killed",
        play,
        bound_s=600,
        quick_bound_s=280,
    ),
)
