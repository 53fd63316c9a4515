"""A form on the page of one thing is a tool for each of its kind: changing book 3 is changing a book."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from tasks.discovery.engine.act_words import says_act
from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.endpoint_inputs import singular
from tasks.discovery.engine.endpoints import clear_kind
from tasks.discovery.engine.inference import text_schema
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.schema import MAX_DESCRIPTION_CHARS, tool_name
from tasks.discovery.engine.sources.addresses import list_name
from tasks.discovery.engine.sources.templates import Template
from tasks.discovery.tool import Effect, FormCall, JSONSchema, Tool

_TELLING_CHARS = 3
# What a form on the page of one thing is not, however much it looks like it.
_WITHOUT_THING = frozenset({"login", "registration", "password/login recovery", "join mailing list"})


def of_any_item(tool: Tool, templates: Sequence[Template], *, names: Names) -> Tool:
    """Return the tool with an input for the thing, where its form's page is one of many and it sends to that page.

    What the form holds of this one thing is no default for another, and its name none for a tool that serves all.
    """
    call = tool.call
    if not isinstance(call, FormCall) or call.frame_url:
        return tool
    page, target = urlsplit(call.page_url), urlsplit(call.url)
    template = next((one for one in templates if _is_one_of(one, page.path)), None)
    if template is None or template.value_in(page.path) != _value_at(template, target.path):
        return tool
    value = template.value_in(page.path)
    name = _free_name(tool.input_schema)
    at = len(template.before)
    open_call = call.model_copy(
        update={"page_url": _opened(call.page_url, at=at, name=name), "url": _opened(call.url, at=at, name=name)}
    )
    rules = text_schema(template.values) | {"description": "Which one, as links to its page say"}
    is_number = value is not None and rules.get("type") == "integer" and value.isdigit()
    typed: Any = int(value) if is_number and value is not None else value
    title = _title(tool, template)
    is_named = title != tool.title
    return tool.model_copy(
        update={
            "title": title,
            "name": names.take(tool_name(title, fallback=tool.name)) if is_named else tool.name,
            "description": tool.description.replace(tool.title, title, 1)[:MAX_DESCRIPTION_CHARS],
            "call": open_call,
            "input_schema": _schema(tool.input_schema, name, rules),
            "examples": tuple({name: typed, **example} for example in tool.examples) or ({name: typed},),
            "evidence": (*tool.evidence, f"Its page is one of {len(template.values)} that are alike.")[:20],
        }
    )


def _is_one_of(template: Template, path: str) -> bool:
    """Whether the page at ``path`` is one of the many: /pages/search is none of /pages/3 and /pages/7."""
    value = template.value_in(path)
    return value is not None and (value in template.values or (template.is_clear and bool(clear_kind(value))))


def _title(tool: Tool, template: Template) -> str:
    """Return a title that does not name the one thing whose page was seen, nor hides that it deletes."""
    texts = [_plain(text) for text in template.texts]
    names_thing = any(len(text) >= _TELLING_CHARS and _plain(tool.title).startswith(text) for text in texts)
    hides = tool.effect is Effect.DESTROY and effect_of("POST", tool.title) is not Effect.DESTROY
    # The heading of its first field, mostly. What only a script sends, without a button, is not what the page is for.
    says_nothing = not says_act(tool.title, purpose=tool.purpose) and _has_button(tool)
    if not (names_thing or hides or says_nothing or tool.purpose in _WITHOUT_THING):
        return tool.title
    *before, last = ["", *template.before]
    # /books/edit/3 edits a book.
    does = " ".join(template.after) or (last if before and says_act(last) else "change")
    of_thing = "/".join(before if does == last else template.before)
    thing = singular(list_name(of_thing, title="")) or "item"
    return re.sub(r"[\W_]+", " ", f"{does} {thing}").strip().capitalize()[:200]


def _has_button(tool: Tool) -> bool:
    return isinstance(tool.call, FormCall) and any(field.type in ("submit", "image") for field in tool.call.fields)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()


def _value_at(template: Template, path: str) -> str | None:
    """Return what stands in the template's place of a path that begins like it."""
    segments = [part for part in path.split("/") if part]
    at = len(template.before)
    is_below = tuple(segments[:at]) == template.before and len(segments) > at
    return segments[at] if is_below else None


def _opened(url: str, *, at: int, name: str) -> str:
    parts = urlsplit(url)
    pieces = parts.path.split("/")
    pieces[at + 1] = f"{{{name}}}"
    return parts._replace(path="/".join(pieces)).geturl()


def _free_name(schema: JSONSchema) -> str:
    taken = schema.get("properties", {})
    return next(name for name in ("id", "item_id", "page_item_id", "address_item_id") if name not in taken)


def _schema(schema: JSONSchema, name: str, rules: JSONSchema) -> JSONSchema:
    properties = schema.get("properties", {})
    held = {key for key, one in properties.items() if "default" in one}
    plain = {key: {word: value for word, value in one.items() if word != "default"} for key, one in properties.items()}
    required = [name, *(key for key in schema.get("required", ()) if key not in held)]
    return {**schema, "properties": {name: rules, **plain}, "required": required}
