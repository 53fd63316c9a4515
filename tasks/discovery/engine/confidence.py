"""How likely a tool is what it says, from where it was found and what trying it has shown.

A logistic regression with few weights, as data: ``confidence.json``, made by ``python -m bench.discovery --fit``.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib import resources

from tasks.discovery.tool import CheckName, Source, Tool

_PACKAGE = "tasks.discovery.engine"
# A source that is certain would outweigh everything that is seen later.
_LEAST, _MOST = 0.02, 0.98
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
_EVIDENCE = {
    CheckName.RUNS: "runs",
    CheckName.REPEATS: "repeats",
    CheckName.NONSENSE_GIVES_LESS: "answers_follow",
    CheckName.PAGE_DIFFERS: "answers_follow",
    CheckName.CHOICE_CHANGES: "answers_follow",
    CheckName.ANSWER_MENTIONS_QUERY: "mentions",
}


# What can only speak for a tool.
EVIDENCE = frozenset({"prior", *_EVIDENCE.values()})


def assess(tool: Tool, *, weights: Mapping[str, float] | None = None) -> float:
    """Return the probability that the tool is what it says, in [0, 1]; ``weights`` replace the shipped ones."""
    used = _weights() if weights is None else weights
    score = sum(used.get(name, 0.0) * value for name, value in features(tool).items())
    return round(1 / (1 + math.exp(-max(-30.0, min(30.0, score)))), 4)


def features(tool: Tool) -> dict[str, float]:
    """Return what is known of the tool, by name; ``bias`` is always 1."""
    prior = min(max(tool.prior, _LEAST), _MOST)
    found = {"bias": 1.0, "prior": math.log(prior / (1 - prior)), _KINDS.get(tool.source, "steps"): 1.0}
    if tool.purpose in ("search", "other"):
        found[f"for_{tool.purpose}"] = 1.0
    if tool.checks:
        found["checked"] = 1.0
    for check in tool.checks:
        if check.name in _EVIDENCE:
            found[_EVIDENCE[check.name]] = 1.0 if check.passed else -1.0
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
