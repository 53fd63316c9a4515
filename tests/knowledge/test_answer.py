"""``knowledge.answer``: sentences of the site, each cited by its place."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import AppError, NotFound, Permanent, Transient
from tasks.core.kernel import Kernel
from tasks.core.ledger.tenants import Tenant
from tasks.knowledge.contract import AnswerRequest, AnswerResult, UpdateRequest
from tasks.knowledge.engine.answer import Answerer
from tasks.knowledge.engine.endpoint import PROMPT
from tasks.knowledge.engine.writing import Writer
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.task import load_answer, load_update
from tests.knowledge.chats import chatting
from tests.knowledge.embeddings import served
from tests.knowledge.house import SITE, TEXTS, House, ScriptedModel, documents


def ask(
    house: House, question: str, *, writer: Writer | None = None, embedder: Any = None, **request: object
) -> AnswerResult:
    answerer = Answerer(
        house.library,
        IndexShelf(house.library, most_bytes=10**8),
        embedder or (lambda _job: nullcontext(house.embedder)),
        lambda _job: house.tenant.id,
        lambda _job, _request: nullcontext(writer),
    )
    return answerer(AnswerRequest(**({"site": SITE, "question": question} | request)), house.job("knowledge.answer"))


def test_a_question_is_answered_by_a_sentence(house: House) -> None:
    """Which stands where its citation says."""
    house.update(documents=documents())
    answer = ask(house, "How many days of paid holiday does everybody have?", session_id="s", max_sentences=1)
    assert ("Everybody has thirty days of paid holiday a year.", "s", 1) == (
        answer.answer,
        answer.session_id,
        answer.version,
    )
    cited = answer.citations[0]
    assert (TEXTS["holidays"][cited.start : cited.end], "holidays") == (cited.sentence, cited.document_id)
    assert answer.confidence > 0.6


def test_sentences_are_whole(house: House) -> None:
    """Over broken lines and short forms; no heading, no code, no row of a table is one; each item of a list is."""
    text = """# Kettles

A kettle holds water, e.g. for tea, and is
descaled every second week. Its lid stays shut.

| kettle | lid of water |

```
kettle.descale(water)
```

- A kettle of water boils
  in four minutes
- water

