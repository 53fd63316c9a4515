"""A hash of what a page says, which stays when only its clothes change."""

import hashlib
import re

_WORD = re.compile(r"\w+")
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
    words = _WORD.findall(_TIMESTAMPS.sub(" ", text.casefold()))
    return hashlib.sha256(" ".join(words).encode("utf-8", "replace")).hexdigest()
