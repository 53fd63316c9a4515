"""Templates: holes are filled by pointer, and what can be told before anything runs is told then."""

from typing import Any

import pytest
from pydantic import BaseModel

from tasks.core.clock import now
from tasks.core.follow_ups.checks import errors_in
from tasks.core.follow_ups.places import leads_somewhere
from tasks.core.follow_ups.plans import Branch
from tasks.core.follow_ups.templates import (
    MOST_HOLES,
    TemplateRefused,
    document_of,
    filled,
    generations,
    holes_of,
    tokens_of,
)
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tasks.core.spec import JobSpec
from tasks.crawling.contract import CrawlRequest
from tasks.registry import load_specs
from tests.samples import a_job

SPECS = load_specs()
ACME = Tenant("t", "acme")


def hole(pointer: str, **more: Any) -> dict[str, Any]:
    return {"$from": pointer} | more


def document() -> dict[str, Any]:
    result = {"url": "https://a.example", "a/b": {"~": [10, 20]}, "nothing": None}
    grandparent = document_of(a_job(ACME, state=JobState.FAILED, error={"code": "x", "message": "m"}))
    return document_of(a_job(ACME, state=JobState.SUCCEEDED, result=result, finished_at=now()), grandparent)


def test_holes_are_filled_wherever_they_are() -> None:
    """With values of any type, in objects and lists; the rest stays as it is."""
    template = {"a": [hole("/result/url"), 1], "b": {"c": hole("/result/a~1b/~0/1")}, "d": hole("/request")}
    assert {"a": ["https://a.example", 1], "b": {"c": 20}, "d": {"message": "hello"}} == filled(template, document())


def test_a_template_may_be_a_hole_as_a_whole_and_reach_back() -> None:
    """``/parent`` is the document of the job before."""
    assert "x" == filled(hole("/parent/error/code"), document())
    assert (0, 2) == (generations({"a": hole("/job/id")}), generations([hole("/parent/parent/job/id")]))


def test_default_stands_in_for_nothing_and_for_null() -> None:
    """Whatever it is; without one, null is a value."""
    template = [hole("/result/no", default=[]), hole("/result/nothing", default=None), hole("/result/nothing")]
    assert [[], None, None] == filled(template, document())
    assert 7 == filled(hole("/result/a~1b/~0/2", default=7), document())


def test_a_pointer_that_leads_nowhere_is_refused_with_its_place() -> None:
    """Also into a text, and behind a list's end."""
    for pointer in ("/result/no", "/result/url/0", "/result/a~1b/~0/2", "/result/a~1b/~0/01", "/result/a~1b/~0/-"):
        with pytest.raises(TemplateRefused, match="leads nowhere") as refused:
            filled({"a": [0, hole(pointer)]}, document())
        assert "a.1" == refused.value.field


def test_a_literal_is_never_filled() -> None:
    """So that a request may hold what looks like a hole."""
    literal = {"$literal": hole("/result/url")}
    assert {"a": hole("/result/url")} == filled({"a": literal}, document())
    assert [] == holes_of({"a": literal})


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ({"a": {"$from": 1}}, "a.$from"),
        ({"a": {"$from": "result"}}, "a.$from"),
        ({"a": {"$from": "/a~2"}}, "a.$from"),
        ({"a": [{"$from": "/job/id", "fallback": 1}]}, "a.0.fallback"),
        ({"a": [{"$from": "/job/id"}] * (MOST_HOLES + 1)}, f"a.{MOST_HOLES}"),
    ],
)
def test_what_is_no_hole_is_refused_with_its_place(template: Any, place: str) -> None:
    """Before anything has run."""
    with pytest.raises(TemplateRefused) as refused:
        holes_of(template)
    assert place == refused.value.field


@pytest.mark.parametrize(
    ("pointer", "branch", "is_there"),
    [
        ("", Branch.SUCCESS, True),
        ("/job/labels/team", Branch.SUCCESS, True),
        ("/job/secret", Branch.SUCCESS, False),
        ("/request/include/0", Branch.SUCCESS, True),
        ("/request/include/first", Branch.SUCCESS, False),
        ("/request/nonsense", Branch.SUCCESS, False),
        ("/result/skipped/robots", Branch.SUCCESS, True),
        ("/result/skipped/sun", Branch.SUCCESS, False),
        ("/result/failed_by_reason/http_4xx", Branch.SUCCESS, True),
        ("/result/errors/3/url", Branch.SUCCESS, True),
        ("/result/delta/new", Branch.SUCCESS, True),
        ("/result/delta/nonsense", Branch.SUCCESS, False),
        ("/result/pages_ok/more", Branch.SUCCESS, False),
        ("/result/pages_ok", Branch.FAILURE, False),
        ("/error/code", Branch.FAILURE, True),
        ("/error/code", Branch.SUCCESS, False),
        ("/error/stack", Branch.FAILURE, False),
        ("/nonsense", Branch.SUCCESS, False),
        ("/parent/job/id", Branch.SUCCESS, False),
    ],
)
def test_where_pointers_can_lead_is_known_from_the_kind(pointer: str, branch: Branch, is_there: bool) -> None:
    """Of ``crawling.site``, before it has run."""
    tokens = tokens_of(pointer)
    assert tokens is not None
    assert is_there == leads_somewhere([(SPECS["crawling.site"], branch)], tokens)


def test_pointers_reach_as_far_back_as_the_chain_does() -> None:
    """And find there what that kind leaves."""
    chain: list[tuple[JobSpec, Branch]] = [
        (SPECS["crawling.site"], Branch.SUCCESS),
        (SPECS["maintenance.ping"], Branch.FAILURE),
    ]
    assert leads_somewhere(chain, ("parent", "error", "code"))
    assert not leads_somewhere(chain, ("parent", "result"))
    assert not leads_somewhere(chain, ("parent", "parent", "job", "id"))


def places(model: type[BaseModel], template: object) -> list[str]:
    return [".".join(map(str, error["loc"])) for error in errors_in(model, template, {})]


def test_constants_are_checked_around_the_holes() -> None:
    """What a hole will bring is not known, all else is."""
    model = SPECS["crawling.site"].request
    assert [] == places(model, {"url": hole("/result/start_url"), "depth": 1, "include": hole("/request/include")})
    assert ["depth"] == places(model, {"url": hole("/result/start_url"), "depth": 99})
    assert ["url", "nonsense"] == places(model, {"nonsense": hole("/job/id")})
    assert ["include.1"] == places(model, {"url": "https://a.example/", "include": [hole("/job/id"), 7]})


def test_a_rule_over_several_fields_waits_for_the_holes() -> None:
    """``not respect_robots`` and a short delay exclude each other; a hole may bring the delay."""
    template: dict[str, Any] = {"url": "https://a.example/", "respect_robots": False, "delay_s": 0.1}
    assert [""] == places(CrawlRequest, template)
    assert [] == places(CrawlRequest, template | {"delay_s": hole("/request/delay_s")})


def test_of_a_union_any_member_may_be_meant() -> None:
    """As long as a hole is in it."""
    model = SPECS["publishing.site"].request
    assert [] == places(model, {"site": "docs", "source": {"upload": hole("/request/source/upload")}})
    assert places(model, {"site": "docs", "source": {"nonsense": 1}})
    assert [] == places(model, hole("/request"))


def test_a_literal_is_checked_as_what_it_stands_for() -> None:
    """It brings no holes."""
    assert ["depth"] == places(CrawlRequest, {"url": "https://a.example/", "depth": {"$literal": 99}})