kettle(water, *, lid)¶
"""
    house.update(documents=[{"id": "kettles", "text": text}])
    answer = ask(house, "kettle water", max_sentences=10, least_confidence=0)
    assert [
        "A kettle holds water, e.g. for tea, and is descaled every second week.",
        "A kettle of water boils in four minutes",
    ] == [one.sentence for one in answer.citations]
    assert [one.sentence for one in answer.citations] == [
        " ".join(text[one.start : one.end].split()) for one in answer.citations
    ]


def test_what_nothing_answers_is_not_answered(house: House) -> None:
    """There is no sentence about it, or none that is sure enough."""
    house.update(documents=documents())
    answer = ask(house, "Which satellites orbit Neptune?")
    assert (None, ()) == (answer.answer, answer.citations)
    assert answer.confidence < 0.2
    assert ask(house, "What may a hotel cost in Neptune?", least_confidence=0.9).answer is None
    with pytest.raises(NotFound):
        ask(house, "x", site="other")


def test_another_model_than_the_sites_is_named(house: House) -> None:
    """The words answer all the same."""
    house.update(documents=documents())
    house.embedder = ScriptedModel()
    house.reindex()
    house.embedder = ScriptedModel("third")
    answer = ask(house, "What may a hotel cost?")
    assert ("A hotel may cost 120 euros.", "scripted") == (answer.answer, answer.model)
    assert ["vector: This worker embeds by third; the site by scripted."] == [
        one.replace("other_model: ", "") for one in answer.failed
    ]


@contextmanager
def writing(*pieces: str, status: int = 200, ends: bool = True) -> Iterator[tuple[Writer, list[dict[str, Any]]]]:
    """A model that answers with these pieces, and what it was asked."""
    with (
        chatting(pieces, status=status, ends=ends) as (host, asked),
        Egress(EgressPolicy(allow=frozenset({host}))) as egress,
        closing(Writer(egress, url=f"http://{host}/v1", model="scribe", key="k")) as writer,
    ):
        yield writer, asked


def test_a_model_writes_with_sources(house: House) -> None:
    """Shown sentence by sentence; what rests on no passage is not told, whatever number it has."""
    house.update(documents=documents())
    with writing(
        "A hotel m", "ay cost, e.g. in May, 1.5 times", " 120 euros [1][9]. Or", " more [77]. So", " there. Ask [1]."
    ) as (
        model,
        asked,
    ):
        answer = ask(house, "What may a hotel cost?", writer=model, max_sentences=5)
    assert ("A hotel may cost, e.g. in May, 1.5 times 120 euros. Ask.", "scribe", 2) == (
        answer.answer,
        answer.writer,
        answer.left_out,
    )
    assert [("A hotel may cost, e.g. in May, 1.5 times 120 euros.", "travel"), ("Ask.", "travel")] == [
        (one.sentence, one.document_id) for one in answer.citations
    ]
    shown = house.jobs[-1].deltas
    assert ["A hotel may cost, e.g. in May, 1.5 times 120 euros.", "Ask."] == [one["text"] for one in shown]
    assert ("Bearer k", "scribe", True) == (asked[0]["key"], asked[0]["model"], asked[0]["stream"])
    assert "[1] Travel > Hotels\n" in asked[0]["messages"][1]["content"]


def test_a_model_that_finds_nothing_says_so(house: House) -> None:
    """And one is not asked where the site has nothing near."""
    house.update(documents=documents())
    with writing("NO ANSWER") as (model, asked):
        assert (None, "scribe") == (
            (answer := ask(house, "What may a hotel cost?", writer=model)).answer,
            answer.writer,
        )
        assert ask(house, "Which satellites orbit Neptune?", writer=model).writer is None
        assert 1 == len(asked)
    with writing("Where the server gives no answer, the call ends [1].") as (model, _):
        written = ask(house, "What may a hotel cost?", writer=model).answer
        assert "Where the server gives no answer, the call ends." == written


def test_a_model_that_is_away_is_a_retriever_that_fails(house: House) -> None:
    """It is named, and the words answer; a site whose vectors need no model asks none."""
    house.update(documents=documents())

    @contextmanager
    def away(_job: object) -> Iterator[ScriptedModel]:
        raise Transient("The embedding endpoint answered 503.", code="model_away")
        yield

    plain = ask(house, "What may a hotel cost?", embedder=away)
    assert ("A hotel may cost 120 euros.", ()) == (plain.answer, plain.failed)
    house.embedder = ScriptedModel()
    house.reindex()
    told = ask(house, "What may a hotel cost?", embedder=away)
    assert ("A hotel may cost 120 euros.", ("vector: model_away: The embedding endpoint answered 503.",)) == (
        told.answer,
        told.failed,
    )


@dataclass
class Tiring(ScriptedModel):
    """Embeds one text, and is busy from then on."""

    def embed_texts(self, texts: Any) -> Any:
        if self.asked:
            raise Transient("The model's endpoint answered 429.", code="model_away")
        return super().embed_texts(texts)


def test_a_model_that_goes_away_between_leaves_it_to_the_words(house: House) -> None:
    """It embeds the question, and not the sentences."""
    house.embedder = ScriptedModel()
    house.update(documents=documents())
    house.embedder = Tiring()
    told = ask(house, "What may a hotel cost?")
    assert ("A hotel may cost 120 euros.", ("vector: model_away: The model's endpoint answered 429.",)) == (
        told.answer,
        told.failed,
    )


def test_a_question_is_answered_without_waiting_for_a_busy_model(
    local_kernel: Kernel, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kind has it, by an endpoint that takes no more, and one whose answer does not come."""
    monkeypatch.setattr("tasks.knowledge.engine.endpoint.PROMPT", replace(PROMPT, timeout_s=0.5))
    state, goes_on, asked = {"status": 200}, Event(), []

    def answer(body: dict[str, Any]) -> tuple[int, object]:
        asked.append(body["input"])
        if state["status"] == 0:
            goes_on.wait(60)
        rows = ScriptedModel().embed_texts(body["input"]).tolist()
        return state["status"] or 200, {"data": [{"index": at, "embedding": row} for at, row in enumerate(rows)]}

    with (
        served(answer, headers={"Retry-After": "15"}) as host,
        Egress(EgressPolicy(allow=frozenset({host}))) as egress,
    ):
        values = {"knowledge_model": "endpoint:vowels", "knowledge_url": f"http://{host}"}
        kernel = replace(local_kernel, settings=local_kernel.settings.model_copy(update=values))
        house = House(kernel.ledger, tenant, tmp_path, egress)
        load_update(kernel)(UpdateRequest(site=SITE, documents=documents()), house.job())
        engine = load_answer(kernel)
        for status, why in ((429, "The model's endpoint answered 429."), (0, "cannot be reached")):
            asked.clear()
            state["status"] = status
            told = engine(AnswerRequest(site=SITE, question="What may a hotel cost?"), house.job("knowledge.answer"))
            assert ("A hotel may cost 120 euros.", 1) == (told.answer, len(asked))
            assert why in told.failed[0]
        goes_on.set()


@pytest.mark.parametrize(
    ("pieces", "how", "error"),
    [
        (["x"], {"status": 503}, Transient),
        (["x"], {"status": 401}, Permanent),
        (["A hotel may cost"], {"ends": False}, Transient),
        ([7], {}, Permanent),
    ],
)
def test_a_model_that_fails_fails_the_answer(
    house: House, pieces: Sequence[Any], how: dict[str, Any], error: type[AppError]
) -> None:
    """The site's own sentences do not take its place unasked."""
    house.update(documents=documents())
    with writing(*pieces, **how) as (model, _), pytest.raises(error):
        ask(house, "What may a hotel cost?", writer=model)
