"""What a proof concludes from what a site answers: sites that do what they say, and sites that do not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tasks.core.errors import InputRejected, Transient
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.proof import NONSENSE, failed_check, first_arguments, prove
from tasks.discovery.engine.running.arguments import check_arguments
from tasks.discovery.engine.running.equality import Equality
from tasks.discovery.tool import CheckName, Effect, FormCall, RequestCall, Source, Tool

SITE = "https://shop.example"
TEAS = ["green tea", "black tea", "white tea", "mint", "cocoa"]
Answer = Callable[[dict[str, Any], int], list[dict[str, Any]]]
QUERY = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


class FakeSite:
    """Answers with what a function of the arguments and of the number of the run says; keeps what was asked."""

    def __init__(self, answer: Answer, *, status: int = 200, url: str = f"{SITE}/search") -> None:
        self.asked: list[dict[str, Any]] = []
        self._answer, self._status, self._url = answer, status, url

    def __call__(self, tool: Tool, arguments: dict[str, Any]) -> Outcome:
        check_arguments(tool.input_schema, arguments)
        self.asked.append(arguments)
        items = self._answer(arguments, len(self.asked))
        value = {"title": "Shop", "text": " ".join(map(str, items)), "url": self._url, "items": items}
        return Outcome(
            status=self._status,
            url=self._url,
            media_type="text/html",
            text=json.dumps(value),
            value=value,
            backend="http",
            took_s=0.01,
            items=tuple(items),
            sent={"url": f"{SITE}/search"},
        )


def tool(**changes: Any) -> Tool:
    return Tool(
        **{
            "name": "search",
            "site": SITE,
            "found_on": f"{SITE}/",
            "source": Source.FORM,
            "purpose": "search",
            "call": RequestCall(url=f"{SITE}/search"),
            "input_schema": QUERY,
            "prior": 0.8,
            "examples": ({"q": "tea"},),
            **changes,
        }
    )


def checks(proven: Tool) -> dict[CheckName, bool]:
    return {check.name: check.passed for check in proven.checks}


def searched(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
    return [{"name": tea} for tea in TEAS if arguments["q"] in tea]


def everything(_arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
    return [{"name": tea} for tea in TEAS]


def test_a_search_that_searches_passes_every_check() -> None:
    """It runs, repeats, mentions the query, finds nothing for nonsense, and gives what its schema says."""
    site = FakeSite(searched)
    proven = prove(tool(), site)
    names = {
        *(CheckName.RUNS, CheckName.REPEATS, CheckName.NONSENSE_GIVES_LESS, CheckName.ANSWER_MENTIONS_QUERY),
        *(CheckName.INVALID_IS_REFUSED, CheckName.FITS_OUTPUT_SCHEMA),
    }
    assert dict.fromkeys(names, True) == checks(proven)
    assert [{"q": "tea"}, {"q": NONSENSE}, {"q": "tea"}] == site.asked
    assert proven.output_schema is not None
    assert {"name"} == set(proven.output_schema["properties"]["items"]["items"]["properties"])


def test_a_search_that_ignores_the_query_fails() -> None:
    """The same items for nonsense: no search."""
    failure = failed_check(prove(tool(), FakeSite(everything)))
    assert failure is not None
    assert CheckName.NONSENSE_GIVES_LESS is failure.name


def test_a_filter_that_needs_a_column_is_tried_with_one() -> None:
    """A query that does nothing alone gets the choices that stand open."""
    schema = {
        "type": "object",
        "properties": {"q": {"type": "string"}, "column": {"type": "string", "enum": ["", "name"], "default": ""}},
    }

    def filtered(arguments: dict[str, Any], number: int) -> list[dict[str, Any]]:
        return searched(arguments, number) if arguments.get("column") else everything(arguments, number)

    assert checks(prove(tool(input_schema=schema), FakeSite(filtered)))[CheckName.NONSENSE_GIVES_LESS]


def test_what_changes_with_every_answer_does_not_count() -> None:
    """Times, tokens and ages are no other answer; other items are."""

    def stamped(arguments: dict[str, Any], number: int) -> list[dict[str, Any]]:
        return [one | {"seen": f"12:00:{number:02}", "age": f"{number} ms"} for one in searched(arguments, number)]

    def shuffled(arguments: dict[str, Any], number: int) -> list[dict[str, Any]]:
        return [{"name": f"{one['name']} {'abc'[number - 1]}"} for one in searched(arguments, number)]

    assert checks(prove(tool(), FakeSite(stamped)))[CheckName.REPEATS]
    assert not checks(prove(tool(), FakeSite(shuffled)))[CheckName.REPEATS]


@pytest.mark.parametrize(("is_paged", "expected"), [(True, True), (False, False)])
def test_another_page_has_other_items(*, is_paged: bool, expected: bool) -> None:
    """Or the tool leads to no other page."""
    schema = {"type": "object", "properties": {"page": {"type": "integer", "minimum": 1}}, "required": ["page"]}
    paging = tool(source=Source.PAGINATION, purpose="pagination", input_schema=schema, examples=({"page": 2},))

    def paged(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        start = 2 * (arguments["page"] - 1) if is_paged else 0
        return [{"name": tea} for tea in TEAS[start : start + 2]]

    proven = prove(paging, FakeSite(paged))
    assert expected is checks(proven)[CheckName.PAGE_DIFFERS]
    assert expected is (failed_check(proven) is None)


def test_a_choice_changes_the_items() -> None:
    """Of two choices, one may well give what the first gave."""
    schema = {"type": "object", "properties": {"sort": {"type": "string", "enum": ["a", "b", "c"]}}}
    sorting = tool(source=Source.SORT, purpose="sort", input_schema=schema, examples=({"sort": "a"}, {"sort": "b"}))

    def ordered(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return [{"name": tea} for tea in sorted(TEAS, reverse=arguments["sort"] == "c")]

    assert checks(prove(sorting, FakeSite(ordered)))[CheckName.CHOICE_CHANGES]
    assert not checks(prove(sorting, FakeSite(everything)))[CheckName.CHOICE_CHANGES]


@pytest.mark.parametrize(
    "site",
    [FakeSite(searched, status=500), FakeSite(searched, status=404), FakeSite(searched, url=f"{SITE}/login?next=/x")],
)
def test_an_error_or_a_sign_in_page_is_no_answer(site: FakeSite) -> None:
    """One run is enough to see it."""
    proven = prove(tool(), site)
    assert not checks(proven)[CheckName.RUNS]
    assert 1 == len(site.asked)
    assert failed_check(proven) is not None


def test_a_run_that_breaks_off_is_told() -> None:
    """The note has the step's own words."""

    def broken(tool: Tool, arguments: dict[str, Any]) -> Outcome:
        raise Transient("submit: not in time.")

    failure = failed_check(prove(tool(), broken))
    assert failure is not None
    assert "submit: not in time." == failure.note


