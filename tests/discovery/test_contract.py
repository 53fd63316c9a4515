"""What the requests of discovery say."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.spec import Queue
from tasks.discovery.contract import RUN, SITE, SPECS, TOOL, RunRequest, SiteRequest, ToolRequest
from tasks.discovery.tool import Effect, Step
from tests.discovery.local_shop import a_search

URL = "https://example.org/"


def test_defaults_are_those_that_the_docs_name() -> None:
    """Ten tools of ten pages, two links deep, proven by reading only, good for a day."""
    request = SiteRequest(url=URL)
    assert (10, 10, 2, ("read",), 86_400) == (
        request.max_tools,
        request.max_pages,
        request.max_depth,
        request.allow,
        request.cache_s,
    )


@pytest.mark.parametrize(("sent", "meant"), [(1, 1), (3.7, 3), (99.99, 99), (100, 100), (100.0, 100)])
def test_a_fraction_of_tools_is_floored(sent: float, meant: int) -> None:
    """As older clients mean it."""
    assert meant == SiteRequest(url=URL, max_tools=sent).max_tools


@pytest.mark.parametrize("sent", [0, 0.5, 101, 100.5, float("nan"), float("inf"), -1])
def test_too_few_or_too_many_tools_are_refused(sent: float) -> None:
    """One to a hundred."""
    with pytest.raises(ValidationError):
        SiteRequest(url=URL, max_tools=sent)


@pytest.mark.parametrize(
    "field",
    [
        {"url": "ftp://example.org/"},
        {"url": "http://user:pass@example.org/"},
        {"max_pages": 0},
        {"max_depth": 6},
        {"allow": ["destroy"]},
        {"max_cost": -1},
        {"cache_s": 59},
        {"options": {"delay_s": 61}},
        {"options": {"sources": ["magic"]}},
        {"goal": "x" * 5001},
        {"colour": "red"},
    ],
)
def test_what_is_out_of_bounds_is_refused(field: dict[str, Any]) -> None:
    """Above all that anything destructive be tried."""
    with pytest.raises(ValidationError):
        SiteRequest.model_validate({"url": URL} | field)


def test_a_tool_is_looked_for_with_a_goal() -> None:
    """Of which something is left once it was cleaned."""
    assert "x" == ToolRequest(url=URL, goal=" x ").goal
    for goal in ("", "<script>x</script>"):
        with pytest.raises(ValidationError):
            ToolRequest(url=URL, goal=goal)


def test_a_run_names_one_tool() -> None:
    """Of the registry or sent along, not both and not none; it may not destroy unless told."""
    assert Effect.DESTROY not in RunRequest(tool_id="x").allow_effects
    assert a_search(URL) == RunRequest.model_validate({"tool": a_search(URL).model_dump(mode="json")}).tool
    for sent in ({}, {"tool_id": "x", "tool": a_search(URL).model_dump(mode="json")}):
        with pytest.raises(ValidationError):
            RunRequest.model_validate(sent)


@pytest.mark.parametrize("act", ["click", "input", "select", "navigate", "key"])
def test_a_step_without_what_it_needs_is_refused(act: Any) -> None:
    """Before a browser is asked; the others can do without."""
    with pytest.raises(ValidationError, match=f"{act} needs"):
        Step(act=act)
    assert ["scroll", "wait", "extract"] == [Step(act=one).act for one in ("scroll", "wait", "extract")]


def test_kinds_are_on_the_crawler_queue_and_name_what_they_need() -> None:
    """A discovery needs a browser, a run only where it asks for one."""
    specs = {spec.kind: spec for spec in SPECS}
    assert {SITE, TOOL, RUN} == set(specs)
    assert {Queue.CRAWLER} == {spec.queue for spec in SPECS}
    for kind in (SITE, TOOL):
        assert {"chromium", "playwright"} == specs[kind].needs(specs[kind].example)
    assert set() == specs[RUN].needs(specs[RUN].example)
    assert {"chromium"} == specs[RUN].needs({"prefer": "browser"})


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_examples_are_valid(spec: Any) -> None:
    """As the catalogue shows them."""
    spec.request.model_validate(spec.example)
