"""How likely a tool is what it says, from where it was found and what trying it has shown.

A logistic regression with few weights, as data: ``confidence.json``, made by ``python -m bench.discovery --fit``.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib import resources

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
    CheckName.ANSWER_MENTIONS_QUERY: "mentions",
}
# What a tool of a source promises, and a run can show.
_PROMISES = {
    Source.PAGINATION: CheckName.PAGE_DIFFERS,
    Source.SORT: CheckName.CHOICE_CHANGES,
    Source.FILTER: CheckName.CHOICE_CHANGES,
}
# Their prior is a classifier's probability; that of the others is a number that somebody thought right.
_MEASURED = frozenset({Source.FORM, Source.PAGINATION, Source.STEPS})
_AGREES = "also found as "

EVIDENCE = frozenset({"prior", "agrees", *_CHECKS.values()})
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
    if tool.source in _MEASURED:
        prior = min(max(tool.prior, _LEAST), _MOST)
        found |= {"measured": 1.0, "prior": math.log(prior / (1 - prior))}
    checks = {check.name: check.passed for check in tool.checks}
    promised = CheckName.NONSENSE_GIVES_LESS if tool.purpose == "search" else _PROMISES.get(tool.source)
    if checks.get(CheckName.RUNS) and promised:
        checks.setdefault(promised, False)
    for name, passed in checks.items():
        if name in _CHECKS:
            found[_CHECKS[name]] = min(found.get(_CHECKS[name], 1.0), 1.0 if passed else -1.0)
    if tool.checks and tool.effect is Effect.READ and CheckName.RUNS not in checks:
        found["untried"] = 1.0
    if any(one.startswith(_AGREES) for one in tool.evidence):
        found["agrees"] = 1.0
    return found


def parse_weights(text: str) -> dict[str, float]:
    """Return the weights of a file that ``format_weights`` wrote."""
    return {str(name): float(value) for name, value in json.loads(text).items()}


def format_weights(weights: Mapping[str, float]) -> str:
    """Return the file's text: four decimals, in order of the names."""
    return json.dumps({name: round(value, 4) for name, value in sorted(weights.items())}, indent=1) + "\n"


@cache
def _weights() -> dict[str, float]:
    return parse_weights(resources.files(_PACKAGE).joinpath("confidence.json").read_text(encoding="utf-8"))
