"""HTML's form submission: from the controls as they stand to the bytes of a request.

Source: HTML standard, 4.10.21.4 (constructing the entry list), 4.10.21.5 to 4.10.21.8 (the three encodings); URL
standard, 5.2 (application/x-www-form-urlencoded serializing). Chromium's choices where the standard leaves one.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.core.errors import Permanent
from tasks.discovery.engine.running.charsets import encode
from tasks.discovery.engine.running.filling import FilePart, Filled
from tasks.discovery.tool import FormCall

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
PLAIN = "text/plain"

_NOT_SENT = frozenset({"reset", "button"})
_DIRECTED = frozenset({"text", "search", "tel", "url", "email", "textarea", "password", "hidden"})
_LONE_NEWLINE = re.compile(r"\r\n|\r|\n")
# The bytes that stand for themselves; a space is a plus sign.
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-._")
_EMPTY_FILE = FilePart("", "application/octet-stream", b"")
_UTF_16 = ("utf-16le", "utf-16be", "utf-16")


@dataclass(frozen=True, slots=True)
class TypedText:
    """A text that says what it is, where the encoding has room for that: in multipart."""

    text: str
    media_type: str


Entry = tuple[str, str | TypedText | FilePart]


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it goes out. ``headers`` are those that the call itself asks for."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def form_request(call: FormCall, filled: Sequence[Filled]) -> WireRequest:
    """Return the request that sending the form ends in.

    Raises:
        Permanent: the form is not sent over HTTP, or not by a method that forms have.
    """
    entries = entry_list(call, filled)
    path, mark, query = call.url.partition("#")[0].partition("?")
    # Chromium encodes it, the URL standard does not.
    path = path.replace("|", "%7C")
    match call.method.upper():
        case "GET":
            sent = urlencoded(entries, charset=_charset(call)).decode("ascii")
            return WireRequest("GET", f"{path}?{sent}")
        case "POST":
            media_type, body = encode_body(entries, enctype=call.enctype, charset=_charset(call))
            return WireRequest("POST", path + mark + query, (("Content-Type", media_type),), body)
        case other:
            raise Permanent(f"A form with the method {other[:20]!r} sends nothing.")


def entry_list(call: FormCall, filled: Iterable[Filled]) -> list[Entry]:
    """Return the names and values that the form sends, in order; the button that sends it is one of them."""
    entries: list[Entry] = []
    has_button = False
    for control in filled:
        field = control.field
        if field.type in ("submit", "image"):
            is_pressed = not has_button and (field.name, field.value) == (call.submit_name, call.submit_value)
            if not is_pressed:
                continue
            has_button = True
        if not field.is_disabled:
            entries += _entries_of(control, charset=_charset(call))
    if not has_button and call.submit_name:
        entries.append((call.submit_name, call.submit_value))
    return entries


def encode_body(entries: Iterable[Entry], *, enctype: str, charset: str) -> tuple[str, bytes]:
    """Return the Content-Type and the body of a POST."""
    match enctype.lower():
        case "multipart/form-data":
            boundary = f"----SwitchyardFormBoundary{secrets.token_hex(12)}"
            return f"{MULTIPART}; boundary={boundary}", multipart(entries, boundary=boundary, charset=charset)
        case "text/plain":
            lines = (f"{_normal(name)}={_normal(_text(value))}\r\n" for name, value in entries)
            return PLAIN, encode("".join(lines), charset)
        case _:
            return URLENCODED, urlencoded(entries, charset=charset)


def urlencoded(entries: Iterable[Entry], *, charset: str = "UTF-8") -> bytes:
    """Return ``name=value`` pairs; a file counts with its name alone."""
    return b"&".join(_quoted(name, charset) + b"=" + _quoted(_text(value), charset) for name, value in entries)


def multipart(entries: Iterable[Entry], *, boundary: str, charset: str = "UTF-8") -> bytes:
    """Return a part for each entry."""
    edge = b"--" + boundary.encode("ascii")
    pieces: list[bytes] = []
    for name, value in entries:
        disposition = b'Content-Disposition: form-data; name="' + _escaped(_normal(name), charset) + b'"'
        if isinstance(value, FilePart):
            disposition += b'; filename="' + _escaped(value.name, charset) + b'"'
            disposition += b"\r\nContent-Type: " + value.media_type.encode("ascii", "replace")
            content = value.content
        else:
            content = encode(_normal(_text(value)), charset)
        if isinstance(value, TypedText):
            disposition += b"\r\nContent-Type: " + value.media_type.encode("ascii", "replace")
        pieces += (edge, b"\r\n", disposition, b"\r\n\r\n", content, b"\r\n")
    return b"".join((*pieces, edge, b"--\r\n"))


def _charset(call: FormCall) -> str:
    """Return what the form is sent in: never UTF-16, whatever the page is in."""
    return "UTF-8" if call.charset.lower() in _UTF_16 else call.charset


def _entries_of(control: Filled, *, charset: str) -> list[Entry]:
    field, name = control.field, control.field.name
    if field.type == "image":
        # Where it was pressed: at its corner, as with the keyboard.
        prefix = f"{name}." if name else ""
        return [(f"{prefix}x", "0"), (f"{prefix}y", "0")]
    if not name or field.type in _NOT_SENT:
        return []
    if field.type in ("checkbox", "radio"):
        return [(name, field.value)] if control.is_on else []
    if field.type == "select-multiple":
        return [(name, value) for value in control.chosen]
    if field.type == "file":
        return [(name, part) for part in control.files or (_EMPTY_FILE,)]
    if field.type == "hidden" and name.lower() == "_charset_":
        return [(name, charset)]
    entries: list[Entry] = [(name, control.text)]
    if field.dirname and field.type in _DIRECTED:
        entries.append((field.dirname, "ltr"))
    return entries


def _text(value: str | TypedText | FilePart) -> str:
    match value:
        case FilePart():
            return value.name
        case TypedText():
            return value.text
        case _:
            return value


def _normal(text: str) -> str:
    """Return the text with every newline as CRLF."""
    return _LONE_NEWLINE.sub("\r\n", text)


def _quoted(text: str, charset: str) -> bytes:
    return b"".join(
        bytes((byte,)) if byte in _UNRESERVED else b"+" if byte == 0x20 else b"%%%02X" % byte
        for byte in encode(_normal(text), charset)
    )


def _escaped(text: str, charset: str) -> bytes:
    quoted = encode(text, charset).replace(b"\r", b"%0D").replace(b"\n", b"%0A")
    return quoted.replace(b'"', b"%22")
