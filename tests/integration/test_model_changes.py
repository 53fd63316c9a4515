"""Another model, while people search: over HTTP, with workers in processes of their own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from client import Switchyard
from client.knowledge import Found
from tests.integration.house import House
from tests.integration.processes import await_true
from tests.knowledge.embeddings import served
from tests.servers import free_port

SITE = "handbook"
# More than are embedded at a time, so that there is a half-way.
DOCUMENTS = [{"id": f"rule-{n}", "text": f"Rule {n}: the kettle of floor {n} is descaled."} for n in range(70)]


class Endpoint:
    """A model whose vectors are a text's first vowels; it can be held up in the midst of its work."""

    def __init__(self) -> None:
        self.address = ""
        self.goes_on, self.is_held = Event(), Event()
        self.is_busy = False

    def answer(self, body: dict[str, Any]) -> tuple[int, object]:
        """Answer at once what is one text, and the first whole batch; then wait until it may go on."""
        if 1 < len(body["input"]) < 64:
            self.is_held.set()
            assert self.goes_on.wait(60)
            if self.is_busy:
                return 429, {}
        rows = [[1.0, *(text.count(vowel) for vowel in "aeiou")] for text in body["input"]]
        return 200, {"data": [{"index": at, "embedding": row} for at, row in enumerate(rows)]}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """The model that the house changes to."""
    held = Endpoint()
    with served(held.answer, headers={"Retry-After": "60"}) as held.address:
        yield held


@pytest.fixture(scope="module")
def house_settings(endpoint: Endpoint) -> dict[str, str]:
    """The endpoint may be asked; nobody names it yet."""
    return {"egress_allow": endpoint.address, "knowledge_url": f"http://{endpoint.address}"}


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """The first worker has the model from before."""
    return ("-Q", "ai")


def test_searches_go_on_while_another_model_takes_over(house: House, endpoint: Endpoint) -> None:
    """By the old vectors until every new one is there, then by the new ones; none of them fails or comes back empty."""
    port = free_port()
    changed = {"knowledge_model": "endpoint:vowels"}
    env = {"SWITCHYARD_PORT": str(port), "SWITCHYARD_KNOWLEDGE_MODEL": changed["knowledge_model"]}
    house.start("web", "-m", "app", prompt="Listening at", env=env)
    seen: list[Found] = []

    def look() -> str:
        seen.append(client.knowledge.search(SITE, f"the kettle of floor {len(seen) % 70}"))
        return seen[-1].model

    with Switchyard(f"http://127.0.0.1:{port}", api_key="tests-key") as client:
        client.run("knowledge.update", {"site": SITE, "documents": DOCUMENTS}, timeout_s=60)
        before = look()
        assert ["other_model"] == client.knowledge.status(SITE).sites[0]["flags"]
        house.worker.kill("SIGTERM")
        assert 0 == house.worker.container.wait()
        house.start_worker("-Q", "ai", settings=changed)
        job = client.knowledge.reindex(SITE)
        assert endpoint.is_held.wait(60)
        with ThreadPoolExecutor(4) as people:
            assert {before} == set(people.map(lambda _: look(), range(20)))
        endpoint.goes_on.set()
        done = client.wait(job.id, timeout_s=60)
        assert done.result is not None
        assert (before, "endpoint:vowels", 70) == tuple(
            done.result[name] for name in ("previous_model", "model", "chunks")
        )
        await_true(lambda: look() == "endpoint:vowels", what="searches use the new vectors")
        status = client.knowledge.status(SITE).sites[0]
        erased_under_an_update(client, endpoint)
    assert ([], "endpoint:vowels", 6) == (status["flags"], status["model"], status["dimensions"])
    assert all(answer.results and not answer.failed for answer in seen)
    assert {"lexical", "vector"} == set(seen[-1].results[0].places)


def erased_under_an_update(client: Switchyard, endpoint: Endpoint) -> None:
    """An erase between two attempts of an update lasts: the second one makes nothing anew."""
    endpoint.goes_on.clear()
    endpoint.is_held.clear()
    endpoint.is_busy = True
    text = "\n\n".join(f"# Floor {n}\n\n" + f"The kettle of floor {n} is descaled. " * 20 for n in range(5))
    update = client.submit("knowledge.update", {"site": SITE, "documents": [{"id": "floors", "text": text}]})
    assert endpoint.is_held.wait(60)
    erase = client.submit("knowledge.update", {"site": SITE, "erase": True}, priority=90)
    endpoint.goes_on.set()
    erased, job = (client.wait(one.id, timeout_s=60, check=False) for one in (erase, update))
    assert erased.result is not None
    assert 70 == erased.result["deleted"]
    assert job.error is not None
    assert ("failed", "site_erased", True) == (job.state, job.error.code, job.attempt > 1)
    assert () == client.knowledge.status().sites
