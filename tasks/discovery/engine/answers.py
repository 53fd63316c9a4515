"""What a site answered, as text. Source: HTML standard, 13.2.3.2 (finding the encoding), shortened."""

import codecs
import re
from dataclasses import dataclass

MAX_TEXT_CHARS = 2_000_000

_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_PARAMETER = re.compile(r"charset\s*=\s*\"?([\w.:-]{2,40})", re.IGNORECASE)
_LOOKED_AT_BYTES = 2048
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_TEXT_TYPES = re.compile(r"text/|.*[/+](json|xml)$|application/(javascript|x-ndjson|graphql)", re.IGNORECASE)
# Python knows more codecs than the web has charsets; some of those are slow, or no charsets at all.
_WEB_CODECS = re.compile(r"utf-(8|16)|cp\d|iso8859|koi8|mac|gb|big5|euc|shift_jis|iso2022_jp|tis|ascii|hz")
# As the encoding standard reads these labels.
_WIDENED = {"iso-8859-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252", "shift_jis": "cp932"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer of a run. ``text`` is bounded, and empty for what is no text."""

    status: int
    url: str
    media_type: str
    text: str


def media_type_of(content_type: str) -> str:
    """Return the type alone, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def decode(body: bytes, content_type: str) -> str:
    """Return the text of a body, or nothing where it is none."""
    media_type = media_type_of(content_type)
    if media_type and not _TEXT_TYPES.match(media_type):
        return ""
    return body.decode(_codec(body, content_type), "replace")[:MAX_TEXT_CHARS]


def _codec(body: bytes, content_type: str) -> str:
    for mark, name in _BOMS:
        if body.startswith(mark):
            return name
    named = _PARAMETER.search(content_type)
    label = named[1] if named else _sniffed(body)
    label = _WIDENED.get(label.lower(), label)
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return "utf-8"
    return name if _WEB_CODECS.match(name) else "utf-8"


def _sniffed(body: bytes) -> str:
    found = _META.search(body[:_LOOKED_AT_BYTES])
    label = found[1].decode("ascii") if found else "utf-8"
    # A document that can be read so far as to say so is not in UTF-16.
    return "utf-8" if label.lower().startswith("utf-16") else label
