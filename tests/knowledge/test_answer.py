"""``knowledge.answer``: sentences of the site, each cited by its place."""

from contextlib import nullcontext

import pytest

from tasks.core.errors import NotFound
from tasks.knowledge.contract import AnswerRequest, AnswerResult
from tasks.knowledge.engine.answer import Answerer
from tasks.knowledge.search.shelf import IndexShelf
from tests.knowledge.house import SITE, TEXTS, House, ScriptedModel, documents


def ask(house: House, question: str, **request: object) -> AnswerResult:
    answerer = Answerer(
        house.library,
        IndexShelf(house.library, most_bytes=10**8),
        lambda _job: nullcontext(house.embedder),
        lambda _job: house.tenant.id,
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
