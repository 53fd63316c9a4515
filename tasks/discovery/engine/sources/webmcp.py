"""Tools that pages register themselves (WebMCP, ``document.modelContext``), by script.

Tools that the browser compiles from a form's attributes are left to the form source, which knows the form better.
Source: WebMCP draft community report; Model Context Protocol 2025-06-18, tool annotations.
"""

import json
from typing import Any

from tasks.discovery.engine.effects import effect_of, ends_session
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.site import DeclaredTool, Site, Snapshot
from tasks.discovery.engine.sources.schemas import Schemas
from tasks.discovery.engine.sources.structured_text import read_json
from tasks.discovery.tool import MAX_DESCRIPTION_CHARS, Effect, JSONSchema, PageToolCall, Source, Tool

MAX_TOOLS = 100
_PRIOR = 0.97
_MAX_NAME_CHARS = 500


def find_tools(site: Site) -> list[Tool]:
    """Return the tools that the site's pages register, each once however many pages have it."""
    names = Names()
    tools: dict[str, Tool] = {}
    for snapshot in site.snapshots:
        for given in snapshot.declared:
            declared = _storable(given)
            if declared.name != given.name:  # the page would not know the tool by it
                continue
            is_ours = declared.is_imperative and 0 < len(declared.name) <= _MAX_NAME_CHARS
            if is_ours and declared.name not in tools and len(tools) < MAX_TOOLS:
                tools[declared.name] = _tool(declared, snapshot, site=site.origin, names=names)
    return list(tools.values())


def _storable(declared: DeclaredTool) -> DeclaredTool:
    """Return the tool as JSON can say it: without NUL, halves of surrogate pairs, and numbers that are none."""
    parts = [declared.name, declared.description, declared.title, declared.input_schema, declared.annotations]
    try:
        kept = read_json(json.dumps(parts, default=str))
    except (ValueError, RecursionError):
        kept = None
    name, description, title, schema, hints = kept or ["", "", "", {}, None]
    return DeclaredTool(name, description, schema, title, hints, is_imperative=declared.is_imperative)


def _tool(declared: DeclaredTool, snapshot: Snapshot, *, site: str, names: Names) -> Tool:
    hints = declared.annotations or {}
    effect = _effect(declared, hints)
    return Tool(
        name=names.take(declared.name),
        title=_one_line(declared.title or str(hints.get("title") or ""))[:200],
        description=_one_line(declared.description)[:MAX_DESCRIPTION_CHARS],
        site=site,
        found_on=snapshot.page.url,
        source=Source.WEBMCP,
        purpose="webmcp",
        effect=effect,
        is_idempotent=effect is Effect.READ or hints.get("idempotentHint") is True,
        call=PageToolCall(page_url=snapshot.page.url, tool_name=declared.name),
        input_schema=_input_schema(declared.input_schema),
        prior=_PRIOR,
        evidence=("Registered by the page (WebMCP)", *_hinted(hints)),
    )


def _effect(declared: DeclaredTool, hints: dict[str, Any]) -> Effect:
    """Return what it does: as it says itself, unless its words are graver."""
    first_sentence = _one_line(declared.description).partition(". ")[0]
    by_words = effect_of("POST", declared.name, declared.title, first_sentence)
    if hints.get("destructiveHint") is True or by_words is Effect.DESTROY:
        return Effect.DESTROY
    match hints.get("readOnlyHint"):
        case True if not ends_session(declared.name, declared.title, first_sentence):
            return Effect.READ
        case False:
            return Effect.WRITE
    return by_words


def _hinted(hints: dict[str, Any]) -> list[str]:
    known = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint", "untrustedContentHint")
    return [f"It says {name}: {str(hints[name]).lower()}" for name in known if isinstance(hints.get(name), bool)]


def _input_schema(raw: Any) -> JSONSchema:
    """Return the page's schema as a valid one of an object; what is malformed or refers elsewhere allows anything."""
    if not isinstance(raw, dict):
        raw = {}

    def resolve(uri: str) -> Any:
        path = uri.partition("#/")[2].split("/") if uri.startswith("#/") else [] if uri == "#" else None
        found: Any = raw if path is not None else None
        for part in path or ():
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found

    schema = Schemas(resolve).schema(raw)
    if schema.setdefault("type", "object") != "object":
        return {"$schema": schema["$schema"], "type": "object", "properties": {}}
    return schema if isinstance(schema.get("properties"), dict) else {**schema, "properties": {}}


def _one_line(text: str) -> str:
    return " ".join(text[:4000].split())
