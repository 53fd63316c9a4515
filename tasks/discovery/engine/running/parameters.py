"""From a ``RequestCall`` and arguments to the bytes of a request.

Source: OpenAPI 3.1.1, 4.8.12 (styles, after RFC 6570); RFC 6901 (JSON Pointer); RFC 3986, 2.3 (unreserved characters).
"""

import base64
import binascii
import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tasks.core.errors import InputRejected
from tasks.discovery.engine.running.encoding import MULTIPART, URLENCODED, WireRequest, encode_body
from tasks.discovery.engine.running.filling import as_text
from tasks.discovery.engine.running.form_members import member_entries
from tasks.discovery.tool import JSONSchema, Place, RequestCall, Slot

_JSON = "application/json"
_DELIMITERS = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}
# What the connection itself says; a parameter that says it would split the request or lead it elsewhere.
_CONNECTION_HEADERS = frozenset(
    {"connection", "content-length", "cookie", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Of the array that a pointer may reach into.
_MAX_INDEX = 1000


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """The request, and the cookies to send with it beside those of the session."""

    request: WireRequest
    cookies: dict[str, str] = field(default_factory=dict)


def call_request(call: RequestCall, arguments: dict[str, Any], *, schema: JSONSchema) -> PreparedRequest:
    """Return what the call sends for ``arguments``; what they leave out is left out.

    Raises:
        InputRejected: a value cannot stand where it goes.
    """
    given = [(slot, arguments[slot.input]) for slot in call.slots if slot.input in arguments]

    def at(place: Place) -> list[tuple[Slot, Any]]:
        return [(slot, value) for slot, value in given if slot.place is place]

    headers = [(name, value) for name, value in call.headers if name.lower() != "cookie"]
    headers += [(_name(slot), _header(slot, value)) for slot, value in at(Place.HEADER)]
    media_type, body = _body(call, at, schema=schema)
    if media_type:
        headers = [pair for pair in headers if pair[0].lower() != "content-type"] + [("Content-Type", media_type)]
    cookies = {_name(slot): quote(_simple(value, explode=False), safe="%,=") for slot, value in at(Place.COOKIE)}
    url = _with_query(_with_path(call.url, at(Place.PATH)), call.query, at(Place.QUERY))
    return PreparedRequest(WireRequest(call.method.upper(), url, tuple(headers), body), cookies)


def _name(slot: Slot) -> str:
    return slot.name or slot.input


def _with_path(url: str, given: Iterable[tuple[Slot, Any]]) -> str:
    path, mark, rest = url.partition("?")
    for slot, value in given:
        text = _in_path(slot, value)
        if not text or text in (".", ".."):
            raise InputRejected(f"{slot.input} = {text!r} cannot be a part of a path: send another.", field=slot.input)
        path = path.replace(f"{{{_name(slot)}}}", text)
    if missing := re.search(r"\{([^{}/]+)\}", path):
        raise InputRejected(f"{missing[1]}: missing, the address needs it.", field=missing[1])
    return path + mark + rest


def _in_path(slot: Slot, value: Any) -> str:
    name = _encoded(_name(slot))
    match slot.style:
        case "label":
            return "." + _simple(value, explode=slot.explode, joint="." if slot.explode else ",")
        case "matrix" if slot.explode and isinstance(value, list):
            return "".join(f";{name}={_encoded(each)}" for each in value)
        case "matrix" if slot.explode and isinstance(value, dict):
            return "".join(f";{_encoded(key)}={_encoded(each)}" for key, each in value.items())
        case "matrix":
            text = _simple(value, explode=False)
            return f";{name}={text}" if text else f";{name}"
        case _:
            return _simple(value, explode=slot.explode)


def _simple(value: Any, *, explode: bool, joint: str = ",") -> str:
    match value:
        case list():
            return joint.join(map(_encoded, value))
        case dict() if explode:
            return joint.join(f"{_encoded(key)}={_encoded(each)}" for key, each in value.items())
        case dict():
            return joint.join(_encoded(part) for pair in value.items() for part in pair)
        case _:
            return _encoded(value)


def _with_query(url: str, fixed: Iterable[tuple[str, str]], given: Iterable[tuple[Slot, Any]]) -> str:
    url = url.partition("#")[0]
    pieces = [f"{_encoded(name)}={_encoded(value)}" for name, value in fixed]
    for slot, value in given:
        pieces += _in_query(slot, value)
    if not pieces:
        return url
    separator = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{separator}{'&'.join(pieces)}"


def _in_query(slot: Slot, value: Any) -> list[str]:
    name = _encoded(_name(slot))
    if slot.style == "deepObject" and isinstance(value, dict):
        return [f"{name}%5B{_encoded(key)}%5D={_encoded(each)}" for key, each in value.items()]
    if slot.explode and slot.style not in _DELIMITERS:
        if isinstance(value, list):
            return [f"{name}={_encoded(each)}" for each in value]
        if isinstance(value, dict):
            return [f"{_encoded(key)}={_encoded(each)}" for key, each in value.items()]
    joint = _DELIMITERS.get(slot.style, ",")
    return [f"{name}={_simple(value, explode=False, joint=joint)}"]


def _header(slot: Slot, value: Any) -> str:
    if _name(slot).lower() in _CONNECTION_HEADERS or not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", _name(slot), re.ASCII):
        raise InputRejected(f"{slot.input} would set the header {_name(slot)[:60]!r}, which no caller may.")
    pieces: list[str]
    match value:
        case list():
            pieces = [as_text(each) for each in value]
        case dict():
            joint = "=" if slot.explode else ","
            pieces = [f"{key}{joint}{as_text(each)}" for key, each in value.items()]
        case _:
            pieces = [as_text(value)]
    text = ",".join(pieces)
    if not _HEADER_TEXT.fullmatch(text):
        raise InputRejected(f"{slot.input} cannot stand in a header: send Latin text in one line.", field=slot.input)
    return text


def _body(call: RequestCall, at: Any, *, schema: JSONSchema) -> tuple[str, bytes]:
    whole, members, fields = at(Place.BODY), at(Place.JSON), at(Place.FORM)
    if whole:
        slot, value = whole[0]
        return _whole_body(call, value, rules=schema.get("properties", {}).get(slot.input, {}), field_=slot.input)
    if fields or call.media_type.startswith((URLENCODED, MULTIPART)):
        enctype = (call.media_type or URLENCODED).partition(";")[0]
        fixed = call.body.items() if isinstance(call.body, dict) else ()
        entries = [(name, as_text(value)) for name, value in fixed]
        return encode_body(
            [*entries, *member_entries(fields, schema=schema, enctype=enctype)], enctype=enctype, charset="UTF-8"
        )
    if members or call.body is not None:
        return call.media_type or _JSON, _json(_with_members(call.body, members))
    return "", b""


def _whole_body(call: RequestCall, value: Any, *, rules: JSONSchema, field_: str) -> tuple[str, bytes]:
    is_json = "json" in call.media_type
    if isinstance(value, str) and rules.get("contentEncoding") == "base64":
        try:
            return call.media_type or "application/octet-stream", base64.b64decode(value, validate=True)
        except binascii.Error:
            raise InputRejected(f"{field_} is not base64: send the bytes in it.", field=field_) from None
    if isinstance(value, str) and call.media_type and not is_json:
        return call.media_type, value.encode("utf-8", "replace")
    return call.media_type or _JSON, _json(value)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _with_members(fixed: Any, given: Iterable[tuple[Slot, Any]]) -> Any:
    body = copy.deepcopy(fixed)
    for slot, value in given:
        pointer = slot.pointer or f"/{_name(slot).replace('~', '~0').replace('/', '~1')}"
        body = _put(body, [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]], value)
    return body


def _put(node: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(node, list):
        at = len(node) if key == "-" else int(key) if key.isdecimal() else -1
        if not 0 <= at <= min(len(node), _MAX_INDEX):
            raise InputRejected(f"The body has no place {key[:40]!r} in its list.")
        node.extend([None] if at == len(node) else [])
        node[at] = _put(node[at], rest, value)
        return node
    parent: dict[str, Any] = node if isinstance(node, dict) else {}
    parent[key] = _put(parent.get(key), rest, value)
    return parent


def _encoded(value: Any) -> str:
    return quote(as_text(value), safe="", errors="replace")
