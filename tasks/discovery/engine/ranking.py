"""Which of a site's tools are returned: those that serve the goal best, then the surest."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TypeGuard

from tasks.discovery.engine.goal_match import GoalMatch
from tasks.discovery.engine.notes import Notes
from tasks.discovery.engine.proof import failed_check
from tasks.discovery.tool import FormCall, RequestCall, Source, Tool

# How far a tool's place depends on the goal, on how sure it is, and on how sure its kind of source is.
_OF_GOAL, _OF_CERTAINTY, _OF_SOURCE = 0.6, 0.3, 0.1
# Less for what only shows a page: whoever knows its address has it. Else such tools, which can be tried without any
# input and are surer for it, would fill a bounded result before any form that writes.
_ONLY_SHOWS = 0.15
_PLACEHOLDER = re.compile(r"\{[^{}/]*\}")
# Below this no tool is "the one for the goal": nothing but a word or two in passing.
LEAST_MATCH = 0.25

_PLACES = {source: place for place, source in enumerate(Source)}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A tool with how well it serves the goal and where that puts it."""

    tool: Tool
    match: float
    score: float


def rank(tools: Sequence[Tool], goal: GoalMatch) -> list[Ranked]:
    """Return the tools, best first; equal ones stay in their order."""
    forms = {_shape(call.page_url) for call in (one.call for one in tools) if _is_posted(call)}
    ranked = []
    for tool in tools:
        match = goal.of(tool)
        source = 1 - _PLACES[tool.source] / len(_PLACES)
        score = _OF_GOAL * match + _OF_CERTAINTY * certainty(tool) + _OF_SOURCE * source
        if _only_shows(tool, forms):
            score -= _ONLY_SHOWS
        ranked.append(Ranked(tool, match, round(score, 6)))
    return sorted(ranked, key=lambda one: -one.score)


def _only_shows(tool: Tool, forms: Set[str]) -> bool:
    """Whether it only shows a page: a list that takes no input, or the page of a form that is a tool itself."""
    if tool.source is Source.LIST:
        return not tool.input_schema.get("properties")
    return tool.source is Source.ITEM and isinstance(tool.call, RequestCall) and _shape(tool.call.url) in forms


def _is_posted(call: object) -> TypeGuard[FormCall]:
    return isinstance(call, FormCall) and call.method.upper() == "POST"


def _shape(url: str) -> str:
    """Return the address without its query, and without what its inputs are called."""
    return _PLACEHOLDER.sub("{}", url.partition("?")[0])


def certainty(tool: Tool) -> float:
    """Return how sure it is that this is a tool: its confidence once it was assessed, else what its source says."""
    return tool.prior if tool.confidence is None else tool.confidence


def without_failures(tools: Sequence[Tool], notes: Notes, *, min_confidence: float) -> list[Tool]:
    """Return the tools that may be published: none that failed a check which decides, none assessed as too unsure."""
    kept = []
    for tool in tools:
        failure = failed_check(tool)
        if failure is not None:
            notes.skip("tool", tool.name, reason="failed_check", message=f"{failure.name.value}: {failure.note}")
        elif tool.confidence is not None and tool.confidence < min_confidence:
            message = f"{tool.confidence:.2f} is below {min_confidence:g}."
            notes.skip("tool", tool.name, reason="low_confidence", message=message)
        else:
            kept.append(tool)
    return kept
