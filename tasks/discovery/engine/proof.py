"""What trying a tool shows: a handful of runs with inputs that the site itself shows, judged by what came back.

A tool that only reads is tried in full. One that writes is tried once, and only where the caller allows it. One that
deletes, changes an account or signs out is never run. Deterministic but for the site's answers.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from jsonschema_rs import Draft202012Validator

from tasks.core.errors import InputRejected
from tasks.discovery.engine.effects import ends_session
from tasks.discovery.engine.outcome import Outcome, Run
from tasks.discovery.engine.output_schema import schema_of_page, schema_of_values
from tasks.discovery.engine.running.arguments import check_arguments
from tasks.discovery.engine.running.equality import Equality
from tasks.discovery.engine.trials import RUN_TROUBLE, Trials, answers_of, is_success, text_of, words_of
from tasks.discovery.tool import Check, CheckName, Effect, FormCall, JSONSchema, Source, Tool

# Tells what a browser would send; None where there is none to ask.
Compare = Callable[[Tool, dict[str, Any]], Equality]

# No site has it, and it is no word of any language; fixed, so that a proof is the same each time.
NONSENSE = "zqxvkwjyq"
_MAX_NOTE = 300
_MAX_ITEMS = 50
# Without these a tool is not what it says. The others are evidence, and may fail for reasons of the site's own: an
# answer with the time in it is not the same twice.
_DECISIVE = frozenset(
    {
        CheckName.RUNS,
        CheckName.NONSENSE_GIVES_LESS,
        CheckName.PAGE_DIFFERS,
        CheckName.CHOICE_CHANGES,
        CheckName.INVALID_IS_REFUSED,
    }
)
_SCALARS = ("string", "integer", "number", "boolean")
_SEARCHES = frozenset({"search", "autocomplete"})
_CHOOSES = frozenset({Source.SORT, Source.FILTER})
_LISTING = _CHOOSES | {Source.PAGINATION, Source.LIST, Source.OPENSEARCH}
_QUERY_NAMES = re.compile(r"(^|[_\[.-])(q|query|search|searchterm|term|keywords?|text|s)($|[\]_.-])", re.IGNORECASE)


def prove(tool: Tool, run: Run, *, compare: Compare | None = None, allow_write: bool = False) -> Tool:
    """Return the tool with what trying it has shown, in at most five runs.

    Where it may not be run, or would need an input that has to be made up, only what needs no run is checked.

    Args:
        compare: says what the browser sends, with nothing reaching the site; a form that is sent alike is run by
            plain requests from then on.
        allow_write: a tool that writes is run too, once.
    """
    proof = _Proof(tool)
    proof.refuse()
    arguments = trial_arguments(tool)
    if arguments is not None:
        proof.compare(compare, arguments)
        if tool.effect is Effect.READ or allow_write:
            proof.go(Trials(proof.tool, run), arguments)
    return proof.proven()


def failed_check(tool: Tool) -> Check | None:
    """Return the check that says that a tool does not do what it is for; None where none does."""
    return next((check for check in tool.checks if check.name in _DECISIVE and not check.passed), None)


def _signs_out(tool: Tool) -> bool:
    """Whether running it would end the session that the rest of the discovery is made with."""
    path = urlsplit(getattr(tool.call, "url", "")).path
    return ends_session(tool.name, tool.title, path, getattr(tool.call, "submit_value", ""))


def trial_arguments(tool: Tool) -> dict[str, Any] | None:
    """Return what a tool is tried with; None for one that is not tried: for what it does, or for want of inputs."""
    return None if tool.effect is Effect.DESTROY or _signs_out(tool) else first_arguments(tool)


def first_arguments(tool: Tool) -> dict[str, Any] | None:
    """Return inputs that the site shows and the schema accepts; None where they would have to be made up."""
    for example in tool.examples:
        if _is_accepted(tool.input_schema, example):
            return dict(example)
    return {} if _is_accepted(tool.input_schema, {}) and not _is_asked_for(tool) else None


def _is_asked_for(tool: Tool) -> bool:
    """Whether the tool does nothing without an input, whatever its schema says."""
    return tool.purpose in _SEARCHES


class _Proof:
    """The checks of one tool, in the making."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self._checks: dict[CheckName, Check] = {}
        self._answers: list[Outcome] = []

    def compare(self, compare: Compare | None, arguments: dict[str, Any]) -> None:
        """Let a browser say what it sends; a form that is equal is run by plain requests from here on."""
        if compare is None or not isinstance(self.tool.call, FormCall):
            return
        try:
            equality = compare(self.tool, arguments)
        except RUN_TROUBLE:
            return
        self._note(CheckName.EQUALS_BROWSER, equality.is_equal, equality.difference or "sent alike")
        self.tool = self.tool.model_copy(update={"call": equality.call})

    def refuse(self) -> None:
        """See whether what the schema forbids is refused by the check that comes before any request."""
        is_refused = not _is_accepted(self.tool.input_schema, invalid_arguments(self.tool))
        note = "before any request" if is_refused else "the schema lets anything in"
        self._note(CheckName.INVALID_IS_REFUSED, is_refused, note)

    def go(self, trials: Trials, arguments: dict[str, Any]) -> None:
        """Run the tool, and again as its kind asks for."""
        first = trials(arguments)
        if first is None or not is_success(first):
            note = trials.failure if first is None else f"it answered {first.status} at {first.url}"
            self._note(CheckName.RUNS, False, note)
            return
        self._note(CheckName.RUNS, True, f"{first.status}, {len(first.items)} items")
        self._answers.append(first)
        if self.tool.effect is not Effect.READ:
            return
        if _lists(self.tool) and (_is_page(first) or "json" in first.media_type):
            self._note(CheckName.SHOWS_ITEMS, bool(first.items), f"{len(first.items)} items")
        query = query_input(self.tool, arguments)
        if query:
            self._mentions(first, str(arguments[query]))
            self._nonsense(first, trials, arguments, query)
        if self.tool.source is Source.PAGINATION:
            self._differs(CheckName.PAGE_DIFFERS, first, trials, arguments)
        elif self.tool.source in _CHOOSES:
            self._differs(CheckName.CHOICE_CHANGES, first, trials, arguments)
        elif self.tool.source is Source.ITEM:
            self._other_item(first, trials, arguments)
        self._repeats(first, trials(arguments))

    def proven(self) -> Tool:
        """Return the tool with its checks, and an output schema where it had none."""
        changes: dict[str, Any] = {"checks": tuple(self._checks.values())}
        if self.tool.output_schema is None and (schema := _schema_of(self._answers)):
            changes["output_schema"] = schema
        return self.tool.model_copy(update=changes)

    def _mentions(self, outcome: Outcome, query: str) -> None:
        """See whether what was found has a word of the query; where nothing was, a page may repeat it all the same."""
        if not outcome.items:
            return
        words = [word for word in re.findall(r"\w+", query.casefold()) if len(word) > 1] or [query.casefold()]
        pieces = answers_of(outcome)
        said = sum(any(word in piece.casefold() for word in words) for piece in pieces)
        self._note(CheckName.ANSWER_MENTIONS_QUERY, said > 0, f"{said} of {len(pieces)} pieces mention “{query[:60]}”")

    def _repeats(self, first: Outcome, second: Outcome | None) -> None:
        if second is None:
            return
        same = answers_of(first) == answers_of(second)
        self._note(CheckName.REPEATS, same, "the same answer twice" if same else "two answers differ")
        schema = self.tool.output_schema or _schema_of(self._answers)
        if schema is not None:
            fits = bool(Draft202012Validator(schema).is_valid(second.value))
            self._note(CheckName.FITS_OUTPUT_SCHEMA, fits, "the second answer")
        self._answers.append(second)

    def _nonsense(self, first: Outcome, trials: Trials, arguments: dict[str, Any], query: str) -> None:
        """Compare with the answer to nonsense. A query that does nothing alone is tried once more with its choices."""
        verdict, seen = self._less(first, trials({**arguments, query: NONSENSE}), str(arguments[query]))
        if verdict is False and (chosen := with_choices(self.tool, arguments)) != arguments:
            again = trials(chosen)
            if again is not None and again.is_ok:
                verdict, seen = self._less(again, trials({**chosen, query: NONSENSE}), str(arguments[query]))
        if verdict is not None:
            self._note(CheckName.NONSENSE_GIVES_LESS, verdict, seen)

    def _less(self, first: Outcome, other: Outcome | None, query: str) -> tuple[bool | None, str]:
        """Return whether the other has fewer items, and what was seen; None where it cannot be told."""
        if other is None:
            return None, ""
        if not other.is_ok:  # many answer 404 where nothing is found
            return (True if first.items else None), f"it answered {other.status}"
        self._answers.append(other)
        left = len(set(words_of(first)) & set(words_of(other)))
        seen = f"{len(first.items)} items before, {len(other.items)} for nonsense, {left} of them the same"
        if first.items and (len(other.items) < len(first.items) or not left):
            return True, seen
        asked = (query, NONSENSE)
        is_same = text_of(first, without=asked) == text_of(other, without=asked)
        # Where the words change and the items do not, the items are not what was searched for; and where no item has
        # the query in it, it may not have been found either.
        is_there = bool(first.items) and any(query.casefold() in piece.casefold() for piece in answers_of(first))
        return (False if is_same and is_there else None), seen

    def _differs(self, name: CheckName, first: Outcome, trials: Trials, arguments: dict[str, Any]) -> None:
        """Compare with another page or another choice; of choices two are tried, because two may well be alike."""
        mine = words_of(first)
        for other in other_arguments(self.tool, arguments)[:2]:
            outcome = trials(other)
            if outcome is None or not outcome.is_ok:
                continue
            self._answers.append(outcome)
            if words_of(outcome) != mine:
                self._note(name, True, f"{len(first.items)} and {len(outcome.items)} items, not the same")
                return
            if name is CheckName.PAGE_DIFFERS or text_of(outcome) == text_of(first):
                self._note(name, False, f"the same {len(first.items)} items")

    def _other_item(self, first: Outcome, trials: Trials, arguments: dict[str, Any]) -> None:
        """Open another of the many that the site shows: there is one, and it says something else."""
        other = next((one for one in self.tool.examples if one != arguments), None)
        outcome = None if other is None else trials(dict(other))
        if other is None or outcome is None:
            return
        mine, theirs = (
            text_of(answer, without=tuple(map(str, values.values())))
            for answer, values in ((first, arguments), (outcome, other))
        )
        passed = is_success(outcome) and (mine != theirs or words_of(first) != words_of(outcome))
        if is_success(outcome):
            self._answers.append(outcome)
        note = "another one says something else" if passed else f"another one answered {outcome.status}, and the same"
        self._note(CheckName.ITEM_DIFFERS, passed, note)

    def _note(self, name: CheckName, passed: bool, note: str) -> None:
        self._checks[name] = Check(name=name, passed=passed, note=note[:_MAX_NOTE])


