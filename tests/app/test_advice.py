"""What is advised: each rule at its bounds, scenarios from one person's first try to a house of many, and over HTTP."""

from typing import Any

import pytest

from app.services import Services
from app.sizing import SLOTS, Needs, Sizing, sizing
from client.command import cli
from tasks.core.kernel import Kernel
from tasks.core.ledger.schema import jobs
from tasks.core.spec import Queue
from tests.app.conftest import Caller, add_worker, claim, finish
from workers.profiles import PROFILES

PATH = "/api/advice"


def move(kernel: Kernel, queue: str) -> None:
    """Let all jobs be of another queue, for which there are no small kinds."""
    with kernel.ledger.write() as connection:
        connection.execute(jobs.update().values(queue=queue))


def short(found: Sizing) -> tuple[str, int, int]:
    return found.backend, found.least_workers, found.most_workers


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(), ("local", 1, 1)),
        (Needs(sites=0), ("local", 1, 1)),
        (Needs(sites=19), ("local", 1, 1)),
        (Needs(sites=20), ("queue", 2, 2)),
        (Needs(sites=100), ("queue", 2, 2)),
        (Needs(sites=101), ("queue", 4, 8)),
        (Needs(jobs_per_day=50), ("local", 1, 1)),
        (Needs(jobs_per_day=51), ("queue", 2, 4)),
        (Needs(jobs_per_day=200), ("queue", 2, 4)),
        (Needs(jobs_per_day=201), ("queue", 4, 8)),
        (Needs(people=1), ("local", 1, 1)),
        (Needs(people=2), ("queue", 1, 2)),
        (Needs(people=5), ("queue", 1, 2)),
        (Needs(people=6), ("queue", 2, 4)),
        (Needs(people=20), ("queue", 2, 4)),
        (Needs(people=21), ("queue", 4, 8)),
        (Needs(must_survive=True), ("queue", 2, 2)),
        # 50 x 3,600 s in 28,800 s, at most 70 % busy, are 9 at a time, two to a worker.
        (Needs(jobs_per_day=50, job_s=3600), ("queue", 5, 5)),
        (Needs(jobs_per_day=1_000_000, job_s=3600), ("queue", 89286, 89286)),
    ],
)
def test_each_rule_holds_up_to_its_bound(needs: Needs, expected: tuple[str, int, int]) -> None:
    """The most demanding decides."""
    assert expected == short(sizing(needs))


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(sites=3, jobs_per_day=5, people=1), ("local", 1, 1, "sqlite", 1)),
        (Needs(sites=30, jobs_per_day=60, people=4), ("queue", 2, 4, "sqlite", 1)),
        (Needs(sites=80, jobs_per_day=150, people=12), ("queue", 2, 4, "sqlite", 1)),
        (Needs(sites=300, jobs_per_day=2000, people=50, must_survive=True), ("queue", 4, 8, "postgresql", 2)),
        (Needs(sites=60, jobs_per_day=100, has_redis=False), ("local", 1, 1, "sqlite", 1)),
    ],
)
def test_scenarios(needs: Needs, expected: tuple[Any, ...]) -> None:
    """A first try; a small team; a larger one; a house that must not stop; a machine on which no Redis may be run."""
    found = sizing(needs)
    assert expected == (*short(found), found.ledger, found.web_servers)
    assert needs.has_redis is not bool(found.warnings)
    assert SLOTS * (found.least_workers if needs.has_redis else 2) == found.slots


def test_a_worker_has_as_many_slots_as_is_reckoned_with() -> None:
    """They are set elsewhere."""
    assert SLOTS == PROFILES[Queue.CRAWLER].concurrency


def test_advice_is_given_over_http(alice: Caller) -> None:
    """With reasons, doubts and what to type."""
    found = alice.get(f"{PATH}?sites=60&people=4&must_survive=true&has_redis=false").json
    assert ("local", 4, 2) == (found["backend"], found["slots"], len(found["warnings"]))
    assert "60 sites: the queue, with 2 workers." in found["reasons"]
    assert ["SWITCHYARD_PROFILE=local python -m workers local --with-web --slots 4"] == found["commands"]
    for query in ("sites=-1", "sites=x", "job_s=0", "job_s=nan", "must_survive=maybe", "x=1"):
        assert 422 == alice.get(f"{PATH}?{query}").status_code, query


def test_each_queue_is_advised_by_what_was_measured(alice: Caller, services: Services) -> None:
    """In words; and what an hour tells of a day, unless something else is said."""
    kernel = services.kernel
    add_worker(kernel)
    finish(kernel, claim(kernel, alice.submit()["id"]))
    alice.submit()
    found = {queue["queue"]: queue for queue in alice.get(PATH).json["queues"]}
    assert [*Queue] == list(found)
    queue = found["maintenance"]
    assert (1, 1, 1, "none") == (queue["workers"], queue["advised_workers"], queue["waiting"], queue["change"])
    assert "1 wait and are to be done in 10 minutes" in queue["reasons"][1]
    assert "switchyard workers scale maintenance=1" == queue["command"]
    assert (0, "more") == (found["voice"]["workers"], found["voice"]["change"])
    assert "no job of the queue crawler has ended" in alice.get(f"{PATH}?measured=true").json["reasons"][0]
    move(kernel, "crawler")
    measured = alice.get(f"{PATH}?measured=true&job_s=3600").json
    assert "Measured: 2 jobs came to the queue crawler within the hour" in measured["reasons"][0]
    assert "16 jobs of 3600 s within eight hours" in " ".join(measured["reasons"])


def test_what_is_advised_can_be_typed() -> None:
    """The commands are there, with these options."""
    from workers.__main__ import main

    (runner,) = sizing(Needs()).commands
    options = {option for one in main.commands["local"].params for option in one.opts}
    assert {word for word in runner.split() if word.startswith("--")} <= options
    roles = [command.partition("  #")[0] for command in sizing(Needs(sites=50)).commands]
    assert ["python -m app", "python -m workers dispatcher", "celery -A tasks worker -Q crawler"] == roles
    assert "dispatcher" in main.commands
    assert "advise" in cli.commands
