"""What the arguments of a run do to each control of a form, before anything is encoded or clicked."""

import base64
import binascii
import json
import mimetypes
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import InputRejected
from tasks.discovery.tool import FormCall, FormField, JSONSchema

Arguments = dict[str, Any]

_ONE_LINE = frozenset({"text", "search", "tel", "password", "url", "email"})
_NEWLINES = re.compile(r"[\r\n]")
_DEFAULT_MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file to send."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Filled:
    """A control as it stands when the form is sent. ``is_set``: the caller said so; otherwise it is as the page has it.

    ``text`` of what is typed or chosen alone, ``is_on`` of a checkbox or radio, ``chosen`` of a select-multiple in the
    order of its options, ``files`` of a file input.
    """

    field: FormField
    is_set: bool = False
    text: str = ""
    is_on: bool = False
    chosen: tuple[str, ...] = ()
    files: tuple[FilePart, ...] = ()


def fill(call: FormCall, arguments: Arguments, *, schema: JSONSchema) -> list[Filled]:
    """Return every control of the form, in the order of the document, as ``arguments`` leave it.

    Raises:
        InputRejected: a file is no base64, or more values came than there are controls.
    """
    sharing: dict[str, list[FormField]] = defaultdict(list)
    for field in call.fields:
        sharing[field.input].append(field)
    for name, value in arguments.items():
        _check_count(name, value, sharing.get(name, []))
    return [_filled(field, arguments, sharing=sharing[field.input], schema=schema) for field in call.fields]


def as_text(value: object) -> str:
    """Return a JSON value as a form or a query carries it: numbers as JavaScript writes them."""
    match value:
        case str():
            return value
        case bool() | None:
            return json.dumps(value)
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        case float():
            return re.sub(r"e([+-])0*(\d)", r"e\1\2", repr(value))
        case int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def file_parts(value: object, *, schema: JSONSchema, input_name: str) -> tuple[FilePart, ...]:
    """Return the file or files that base64 text stands for; their names and types are what the schema lets guess.

    Raises:
        InputRejected: no base64.
    """
    is_list = isinstance(value, list)
    rules = schema.get("items", schema) if is_list else schema
    values: list[object] = list(value) if isinstance(value, list) else [value]
    return tuple(_file(each, rules, f"{input_name}.{at}" if is_list else input_name) for at, each in enumerate(values))


def _filled(field: FormField, arguments: Arguments, *, sharing: list[FormField], schema: JSONSchema) -> Filled:
    if not field.input or field.input not in arguments:
        return Filled(field, text=field.value, is_on=field.is_checked, chosen=field.chosen)
    value = arguments[field.input]
    match field.type:
        case "checkbox":
            return Filled(field, is_set=True, is_on=field.value in value if isinstance(value, list) else bool(value))
        case "radio":
            return Filled(field, is_set=True, is_on=field.value == as_text(value))
        case "select-multiple":
            return Filled(field, is_set=True, chosen=_in_order(value, field.options))
        case "file":
            rules = schema.get("properties", {}).get(field.input, {})
            return Filled(field, is_set=True, files=file_parts(value, schema=rules, input_name=field.input))
        case _:
            return _typed(field, value, sharing=sharing)


def _typed(field: FormField, value: object, *, sharing: list[FormField]) -> Filled:
    if isinstance(value, list):
        if len(sharing) == 1:  # an email input that takes several
            return Filled(field, is_set=True, text=_sanitized(field.type, ",".join(map(as_text, value))))
        at = sharing.index(field)
        if at >= len(value):
            return Filled(field, text=field.value)
        value = value[at]
    return Filled(field, is_set=True, text=_sanitized(field.type, as_text(value)))


def _sanitized(kind: str, text: str) -> str:
    """Return what the control holds after ``text`` was put in (HTML's value sanitization algorithms)."""
    if kind in _ONE_LINE:
        text = _NEWLINES.sub("", text)
    if kind in ("url", "email"):
        return text.strip("\t\n\f\r ")
    if kind == "color":
        return text.lower()
    if kind == "datetime-local":
        # "Normalized": a T, and the shortest time that says the same.
        return re.sub(r"(\.\d*?)0+$|(?<=:\d\d):00(\.0*)?$", lambda found: (found[1] or "").rstrip("."), _with_t(text))
    return text


def _with_t(text: str) -> str:
    return text.replace(" ", "T", 1)


def _in_order(value: object, options: tuple[str, ...]) -> tuple[str, ...]:
    wanted = [as_text(each) for each in value] if isinstance(value, list) else [as_text(value)]
    if not options:
        return tuple(wanted)
    left = list(wanted)
    chosen = []
    for option in options:
        if option in left:
            left.remove(option)
            chosen.append(option)
    return tuple(chosen)


def _check_count(name: str, value: object, sharing: list[FormField]) -> None:
    takes_many = {"checkbox", "select-multiple", "file", "email"}
    is_typed = sharing and not any(field.type in takes_many for field in sharing)
    if isinstance(value, list) and is_typed and len(value) > len(sharing):
        raise InputRejected(
            f"{name} has {len(value)} values, but the form takes {len(sharing)}: send no more.", field=name
        )


def _file(value: object, rules: JSONSchema, input_name: str) -> FilePart:
    try:
        content = base64.b64decode(as_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise InputRejected(f"{input_name} is not base64: send the file's bytes in it.", field=input_name) from None
    media_type, suffix = _media_type(rules)
    return FilePart(f"upload{suffix}", media_type, content)


def _media_type(rules: JSONSchema) -> tuple[str, str]:
    named = str(rules.get("contentMediaType") or "")
    if re.fullmatch(r"[\w.+-]+/[\w.+-]+", named):
        return named, mimetypes.guess_extension(named) or ".bin"
    first = str(rules.get("x-accept") or "").split(",")[0].strip()
    if re.fullmatch(r"\.\w+", first):
        return mimetypes.guess_type(f"a{first}")[0] or _DEFAULT_MEDIA_TYPE, first
    return _DEFAULT_MEDIA_TYPE, ".bin"