def _lists(tool: Tool) -> bool:
    """Whether a run of the tool is there to give items."""
    return tool.source in _LISTING or tool.purpose in _SEARCHES


def query_input(tool: Tool, arguments: dict[str, Any]) -> str:
    """Return the input that says what is searched for; empty where there is none, or it is not set."""
    texts = [name for name, value in arguments.items() if _is_asked(value) and _is_free(tool, name)]
    if tool.purpose in _SEARCHES and len(texts) == 1:
        return texts[0]
    if tool.purpose in _SEARCHES or tool.source in (Source.OPENSEARCH, Source.XHR):
        return next((name for name in texts if _QUERY_NAMES.search(name)), "")
    return ""


def _is_asked(value: Any) -> bool:
    """Whether it may be what is searched for: words, and no switch that is called after the search."""
    return isinstance(value, str) and value.casefold() not in ("", "true", "false")


def _is_free(tool: Tool, name: str) -> bool:
    rules = tool.input_schema.get("properties", {}).get(name, {})
    return not any(key in rules for key in ("enum", "const", "pattern", "format", "oneOf"))


def other_arguments(tool: Tool, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return other inputs for the same: the site's own examples, then other values of a choice, then the next page."""
    found = [dict(example) for example in tool.examples if example != arguments]
    for name, rules in tool.input_schema.get("properties", {}).items():
        values = rules.get("enum", ())
        if name in arguments:
            found += [{**arguments, name: value} for value in (*values[-1:], *values[:1]) if value != arguments[name]]
            if rules.get("type") == "integer" and not values:
                step = rules.get("multipleOf", 1)
                found += [{**arguments, name: arguments[name] + step}, {**arguments, name: arguments[name] - step}]
    return [one for one in found if _is_accepted(tool.input_schema, one)]


def with_choices(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs with a value for each choice that is open: a filter does nothing before a column is chosen."""
    chosen = dict(arguments)
    for name, rules in tool.input_schema.get("properties", {}).items():
        values = [value for value in rules.get("enum", ()) if value not in ("", None)]
        if values and rules.get("default") in (None, "") and not arguments.get(name):
            chosen[name] = values[0]
    return chosen if _is_accepted(tool.input_schema, chosen) else arguments


def invalid_arguments(tool: Tool) -> dict[str, Any]:
    """Return inputs that are forbidden: another value for a choice, else one of another type, else an unknown one."""
    properties = tool.input_schema.get("properties", {})
    valid = first_arguments(tool) or {}
    for name, rules in properties.items():
        if rules.get("enum"):
            return {**valid, name: f"not-{NONSENSE}"}
    name = next((name for name, rules in properties.items() if rules.get("type") in _SCALARS), None)
    return {**valid, NONSENSE: NONSENSE} if name is None else {**valid, name: {NONSENSE: [NONSENSE]}}


def _schema_of(answers: Sequence[Outcome]) -> JSONSchema | None:
    """Return the schema that all answers fit; None where they are no pages and no JSON."""
    values = [answer.value for answer in answers if answer.value is not None and answer.text]
    if not values or len(values) < len(answers):
        return None
    if all(_is_page(answer) for answer in answers):
        return schema_of_page(item for answer in answers for item in answer.items[:_MAX_ITEMS])
    return schema_of_values(values) if not any(_is_page(answer) for answer in answers) else None


def _is_page(outcome: Outcome) -> bool:
    is_read = isinstance(outcome.value, dict) and {"title", "text", "url", "items"} <= outcome.value.keys()
    return is_read and "html" in outcome.media_type


def _is_accepted(schema: JSONSchema, arguments: dict[str, Any]) -> bool:
    try:
        check_arguments(schema, arguments)
    except InputRejected:
        return False
    except RUN_TROUBLE:  # the schema cannot be used, so no run is possible either
        return True
    return True
