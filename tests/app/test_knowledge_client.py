"""The client and the command search what is known, against the front door itself."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import click
import pytest

from client import NotFound, Switchyard
from client.command import main
from client.command.answering import Sheet
from client.models import Event as JobEvent
from tasks.core.egress import Egress
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tasks.core.relay import announce_all
from tests.app.conftest import claim, finish
from tests.app.desk import Desk
from tests.knowledge.house import House, documents
from tests.samples import eventually

pytestmark = pytest.mark.slow

Command = Callable[..., str]


@pytest.fixture
def house(desk: Desk, tmp_path: Path) -> House:
    """Alice's knowledge behind the door."""
    house = House(desk.services.kernel.ledger, Tenant(desk.alice.tenant_id, ""), tmp_path, Egress())
    house.update(documents=documents())
    return house


@pytest.fixture
def command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command as Alice; gives what it wrote, where it ended with the code that is expected."""

    def run(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--url", f"http://{desk.address}", "--key", desk.alice.key, *arguments])
        told = capsys.readouterr()
        assert code == (ended.value.code or 0), told.err
        # The server here logs to the same place.
        return "".join(
            line for line in (told.err if code else told.out).splitlines(True) if not line.startswith("level=")
        )

    return run


def test_a_site_is_searched_by_the_client_and_the_command(desk: Desk, house: House, command: Command) -> None:
    """With the source of what was found."""
    address = f"http://{desk.address}"
    with Switchyard(address, desk.alice.key) as client:
        found = client.knowledge.search("handbook", "hotel price", top_k=1)
        assert ["travel"] == [passage.document_id for passage in found.results]
        assert ["handbook"] == [site["site"] for site in client.knowledge.status().sites]
        assert ("knowledge.reindex", "queued") == ((job := client.knowledge.reindex("handbook")).kind, job.state)
        with pytest.raises(NotFound):
            client.knowledge.search("other", "x")

    found_here = command("search", "handbook", "hotel price", "-n", "1")
    assert "1. Travel > Hotels\n   https://handbook.example/travel\n" in found_here
    assert "120 euros" in found_here
    told = command("search", "handbook", "hotel", "--json").splitlines()[-1]
    assert "travel" == json.loads(told)["results"][0]["document_id"]


def test_the_command_filters_pages(house: House, command: Command) -> None:
    """Each option reaches the search; a wrong value is refused with its name."""
    house.update(documents=[{"id": "british", "text": "A hotel in London.", "language": "en-GB"}])

    def found(*options: str) -> set[str]:
        told = json.loads(
            command("search", "handbook", "hotel", "--json", "--mode", "lexical", *options).splitlines()[-1]
        )
        return {one["document_id"] for one in told["results"]}

    assert {"travel", "british"} == found()
    assert {"british"} == found("--language", "en") == found("--document", "british", "--document", "tea")
    assert {"travel"} == found("--url-prefix", "https://handbook.example/")
    assert {"travel", "british"} == found("--updated-after", "2000-01-01")
    assert set() == found("--updated-after", "2999-01-01T00:00:00Z")
    assert 1 == len(found("--threshold", "1"))
    assert "--threshold" in command("search", "handbook", "hotel", "--threshold", "2", code=2)
    assert "language" in command("search", "handbook", "hotel", "--language", "x", code=2)


def test_an_answer_takes_no_options_of_passages(command: Command) -> None:
    """They are refused by name, even at their defaults, instead of being dropped."""
    told = command("search", "handbook", "x", "--answer", "-n", "5", "--mode", "vector", "--rerank", code=2)
    assert "--answer takes no -n/--limit, --mode, --rerank" in told
    assert "Leave it out, or --answer" in command("search", "handbook", "x", "--answer", "--language", "en", code=2)


def cited(sentence: str, *names: str) -> dict[str, Any]:
    places = [{"document_id": name, "url": f"https://handbook.example/{name}", "start": 0, "end": 9} for name in names]
    return {"text": sentence, "citations": [{"sentence": sentence} | place for place in places]}


def test_an_answer_is_written_as_it_comes(
    desk: Desk, house: House, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sentence before the next is there, once, with the numbers of its sources, which stand at the end."""
    kernel = desk.services.kernel
    one, two = cited("Trains are booked.", "travel", "tea"), cited("Tea is bought.", "tea")
    written, echo = Event(), click.echo

    def heard(message: object = None, **how: Any) -> None:
        echo(message, **how)
        if one["text"] in str(message):
            written.set()

    monkeypatch.setattr("client.command.answering.click.echo", heard)

    def work() -> None:
        wanted = queries.Filter(desk.alice.tenant_id, states=(JobState.QUEUED,), kind="knowledge.answer")
        assert eventually(lambda: bool(queries.listing(kernel.ledger, wanted, limit=9).jobs))
        job = claim(kernel, queries.listing(kernel.ledger, wanted, limit=9).jobs[0].id)
        for said in (one, two):
            kernel.events.append(job.id, "delta", said, fence=job.fence, attempt=job.attempt)
            assert written.wait(10), "the first sentence is not written before the next one comes"
        result = {"answer": "…", "confidence": 0.5, "citations": [*one["citations"], *two["citations"]]}
        announce_all(kernel.ledger, kernel.events, [finish(kernel, job, result=result)])

    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(work)
        told = command("search", "handbook", "What about trains?", "--answer")
        working.result()
    assert told.splitlines() == [
        "Trains are booked. [1] [2]",
        "Tea is bought. [2]",
        "[1] https://handbook.example/travel",
        "[2] https://handbook.example/tea",
        "confidence 0.50",
    ]


