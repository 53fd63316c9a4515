"""Search boxes that no form holds: a field that says what it is, and a script that listens to it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.discovery.engine.form_types import form_type
from tasks.discovery.engine.lexicon import form_concepts
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.page import Control, Form
from tasks.discovery.engine.schema import DIALECT, describe, tool_name
from tasks.discovery.engine.site import Site, Snapshot
from tasks.discovery.engine.sources.form_words import title_of
from tasks.discovery.engine.sources.page_words import SiteWords
from tasks.discovery.tool import Source, Step, StepsCall, Tool

INPUT = "query"
MAX_QUERY_CHARS = 200
_TYPED = frozenset({"text", "search"})
# A button that stands this many controls after its box belongs to it.
_REACH = 2


@dataclass(frozen=True, slots=True)
class _Box:
    field: Control
    selectors: tuple[str, ...]
    button: Control | None = None
    button_selectors: tuple[str, ...] = ()


def find_search_boxes(site: Site, *, words: SiteWords, names: Names) -> list[Tool]:
    """Return a tool for each search box without a form; the same box on another page counts once."""
    seen: set[tuple[str, ...]] = set()
    tools = []
    for snapshot in site.snapshots:
        for box in _boxes(snapshot):
            key = (box.field.name, box.field.id, box.field.label, box.field.placeholder)
            if key not in seen:
                seen.add(key)
                tools.append(_tool(site, snapshot, box, words=words, names=names))
    return tools


def _boxes(snapshot: Snapshot) -> Iterator[_Box]:
    """Yield the fields that call themselves a search, in the markup or with a button that does."""
    controls = list(zip(snapshot.page.loose, snapshot.loose_selectors, strict=False))
    for at, (control, selectors) in enumerate(controls):
        is_usable = control.is_visible and not control.is_disabled and not control.is_readonly and selectors
        if control.type not in _TYPED or not is_usable:
            continue
        button = next((pair for pair in controls[at + 1 : at + 1 + _REACH] if _searches(pair[0])), None)
        is_marked = control.type == "search" or control.role == "searchbox" or control.is_in_search
        if is_marked or (button and "search" in form_concepts(f"{control.name} {control.id} {describe(control)}")):
            yield _Box(control, selectors, *(button or ()))


def _searches(control: Control) -> bool:
    says = f"{control.caption} {control.label} {control.title} {control.name} {control.id}"
    return control.type in ("button", "submit", "image") and control.is_visible and "search" in form_concepts(says)


def _tool(site: Site, snapshot: Snapshot, box: _Box, *, words: SiteWords, names: Names) -> Tool:
    page = snapshot.page
    form = Form(action=page.url, role="search", controls=(box.field, *([box.button] if box.button else ())))
    title = title_of(form, type_name="search", submit=box.button)
    asked = describe(box.field)
    send = (
        Step(act="click", selectors=box.button_selectors)
        if box.button and box.button_selectors
        else Step(act="key", text="Enter", selectors=box.selectors)
    )
    return Tool(
        name=names.take(tool_name(title, fallback="search")),
        title=title,
        description=f"{title}: types into the search box of “{page.title[:100]}” and returns what the page shows then.",
        site=site.origin,
        found_on=page.url,
        source=Source.STEPS,
        purpose="search",
        is_idempotent=True,
        call=StepsCall(
            page_url=page.url,
            steps=(
                Step(act="navigate", text=page.url),
                Step(act="input", text=f"{{{INPUT}}}", selectors=box.selectors),
                send,
                Step(act="extract"),
            ),
        ),
        input_schema={
            "$schema": DIALECT,
            "type": "object",
            "properties": {
                INPUT: {"type": "string", "minLength": 1, "maxLength": MAX_QUERY_CHARS}
                | ({"description": asked} if asked else {})
            },
            "required": [INPUT],
            "additionalProperties": False,
        },
        prior=form_type(form).probabilities["search"],
        evidence=("A search box without a form: a script listens to it.",),
        examples=tuple({INPUT: word} for word in words.on(page)[:3]),
    )
