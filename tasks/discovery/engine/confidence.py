"""How likely a tool is what it says, from where it was found and what trying it has shown.

A logistic regression with few weights, as data: ``confidence.json``, made by ``python -m bench.discovery --fit``.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib import resources

from tasks.discovery.engine.act_words import is_called, says_act
from tasks.discovery.tool import CheckName, Effect, Source, Tool

_PACKAGE = "tasks.discovery.engine"
# A source that is certain would outweigh everything that is seen later.
_LEAST, _MOST = 0.01, 0.99
_KINDS = {
    Source.WEBMCP: "declared",
    Source.OPENAPI: "declared",
    Source.OPENSEARCH: "declared",
    Source.SCHEMA_ORG: "declared",
    Source.FORM: "form",
    Source.PAGINATION: "list",
    Source.SORT: "list",
    Source.FILTER: "list",
    Source.ITEM: "item",
    Source.LIST: "item",
    Source.XHR: "script",
    Source.GRAPHQL: "script",
}
# Checks that say the same of tools of different sources.
_CHECKS = {
    CheckName.RUNS: "runs",
    CheckName.REPEATS: "repeats",
    CheckName.FITS_OUTPUT_SCHEMA: "repeats",
    CheckName.EQUALS_BROWSER: "equals",
    CheckName.NONSENSE_GIVES_LESS: "answers_follow",
    CheckName.PAGE_DIFFERS: "answers_follow",
    CheckName.CHOICE_CHANGES: "answers_follow",
    CheckName.ITEM_DIFFERS: "answers_follow",
    CheckName.ANSWER_MENTIONS_QUERY: "mentions",
    CheckName.SHOWS_ITEMS: "shows",
}
# What a tool of a source promises, and a run can show.
_PROMISES = {
    Source.PAGINATION: CheckName.PAGE_DIFFERS,
    Source.SORT: CheckName.CHOICE_CHANGES,
    Source.FILTER: CheckName.CHOICE_CHANGES,
    Source.ITEM: CheckName.ITEM_DIFFERS,
}
# Their prior is a classifier's probability; that of the others is a number that somebody thought right.
_MEASURED = frozenset({Source.FORM, Source.PAGINATION, Source.STEPS})
_AGREES = "also found as "

# Whether a list that takes no search, order or page lists anything. A search may well find nothing.
_LISTS = "lists"

EVIDENCE = frozenset({"prior", "agrees", "words", _LISTS, *_CHECKS.values()})
"""Features that can only speak for a tool where they are above 0, and only against it below."""


def assess(tool: Tool, *, weights: Mapping[str, float] | None = None) -> float:
    """Return the probability that the tool is what it says, in [0, 1]; ``weights`` replace the shipped ones."""
    used = _weights() if weights is None else weights
    score = sum(used.get(name, 0.0) * value for name, value in features(tool).items())
    return round(1 / (1 + math.exp(-max(-30.0, min(30.0, score)))), 4)


def features(tool: Tool) -> dict[str, float]:
    """Return what is known of the tool, by name; ``bias`` is always 1.

    A check counts 1 where it passed and -1 where it failed. What was tried and did not show what its kind promises
    (an order that orders nothing) counts as failed, too. What reads and could not be tried all the same, because the
    site shows no inputs for it, is ``untried``.
    """
    found = {"bias": 1.0, _KINDS.get(tool.source, "steps"): 1.0}
    if _is_measured(tool):
        prior = min(max(tool.prior, _LEAST), _MOST)
        found |= {"measured": 1.0, "prior": math.log(prior / (1 - prior))}
    checks = {check.name: check.passed for check in tool.checks}
    promised = CheckName.NONSENSE_GIVES_LESS if tool.purpose == "search" else _PROMISES.get(tool.source)
    if CheckName.RUNS in checks and promised:
        checks.setdefault(promised, False)
    for name, passed in checks.items():
        if name in _CHECKS:
            says = _LISTS if name is CheckName.SHOWS_ITEMS and _only_lists(tool) else _CHECKS[name]
            found[says] = min(found.get(says, 1.0), 1.0 if passed else -1.0)
    if tool.checks and tool.effect is Effect.READ and CheckName.RUNS not in checks:
        found["untried"] = 1.0
    if any(one.startswith(_AGREES) for one in tool.evidence):
        found["agrees"] = 1.0
    if (said := _of_words(tool)) is not None:
        found["words"] = 1.0 if said else -1.0
    return found


def _only_lists(tool: Tool) -> bool:
    return tool.source is Source.LIST


def _of_words(tool: Tool) -> bool | None:
    """Whether its words can be what it does; None where they are made to say so, or there are none.

    A form whose title names no act was called after a field, or after the one thing that was seen. A list whose page is
    called after an act is where that is done.
    """
    if tool.source is Source.FORM and tool.title:
        return says_act(tool.title, purpose=tool.purpose)
    if tool.purpose == "list" and tool.title:
        return not says_act(tool.title.partition(" ")[2])
    return None


def _is_measured(tool: Tool) -> bool:
    """Whether a classifier's probability is of what the tool says: a form that is called otherwise claims no type."""
    if tool.source not in _MEASURED:
        return False
    return tool.source is Source.PAGINATION or not tool.title or is_called(tool.title, purpose=tool.purpose)


def parse_weights(text: str) -> dict[str, float]:
    """Return the weights of a file that ``format_weights`` wrote."""
    return {str(name): float(value) for name, value in json.loads(text).items()}


def format_weights(weights: Mapping[str, float]) -> str:
    """Return the file's text: four decimals, in order of the names."""
    return json.dumps({name: round(value, 4) for name, value in sorted(weights.items())}, indent=1) + "\n"


@cache
def _weights() -> dict[str, float]:
    return parse_weights(resources.files(_PACKAGE).joinpath("confidence.json").read_text(encoding="utf-8"))
