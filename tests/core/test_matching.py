"""What a job requires against what a worker offers: plain comparisons."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.ledger.fleet import Worker
from tasks.core.matching import Asked, Offers, Requires, Unmet, lacking, offers_of, place_among, unmet, with_needs
from tests.samples import a_worker

TENANT = "tenant"


def worker(name: str = "ai@here#1", *, has: tuple[str, ...] = (), **offers: Any) -> Worker:
    told = Offers(**({"queues": ["ai"], "kinds": ["a.b"], "memory_mb": 1000, "cpus": 2} | offers))
    return a_worker(name, host=name.partition("@")[2].partition("#")[0], capabilities=list(has), offers=told.as_row())


def asked(place: str | None = None, **requires: Any) -> Asked:
    return Asked(TENANT, "ai", "a.b", requires, place)


@pytest.mark.parametrize(
    ("requires", "missing"),
    [
        ({}, []),
        ({"chromium": True, "r": False}, []),
        ({"r": True, "chromium": False}, ["r", "not:chromium"]),
        ({"memory_mb": 1000, "cpus": 2}, []),
        ({"memory_mb": 1001, "cpus": 3}, ["memory_mb:1001", "cpus:3"]),
        ({"labels": ["gpu", "eu"], "not_labels": ["us"]}, []),
        ({"labels": ["gpu", "us"], "not_labels": ["eu"]}, ["label:us", "not_label:eu"]),
        ({"worker": "ai@here#1", "host": "here"}, []),
        ({"worker": "ai@here#2", "host": "there"}, ["worker:ai@here#2", "host:there"]),
        ({"same_worker_as": "j"}, ["same_worker_as:j"]),
    ],
)
def test_everything_that_is_missing_is_named(requires: dict[str, Any], missing: list[str]) -> None:
    """All of a list is meant, numbers mean at least, and a negative is met by what is not there."""
    assert missing == lacking(asked(**requires), worker(has=("chromium",), labels=["gpu", "eu"]))


@pytest.mark.parametrize(
    ("offers", "missing"),
    [
        ({"queues": ["crawler"]}, ["queue:ai"]),
        ({"kinds": ["a.c"]}, ["kind:a.b"]),
        ({"kinds": []}, []),
        ({"tenants": ["other"]}, ["tenant"]),
        ({"tenants": [TENANT]}, []),
        ({"not_tenants": [TENANT]}, ["tenant"]),
        ({"not_tenants": ["other"]}, []),
    ],
)
def test_worker_must_serve_the_queue_the_kind_and_the_tenant(offers: dict[str, Any], missing: list[str]) -> None:
    """Whatever the job requires besides."""
    assert missing == lacking(asked(), worker(**offers))


def test_worker_of_an_older_version_offers_its_queues() -> None:
    """Its row says nothing else; it has no queue of its own."""
    assert Offers(queues=["maintenance"]) == offers_of(a_worker())


def test_offers_of_a_newer_version_are_read() -> None:
    """What this version does not know is left out."""
    row = Offers(queues=["ai"]).as_row() | {"colour": "red"}
    assert Offers(queues=["ai"]) == offers_of(a_worker(offers=row))


def test_place_is_the_worker_or_its_host() -> None:
    """The exact one while it lives, then any of its host."""
    there, successor, elsewhere = worker("ai@a#1"), worker("ai@a#2"), worker("ai@b#1")
    near = asked(place_among([there, successor], "ai@a#1"), same_worker_as="j")
    assert ([], ["same_worker_as:j"]) == (lacking(near, there), lacking(near, successor))
    after = asked(place_among([successor, elsewhere], "ai@a#1"), same_worker_as="j")
    assert ([], ["same_worker_as:j"]) == (lacking(after, successor), lacking(after, elsewhere))
    assert place_among([there], None) is None


def test_why_nobody_fits_is_told_in_words() -> None:
    """What nobody has comes first; else what the nearest one lacks."""
    gpu, big = worker("ai@gpu#1", labels=["gpu"]), worker("ai@big#1", memory_mb=9000)
    words = "Of the 2 live workers of the queue ai none offers: the label moon."
    assert Unmet("label:moon", words) == unmet(asked(labels=["moon"]), [gpu, big])
    words = "Of the 2 live workers of the queue ai none offers all of it; the nearest, ai@gpu#1, lacks: "
    both = asked(labels=["gpu"], memory_mb=5000)
    assert Unmet("memory_mb:5000", words + "5000 MiB of memory for a job.") == unmet(both, [gpu, big])
    words = "The only live worker of the queue ai does not offer: the absence of the label gpu."
    assert Unmet("not_label:gpu", words) == unmet(asked(not_labels=["gpu"]), [gpu])
    assert Unmet("queue:ai", "No live worker serves the queue ai.") == unmet(asked(), [])
    assert unmet(asked(labels=["gpu"]), [gpu, big]) is None


def test_what_is_asked_is_kept_in_one_order() -> None:
    """So that jobs that need the same are alike; what is left out is left out."""
    given = Requires(r=True, labels=["b", "a"], chromium=False)
    assert [("chromium", False), ("labels", ["b", "a"]), ("r", True)] == list(given.asked().items())
    assert {} == Requires().asked()
    assert ["chromium", "cpus", "r"] == list(with_needs({"cpus": 2, "r": True}, {"r", "chromium"}))


@pytest.mark.parametrize("bad", [{"gpu": True}, {"cpus": 0}, {"labels": ["a b"]}, {"labels": ["x"] * 17}])
def test_what_cannot_be_asked_is_refused(bad: dict[str, Any]) -> None:
    """Unknown names, numbers without sense, labels that nobody can have."""
    with pytest.raises(ValidationError):
        Requires.model_validate(bad)
