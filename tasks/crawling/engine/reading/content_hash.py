"""A hash of what a page says, which stays when only its clothes change."""

import hashlib
import re

_WORD = re.compile(r"\w+")
# What each point in time has one of.
_SIGNS = (*"0123456789", " ago", "just now", "yesterday", "today")
_DIGIT = re.compile(r"\d")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_TIMESTAMPS = re.compile(
    r"\b\d{4}-\d{2}-\d{2}(?:[t ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:z|[+-]\d{2}:?\d{2})?)?\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH},? \d{{4}}\b|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b"
    r"|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b|\b\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]\.?m\b\.?)?(?: (?:utc|gmt)\b)?"
    r"|\b(?:\d{1,4}|an?|one) (?:second|sec|minute|min|hour|hr|day|week|month|year)s? ago\b"
    r"|\b(?:just now|yesterday|today)\b"
)


def content_hash(text: str) -> str:
    """Return the SHA-256, in hex, of the words of a text; case, white space, punctuation and points in time aside.

    Scripts, styles and comments never reach a page's text.
    """
    words = _WORD.findall(_without_timestamps(text.casefold()))
    return hashlib.sha256(" ".join(words).encode("utf-8", "replace")).hexdigest()


def _without_timestamps(text: str) -> str:
    """Return the text with blanks for points in time, which is looked for in lines that may have one: none has two."""
    lines = text.split("\n")
    return "\n".join(_TIMESTAMPS.sub(" ", line) if _may_tell_time(line) else line for line in lines)


def _may_tell_time(line: str) -> bool:
    return any(sign in line for sign in _SIGNS) or (not line.isascii() and _DIGIT.search(line) is not None)
