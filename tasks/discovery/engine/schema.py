"""From the controls of a form to the JSON Schema (2020-12) of what a caller may send.

The shape follows what Chromium compiles for WebMCP's declarative tools, and says more where HTML says more: lengths,
anchored patterns, defaults, suggestions, passwords and files.
"""

import re
import unicodedata
from typing import Any

from tasks.discovery.engine.html_pattern import json_schema_pattern
from tasks.discovery.engine.numbers import number_rules
from tasks.discovery.engine.page import Control, Form, Option

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_NAME_CHARS = 100
MAX_DESCRIPTION_CHARS = 500
MAX_EXAMPLES = 20

Schema = dict[str, Any]

# JSON Schema's own formats where they mean the same; its "time" demands an offset, which a form's time never has.
_FORMATS = {"email": "email", "url": "uri", "date": "date"}
_MINUTES = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,3})?)?"
_PATTERNS = {
    "color": r"^#[0-9A-Fa-f]{6}$",
    "month": r"^[0-9]{4,}-(0[1-9]|1[0-2])$",
    "week": r"^[0-9]{4,}-W(0[1-9]|[1-4][0-9]|5[0-3])$",
    "time": rf"^{_MINUTES}$",
    "datetime-local": rf"^[0-9]{{4,}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]{_MINUTES}$",
}
_LENGTHS = frozenset({"text", "search", "url", "tel", "email", "password", "textarea"})
_PATTERNED = _LENGTHS - {"textarea"}
_TOKEN_NAME = re.compile(
    r"csrf|xsrf|authenticity_token|requestverificationtoken|(^|[_\-.\[])nonce\b|^_token$|__viewstate|__eventvalidation",
    re.IGNORECASE,
)


def is_token_name(name: str) -> bool:
    """Whether a field of this name holds a token against forgery."""
    return bool(_TOKEN_NAME.search(name))


def fillable(form: Form) -> dict[str, tuple[Control, ...]]:
    """Return the controls that a caller may set, by the name they send, in the order of the document.

    Left out is what a person could not set either (hidden, unless a widget in sight fills it in, disabled, read-only,
    without a name), what is pressed, and tokens against forgery, which are read anew for each run.
    """
    groups: dict[str, tuple[Control, ...]] = {}
    for control in form.fields:
        is_settable = control.name and not control.is_disabled and not control.is_readonly
        if is_settable and not is_token_name(control.name):
            groups[control.name] = (*groups.get(control.name, ()), control)
    return groups


def input_schema(form: Form) -> Schema:
    """Return the schema of an object with one property per name that the form sends."""
    groups = fillable(form)
    schema: Schema = {
        "$schema": DIALECT,
        "type": "object",
        "properties": {name: property_schema(controls) for name, controls in groups.items()},
        "additionalProperties": False,
    }
    required = [name for name, controls in groups.items() if any(control.is_required for control in controls)]
    if required:
        schema["required"] = required
    return schema


def property_schema(controls: tuple[Control, ...]) -> Schema:
    """Return the schema of what controls of one name send together."""
    kinds = {control.type for control in controls}
    if kinds == {"radio"}:
        return _radio_group(controls)
    if kinds == {"checkbox"}:
        return _checkbox(controls[0]) if len(controls) == 1 else _checkbox_group(controls)
    if len(controls) == 1:
        return _described(_single(controls[0]), describe(controls[0]))
    several = {"type": "array", "items": _without_default(_single(controls[0])), "maxItems": len(controls)}
    return _described(several, describe(controls[0]))


def tool_name(text: str, *, fallback: str = "form") -> str:
    """Return a name of 1 to 100 of ``[a-z0-9_-]`` made from the text, or from the fallback where nothing is left."""
    for candidate in (text, fallback):
        plain = unicodedata.normalize("NFKD", candidate).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9-]+", "_", plain).strip("_-")[:MAX_NAME_CHARS].rstrip("_-")
        if name:
            return name
    return "tool"


def describe(control: Control) -> str:
    """Return what the page tells a person about the control: its label first, then whatever adds to it."""
    parts: list[str] = []
    nearby = control.text_after if control.is_checkable else control.text_before
    first = (
        control.tool_description
        or control.label
        or control.description
        or control.title
        or control.placeholder
        or control.legend
        or nearby
    )
    for part in (first, control.label, control.description, control.title, control.placeholder):
        if part and not any(part.casefold() in known.casefold() for known in parts):
            parts.append(part)
    return ". ".join(part.rstrip(" .:*") for part in parts)[:MAX_DESCRIPTION_CHARS]


def _single(control: Control) -> Schema:
    match control.type:
        case "select-one" | "select-multiple":
            return _select(control)
        case "number" | "range":
            return number_rules(control)
        case "file":
            return _file(control)
        case _:
            return _text(control)


