"""What work costs, and that nothing is guessed."""

import json
from pathlib import Path

import pytest

from tasks.core.errors import ConfigurationRefused
from tasks.discovery.contract import RUN, SITE, TOOL
from tasks.discovery.pricing import METHODS, PriceTable, Pricing, Usage, run_method


def test_the_browser_costs_by_the_minute() -> None:
    """A thousandth for each."""
    cost = Pricing().cost(SITE, Usage(browser_s=90), tools=3)
    assert (0.0015, 0.0015, 0.0, 0.0, 0.0005) == (cost.total, cost.browser, cost.model, cost.runs, cost.per_tool)
    assert 90 == cost.browser_s


def test_tokens_cost_by_model_and_direction() -> None:
    """Per thousand."""
    usage = Usage(tokens_in=2000, tokens_out=500, model_name="gpt-4o")
    assert 0.01 == Pricing().cost(SITE, usage).model
    assert 0.0006 == Pricing().cost(SITE, Usage(tokens_in=2000, tokens_out=500, model_name="gpt-4o-mini")).model


def test_an_unknown_model_has_no_price() -> None:
    """And so has the whole; never the cheapest one's."""
    cost = Pricing().cost(SITE, Usage(browser_s=60, tokens_in=1, model_name="gpt-9"), tools=1)
    assert (None, None, None, 0.001) == (cost.model, cost.total, cost.per_tool, cost.browser)


def test_an_unknown_kind_has_no_price() -> None:
    """Its flat price is not in the table."""
    assert Pricing().cost("other.kind", Usage()).total is None


def test_every_method_that_costs_are_summed_by_is_in_the_table() -> None:
    """By exactly that name: a table of other words would price everything alike."""
    table = PriceTable.load()
    assert set(METHODS) == set(table.runs)
    assert {SITE, TOOL, "discovery.run by http", "discovery.run by browser"} == set(METHODS)


def test_a_flat_price_may_be_of_the_method_or_of_the_kind() -> None:
    """The method's own wins; the browser's time comes on top."""
    table = PriceTable.load().model_copy(update={"runs": {RUN: 0.001, "discovery.run by browser": 0.01}})
    assert 0.001 == Pricing(table).cost(run_method("http"), Usage()).total
    assert 0.011 == Pricing(table).cost(run_method("browser"), Usage(browser_s=60)).total
    assert None is Pricing(table).cost(SITE, Usage()).total


def test_no_tool_has_no_price_of_its_own() -> None:
    """Nothing is divided by none."""
    assert Pricing().cost(SITE, Usage(browser_s=1)).per_tool is None


def test_an_operator_brings_prices(tmp_path: Path) -> None:
    """In a file of the same form."""
    table = {"currency": "EUR", "updated": "2026-01-01", "models": {}, "browser_per_minute": None, "runs": {SITE: 0.5}}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(table))
    pricing = Pricing(PriceTable.load(path))
    assert ("EUR", 0.5) == ((cost := pricing.cost(SITE, Usage())).currency, cost.total)
    assert pricing.cost(SITE, Usage(browser_s=1)).total is None


@pytest.mark.parametrize("content", ["", "[]", '{"currency": "EUR"}', '{"browser_per_minute": -1}'])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    """By the name of the setting; nobody is charged by guesses."""
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ConfigurationRefused, match="SWITCHYARD_DISCOVERY_PRICES"):
        PriceTable.load(path)