def test_another_attempt_begins_the_answer_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """Its sentences are counted, and its sources numbered, from the first on; what came without deltas is written."""
    sheet = Sheet()
    for attempt, said in ((1, cited("Old.", "tea")), (2, cited("New.", "travel"))):
        sheet.take(JobEvent(type="delta", attempt=attempt, data=said))
    assert 1 == sheet.sentences
    sheet.end(1.0)
    told = capsys.readouterr()
    assert "begins anew" in told.err
    assert ["Old. [1]", "New. [1]", "[1] https://handbook.example/travel", "confidence 1.00"] == told.out.splitlines()


def test_the_command_tells_how_sites_stand_and_indexes_anew(house: House, command: Command) -> None:
    """As a table, as JSON, and for one site; a re-index prints its job."""
    house.update(site="other", documents=documents())
    table = [line.split("\t") for line in command("knowledge", "status").splitlines()]
    assert (["site", "handbook", "other"], ["pages", "3", "3"]) == (
        [row[0] for row in table],
        [row[1] for row in table],
    )
    told = json.loads(command("knowledge", "status", "handbook", "--json"))
    assert ["handbook"] == [one["site"] for one in told["sites"]]
    assert "nowhere" in command("knowledge", "status", "nowhere", code=4)
    job_id = command("knowledge", "reindex", "handbook", "--mode", "full", "--priority", "high").strip()
    job = queries.job(house.ledger, job_id)
    assert job is not None
    assert ("knowledge.reindex", "full", 80) == (job.kind, job.request["mode"], job.priority)
    assert "nowhere" in command("knowledge", "reindex", "nowhere", code=4)


def test_the_command_erases_a_site(desk: Desk, house: House, command: Command) -> None:
    """Once that is confirmed; a worker does it."""
    kernel = desk.services.kernel
    wanted = Filter(tenant_id=desk.alice.tenant_id, kind="knowledge.update", states=(JobState.QUEUED,))
    assert "handbook: 3 pages, 4 chunks. Say --yes" in command("knowledge", "erase", "handbook")
    assert [] == list(queries.listing(kernel.ledger, wanted, limit=9).jobs)
    with ThreadPoolExecutor() as threads:
        told = threads.submit(command, "knowledge", "erase", "handbook", "--yes")
        assert eventually(lambda: bool(queries.listing(kernel.ledger, wanted, limit=9).jobs), within_s=30)
        job = claim(kernel, queries.listing(kernel.ledger, wanted, limit=9).jobs[0].id)
        assert (True, "handbook") == (job.request["erase"], job.request["site"])
        result = house.update(erase=True).model_dump(mode="json")
        announce_all(kernel.ledger, kernel.events, [finish(kernel, job, result=result)])
        assert "handbook erased: 3 pages" in told.result()
    assert "nowhere" in command("knowledge", "erase", "nowhere", code=4)
