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


def test_what_reads_and_could_not_be_tried_is_untried() -> None:
    """What writes is not tried without leave, and what nobody looked at is not either."""
    refused = (Check(name=CheckName.INVALID_IS_REFUSED, passed=True),)
    tool = TOOL.model_copy(update={"checks": refused})
    assert 1.0 == features(tool)["untried"]
    ran = (*refused, Check(name=CheckName.RUNS, passed=True))
    for other in ({"effect": Effect.WRITE}, {"checks": ()}, {"checks": ran}):
        assert "untried" not in features(tool.model_copy(update=other))


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
