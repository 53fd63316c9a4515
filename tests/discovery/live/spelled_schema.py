"""What is written otherwise in two schemas of one control that mean the same, keyword by keyword, and why."""

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

INTEGERS = "an integer is a number in whole steps there"
CHOICES = "choices with titles stand in oneOf here, in anyOf there, each with its type"
MORE_TITLES = "titles of options say more here: their group, the label beside the box"
TWICE = "a value that stands twice is listed once here"
PATTERNS = "patterns are anchored here, bare there"
SHAPES = "the shape of a time or colour is a pattern here, a format there"
LABELS = "the colon or star after a label, and white space, are no words here; a note on dates is added there"
MORE_WORDS = "descriptions have more here: ARIA, titles, placeholders, legends, hints"
MORE = "said here only: "

_DATE_NOTE = re.compile(r"\s*\(?Dates MUST be provided in 'YYYY-MM-DD' format\.\)?$")
# Keywords that Chromium never writes, or writes of fewer controls.
OURS_ONLY = {
    "title": "titles of checkboxes",
    "minLength": "lengths",
    "maxLength": "lengths",
    "minItems": "numbers of items",
    "maxItems": "numbers of items",
    "default": "defaults",
    "examples": "suggestions",
    "format": "formats of email, url and password",
    "writeOnly": "passwords are marked",
    "const": "a required checkbox must be set",
    "formatMinimum": "bounds of dates and times",
    "formatMaximum": "bounds of dates and times",
    "description": "descriptions of what has no label",
}


def spelled_otherwise(theirs: Schema, ours: Schema) -> dict[str, str]:
    """Return each keyword that is not the same to the letter, with why it means the same; "" where it may not.

    Keywords of ``items`` are called ``items.KEYWORD``.
    """
    found: dict[str, str] = {}
    for keyword in sorted(theirs.keys() | ours.keys()):
        first, second = theirs.get(keyword), ours.get(keyword)
        if first == second and (keyword in theirs) == (keyword in ours):
            continue
        if keyword == "items" and isinstance(first, dict) and isinstance(second, dict):
            found |= {f"items.{name}": why for name, why in spelled_otherwise(first, second).items()}
        else:
            found[keyword] = next(_reasons(keyword, theirs, ours), "")
    return found


def without_date_note(text: str) -> str:
    """Return a description without what Chromium adds to those of dates."""
    return _DATE_NOTE.sub("", text).strip()


def plain(text: str) -> str:
    """Return a description without what is no word of it."""
    return " ".join(re.sub(r"[\s.:;*]+", " ", without_date_note(text)).split()).casefold()


def bare(pattern: str) -> str:
    """Return a pattern without the anchors that ours has."""
    return re.sub(r"^\^\(\?:(.*)\)\$$", r"\1", pattern, flags=re.DOTALL)


def _reasons(keyword: str, theirs: Schema, ours: Schema) -> Iterator[str]:
    first, second = theirs.get(keyword), ours.get(keyword)
    step = theirs.get("multipleOf", 0.5)
    if keyword in ("type", "multipleOf") and ours.get("type") == "integer" and ours.get("multipleOf", 1) == step:
        yield INTEGERS
    if keyword in ("anyOf", "oneOf", "enum"):
        yield from _of_choices(keyword, theirs, ours)
    if keyword in ("pattern", "format", "x-control") and str(theirs.get("format", "")).startswith("^"):
        yield SHAPES
    if keyword == "pattern" and isinstance(first, str) and bare(str(second)) == first:
        yield PATTERNS
    if keyword == "description" and first is not None:
        if plain(first) == plain(second or ""):
            yield LABELS
        elif plain(second or "").startswith(plain(first)):
            yield MORE_WORDS
    if first is None and keyword in OURS_ONLY:
        yield MORE + OURS_ONLY[keyword]


def _of_choices(keyword: str, theirs: Schema, ours: Schema) -> Iterator[str]:
    if not theirs.get("enum") or list(dict.fromkeys(theirs["enum"])) != ours.get("enum"):
        return
    if keyword == "enum":
        yield TWICE
        return
    named, called = titles(theirs), titles(ours)
    if {value: plain(title) for value, title in named.items()} == {v: plain(title) for v, title in called.items()}:
        yield CHOICES
    elif all(plain(title) in plain(called.get(value, "")) for value, title in named.items()):
        yield MORE_TITLES


def titles(schema: Schema) -> dict[str, str]:
    """Return what the choices are called; of a value that stands twice, the first title counts."""
    choices = schema.get("anyOf", schema.get("oneOf", ()))
    return {one["const"]: one["title"] for one in reversed(choices) if one.get("title")}
