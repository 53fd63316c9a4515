"""Confidence follows the evidence, and its weights are data."""

import pytest

from tasks.discovery.engine.confidence import assess, features, format_weights, parse_weights
from tasks.discovery.tool import Check, CheckName, Effect, RequestCall, Source, Tool

TOOL = Tool(
    name="search",
    site="https://a.example",
    found_on="https://a.example/",
    source=Source.FORM,
    purpose="search",
    call=RequestCall(url="https://a.example/search"),
    input_schema={},
    prior=0.8,
)


def test_confidence_is_the_logistic_function_of_the_features() -> None:
    """By hand: a prior of 0.8 is a logit of log 4, and weighs 1 here."""
    assert assess(TOOL, weights={"prior": 1.0}) == pytest.approx(0.8)
    assert assess(TOOL, weights={}) == 0.5
    assert assess(TOOL.model_copy(update={"prior": 1.0}), weights={"prior": 1e9}) == 1.0


def test_checks_count_for_and_against() -> None:
    """Passed is 1, failed is -1, not tried is nothing."""
    passed = TOOL.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=True),)})
    failed = TOOL.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=False),)})
    weights = {"runs": 2.0}
    assert assess(failed, weights=weights) < assess(TOOL, weights=weights) < assess(passed, weights=weights)
    assert "runs" not in features(TOOL)


def test_what_is_promised_and_not_shown_counts_as_failed() -> None:
    """An order that was tried and orders nothing; a search that was not tried promises nothing yet."""
    order = TOOL.model_copy(update={"source": Source.SORT, "purpose": ""})
    ran = (Check(name=CheckName.RUNS, passed=True),)
    assert -1.0 == features(order.model_copy(update={"checks": ran}))["answers_follow"]
    changed = (*ran, Check(name=CheckName.CHOICE_CHANGES, passed=True))
    assert 1.0 == features(order.model_copy(update={"checks": changed}))["answers_follow"]
    assert "answers_follow" not in features(TOOL)


def test_a_list_that_lists_nothing_is_another_matter_than_a_search_that_finds_nothing() -> None:
    """It takes no word that may be the wrong one."""
    empty = TOOL.model_copy(update={"checks": (Check(name=CheckName.SHOWS_ITEMS, passed=False),)})
    assert {"shows": -1.0} == {name: value for name, value in features(empty).items() if name in ("shows", "lists")}
    plain = features(empty.model_copy(update={"source": Source.LIST, "purpose": "list"}))
    assert {"lists": -1.0} == {name: value for name, value in plain.items() if name in ("shows", "lists")}


def test_what_reads_and_could_not_be_tried_is_untried() -> None:
    """What writes is not tried without leave, and what nobody looked at is not either."""
    refused = (Check(name=CheckName.INVALID_IS_REFUSED, passed=True),)
    tool = TOOL.model_copy(update={"checks": refused})
    assert 1.0 == features(tool)["untried"]
    ran = (*refused, Check(name=CheckName.RUNS, passed=True))
    for other in ({"effect": Effect.WRITE}, {"checks": ()}, {"checks": ran}):
        assert "untried" not in features(tool.model_copy(update=other))


@pytest.mark.parametrize(
    ("title", "purpose", "expected"),
    [
        ("Search books", "search", 1.0),
        ("Delete selected authors", "other", 1.0),
        ("Bücher suchen", "search", 1.0),
        ("Contact", "contact/comment", 1.0),
        ("Contact", "other", -1.0),
        ("A Christmas Carol", "other", -1.0),
        ("Focal point (optional)", "other", -1.0),
        ("Name", "registration", -1.0),
    ],
)
def test_words_speak_for_a_form_where_they_say_what_is_done(title: str, purpose: str, expected: float) -> None:
    """Called after a field, or after the one thing that was seen, nobody knows it."""
    assert expected == features(TOOL.model_copy(update={"title": title, "purpose": purpose}))["words"]


@pytest.mark.parametrize(("title", "expected"), [("List books", 1.0), ("List add", -1.0), ("List Search", -1.0)])
def test_a_page_called_after_an_act_is_no_list(title: str, expected: float) -> None:
    """But where that is done."""
    one = TOOL.model_copy(update={"source": Source.LIST, "purpose": "list", "title": title})
    assert expected == features(one)["words"]


def test_words_of_other_sources_are_made_to_say_what_is_done() -> None:
    """And the form of a labelled page has none."""
    order = TOOL.model_copy(update={"source": Source.SORT, "purpose": "sort", "title": "Loans by due date"})
    assert "words" not in features(order)
    assert "words" not in features(TOOL)


def test_a_probability_counts_for_what_the_tool_says() -> None:
    """A form whose type is doubtful and that is called after its button claims no type."""
    called = TOOL.model_copy(update={"title": "Search books"})
    otherwise = TOOL.model_copy(update={"title": "Change loan"})
    assert {"prior", "measured"} <= features(called).keys()
    assert {"prior", "measured"}.isdisjoint(features(otherwise))
    assert {"prior", "measured"} <= features(TOOL).keys()


def test_certainty_that_somebody_set_is_no_measurement() -> None:
    """A form's is a classifier's."""
    script = TOOL.model_copy(update={"source": Source.XHR})
    assert assess(script) == assess(script.model_copy(update={"prior": 0.1}))
    assert assess(TOOL) > assess(TOOL.model_copy(update={"prior": 0.1}))


@pytest.mark.parametrize("source", list(Source))
def test_every_source_is_assessed_by_the_shipped_weights(source: Source) -> None:
    """To a probability; a tool that works is never less sure than the same that does not."""
    one = TOOL.model_copy(update={"source": source})
    works = one.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=True),)})
    breaks = one.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=False),)})
    assert 0 <= assess(breaks) <= assess(works) <= 1


def test_weights_are_kept_as_text() -> None:
    """Written and read again, they are the same."""
    weights = {"prior": 0.5, "bias": -1.25}
    assert weights == parse_weights(format_weights(weights))