@pytest.mark.parametrize(
    ("effect", "allow_write", "runs"),
    [
        (Effect.READ, False, 3),
        (Effect.WRITE, False, 0),
        (Effect.WRITE, True, 1),
        (Effect.DESTROY, True, 0),
    ],
)
def test_only_what_may_be_run_is_run(effect: Effect, *, allow_write: bool, runs: int) -> None:
    """Reads in full, writes once where allowed, what destroys never."""
    site = FakeSite(searched)
    proven = prove(tool(effect=effect), site, allow_write=allow_write)
    assert runs == len(site.asked)
    assert checks(proven)[CheckName.INVALID_IS_REFUSED]


@pytest.mark.parametrize("called", [{"title": "Abmelden"}, {"name": "sign_out"}])
def test_the_session_is_not_ended(called: dict[str, str]) -> None:
    """What else is discovered needs it; and what a page calls read-only may end it all the same."""
    for effect in (Effect.READ, Effect.WRITE):
        site = FakeSite(searched)
        prove(tool(effect=effect, **called), site, allow_write=True)
        assert [] == site.asked


def test_inputs_are_not_made_up() -> None:
    """A search without an example is not run, nor is what an example does not fit."""
    site = FakeSite(searched)
    assert first_arguments(tool(examples=())) is None
    assert first_arguments(tool(examples=({"q": 3}, {"q": "tea"}))) == {"q": "tea"}
    prove(tool(examples=()), site)
    assert [] == site.asked


def test_at_most_five_runs() -> None:
    """Whatever a site makes of it."""
    schema = {"type": "object", "properties": {"q": {"type": "string"}, "by": {"enum": ["", "x"], "default": ""}}}
    site = FakeSite(everything)
    prove(tool(input_schema=schema, source=Source.FILTER), site)
    assert 5 == len(site.asked)


def test_a_form_that_is_sent_alike_is_run_plainly() -> None:
    """What the comparison learnt is in the tool; a comparison that fails leaves it open."""
    form = FormCall(page_url=f"{SITE}/", url=f"{SITE}/search")

    def alike(compared: Tool, _arguments: dict[str, Any]) -> Equality:
        assert isinstance(compared.call, FormCall)
        return Equality(True, "", compared.call.model_copy(update={"is_plain": True}))

    def failing(_tool: Tool, _arguments: dict[str, Any]) -> Equality:
        raise InputRejected("the page refuses it", field="q")

    proven = prove(tool(call=form), FakeSite(searched), compare=alike)
    assert isinstance(proven.call, FormCall)
    assert proven.call.is_plain
    assert checks(proven)[CheckName.EQUALS_BROWSER]
    assert CheckName.EQUALS_BROWSER not in checks(prove(tool(call=form), FakeSite(searched), compare=failing))
