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
        said = f"{' '.join(map(str, items))} for {arguments.get('q', '')}"
        value = {"title": "Shop", "text": said, "url": self._url, "items": items}
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
        *(CheckName.INVALID_IS_REFUSED, CheckName.FITS_OUTPUT_SCHEMA, CheckName.SHOWS_ITEMS),
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


def test_a_page_that_only_repeats_the_query_mentions_nothing() -> None:
    """Where nothing was found, the words of the query in the address or in “no results for …” are no find."""

    def echoed(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return []

    proven = prove(tool(), FakeSite(echoed, url=f"{SITE}/search?q=tea"))
    assert {CheckName.ANSWER_MENTIONS_QUERY, CheckName.NONSENSE_GIVES_LESS}.isdisjoint(checks(proven))
    assert not checks(proven)[CheckName.SHOWS_ITEMS]
    assert failed_check(proven) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"source": Source.LIST}, False), ({"source": Source.XHR}, None), ({"source": Source.ITEM}, None)],
)
def test_what_is_there_to_list_shows_items_or_speaks_against_itself(
    changes: dict[str, Any], *, expected: bool | None
) -> None:
    """A table that only a script fills lists nothing for a request; it is evidence, and publishes all the same."""
    site = FakeSite(lambda _arguments, _number: [])
    proven = prove(tool(purpose="list", input_schema={"type": "object"}, examples=({},), **changes), site)
    assert expected is checks(proven).get(CheckName.SHOWS_ITEMS)
    assert failed_check(proven) is None


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


@pytest.mark.parametrize(
    ("source", "check"), [(Source.PAGINATION, CheckName.PAGE_DIFFERS), (Source.FILTER, CheckName.CHOICE_CHANGES)]
)
def test_items_of_which_only_the_addresses_differ_are_the_same(source: Source, check: CheckName) -> None:
    """A menu's links carry what was asked for; where there are only addresses, they are what the items say."""
    schema = {"type": "object", "properties": {"page": {"type": "integer", "minimum": 1}}, "required": ["page"]}
    paging = tool(source=source, purpose="list", input_schema=schema, examples=({"page": 2},))

    def menu(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return [{"title": tea, "url": f"{SITE}/{tea}?page={arguments['page']}"} for tea in TEAS]

    def pictures(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return [{"url": f"{SITE}/{arguments['page']}/{tea}.png"} for tea in TEAS]

    assert checks(prove(paging, FakeSite(menu))).get(check) is not True
    assert checks(prove(paging, FakeSite(pictures)))[check]


def test_a_menu_whose_links_carry_the_query_is_no_find() -> None:
    """It has nothing in common with that of another query but its words, which are all that it says."""

    def menu(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return [{"title": tea, "url": f"{SITE}/{tea}?q={arguments['q']}"} for tea in TEAS]

    assert not checks(prove(tool(), FakeSite(menu))).get(CheckName.NONSENSE_GIVES_LESS)


def test_a_choice_changes_the_items() -> None:
    """Of two choices, one may well give what the first gave."""
    schema = {"type": "object", "properties": {"sort": {"type": "string", "enum": ["a", "b", "c"]}}}
    sorting = tool(source=Source.SORT, purpose="sort", input_schema=schema, examples=({"sort": "a"}, {"sort": "b"}))

    def ordered(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return [{"name": tea} for tea in sorted(TEAS, reverse=arguments["sort"] == "c")]

    assert checks(prove(sorting, FakeSite(ordered)))[CheckName.CHOICE_CHANGES]
    assert not checks(prove(sorting, FakeSite(everything)))[CheckName.CHOICE_CHANGES]


def test_another_one_of_many_says_something_else() -> None:
    """A page that is the same whatever it is asked for opens nothing; with a single one nothing is shown."""
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    opening = tool(source=Source.ITEM, purpose="item", input_schema=schema, examples=({"id": 1}, {"id": 2}))

    def opened(arguments: dict[str, Any], _number: int) -> list[dict[str, Any]]:
        return [{"name": TEAS[arguments["id"]]}]

    proven = prove(opening, FakeSite(opened))
    assert checks(proven)[CheckName.ITEM_DIFFERS]
    same = prove(opening, FakeSite(everything))
    assert not checks(same)[CheckName.ITEM_DIFFERS]
    assert failed_check(same) is None
    assert CheckName.ITEM_DIFFERS not in checks(
        prove(tool(**dict(opening) | {"examples": ({"id": 1},)}), FakeSite(opened))
    )


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