def _text(control: Control) -> Schema:
    schema: Schema = {"type": "string"}
    if control.type in _FORMATS:
        schema["format"] = _FORMATS[control.type]
    if control.type in _PATTERNS:
        schema |= {"pattern": _PATTERNS[control.type], "x-control": control.type}
    if control.type == "password":
        schema |= {"format": "password", "writeOnly": True}
    if control.type in ("date", "month", "week", "time", "datetime-local"):
        # No vocabulary of 2020-12 orders dates; these two are what validators that do call it.
        schema |= {
            key: bound for key, bound in (("formatMinimum", control.min), ("formatMaximum", control.max)) if bound
        }
    if control.type in _LENGTHS:
        schema |= _lengths(control)
    pattern = json_schema_pattern(control.pattern) if control.type in _PATTERNED else None
    if pattern is not None:
        schema["pattern"] = pattern
    if control.type == "email" and control.is_multiple:
        return (
            {"type": "array", "items": schema, "minItems": 1}
            if control.is_required
            else {"type": "array", "items": schema}
        )
    if control.options:
        schema["examples"] = list(dict.fromkeys(option.value for option in control.options))[:MAX_EXAMPLES]
    if control.value and control.type != "password" and _fits(schema, control.value):
        schema["default"] = control.value
    return schema


def _lengths(control: Control) -> Schema:
    least = max(control.min_length or 0, int(control.is_required))
    schema: Schema = {}
    if control.max_length is not None and control.max_length >= least:
        schema["maxLength"] = control.max_length
    if least:
        schema["minLength"] = least
    return schema


def _file(control: Control) -> Schema:
    schema: Schema = {"type": "string", "contentEncoding": "base64", "format": "binary", "x-control": "file"}
    if control.accept:
        schema["x-accept"] = control.accept
        if re.fullmatch(r"[\w.+-]+/[\w.+-]+", control.accept):
            schema["contentMediaType"] = control.accept
    if not control.is_multiple:
        return schema
    return {"type": "array", "items": schema} | ({"minItems": 1} if control.is_required else {})


def _select(control: Control) -> Schema:
    options = [option for option in control.options if not option.is_disabled]
    if control.type == "select-multiple":
        chosen = [option.value for option in options if option.is_selected]
        return _many(_choices(options), default=chosen, is_required=control.is_required)
    # "Pick one…": of a required select, the first option without a value is no choice.
    is_prompted = control.is_required and bool(control.options) and control.options[0].value == ""
    schema = _choices([option for option in options if not is_prompted or option is not control.options[0]])
    selected = [option.value for option in control.options if option.is_selected] or [o.value for o in options[:1]]
    if selected and selected[-1] in schema.get("enum", ()):
        schema["default"] = selected[-1]
    return schema


def _radio_group(controls: tuple[Control, ...]) -> Schema:
    schema = _choices([Option(value=control.value, label=_caption(control)) for control in controls])
    checked = [control.value for control in controls if control.is_checked]
    if checked:
        schema["default"] = checked[-1]
    return _described(schema, controls[0].legend or (_caption(controls[0]) if len(controls) == 1 else ""))


def _checkbox(control: Control) -> Schema:
    schema: Schema = {"type": "boolean"}
    if control.is_required:
        schema["const"] = True  # the browser sends the form only with the box ticked
    else:
        schema["default"] = control.is_checked
    return _described(schema, describe(control))


def _checkbox_group(controls: tuple[Control, ...]) -> Schema:
    choices = _choices([Option(value=control.value, label=_caption(control)) for control in controls])
    checked = [control.value for control in controls if control.is_checked]
    schema = _many(choices, default=checked, is_required=any(control.is_required for control in controls))
    return _described(schema, controls[0].legend)


def _many(choices: Schema, *, default: list[str], is_required: bool) -> Schema:
    schema: Schema = {"type": "array", "items": choices, "uniqueItems": True}
    if is_required:
        schema["minItems"] = 1
    if default:
        schema["default"] = list(dict.fromkeys(default))
    return schema


def _choices(options: list[Option]) -> Schema:
    """Return an enumeration whose values carry the words a person reads. Equal values count once."""
    titles: dict[str, str] = {}
    for option in options:
        label = f"{option.group}: {option.label}" if option.group else option.label
        titles.setdefault(option.value, label)
    if not titles:  # filled by a script later on
        return {"type": "string"}
    schema: Schema = {"type": "string", "enum": list(titles)}
    if any(titles.values()):
        schema["oneOf"] = [
            {"const": value, "title": title} if title else {"const": value} for value, title in titles.items()
        ]
    return schema


def _caption(control: Control) -> str:
    return (control.label or control.title or control.text_after)[:MAX_DESCRIPTION_CHARS]


def _described(schema: Schema, description: str) -> Schema:
    return schema | {"description": description} if description else schema


def _without_default(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "default"}


def _fits(schema: Schema, value: str) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    try:
        return re.search(schema.get("pattern", ""), value) is not None
    except re.error:  # a JavaScript pattern that Python does not know
        return False
