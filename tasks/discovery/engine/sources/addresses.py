"""Addresses of a list taken apart, to see in what they differ."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

Query = tuple[tuple[str, str], ...]

# They tell visits apart, not lists.
_VISIT = re.compile(r"utm_\w+|fbclid|gclid|phpsessid|jsessionid|sid|session_?id|_ga|ref_src", re.IGNORECASE)
# Parameters that a search is typed into: of a list found by one, another search has the same list.
_ASKED = re.compile(r"q|query|s|search|search_?(term|query|text)|keywords?|term|text|find", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """An address without its fragment; ``query`` in the order of the address, without what only names the visit."""

    origin: str
    path: str
    query: Query

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parameters."""
        return tuple(name for name, _ in self.query)

    def value(self, name: str) -> str | None:
        """Return the first value of a parameter."""
        return next((value for other, value in self.query if other == name), None)

    def without(self, *names: str) -> Query:
        """Return its parameters but these."""
        return tuple(pair for pair in self.query if pair[0] not in names)


def address_of(url: str) -> Address | None:
    """Return the parts of an HTTP address, or None where it is another."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = tuple((name, value) for name, value in pairs if not _VISIT.fullmatch(name))
    return Address(f"{parts.scheme}://{parts.netloc}", parts.path or "/", query)


def told_fixed(query: Query) -> str:
    """Return a sentence with the parameters that a tool always sends, so that nobody takes a part for the whole."""
    told = ", ".join(f"{name}={value[:60]}" for name, value in query)
    return f" Always with {told[:200]}." if told else ""


def asked_in(query: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names of the parameters that hold what was searched for."""
    return [name for name, _ in query if _ASKED.fullmatch(name)]


def list_name(path: str, *, title: str) -> str:
    """Return what a list is called: the last word of its path, else of the page's title."""
    for part in reversed(unquote(path).split("/")):
        plain = re.sub(r"\.(html?|php|aspx?|jsp|cgi)$", "", part, flags=re.IGNORECASE)
        words = re.sub(r"[\W_]+", " ", plain).strip()
        is_telling = re.search(r"[^\W\d_]{3}", words) and words.casefold() not in _UNTELLING
        if is_telling and len(words) <= 40:
            return words
    return re.split(r"\s[|:·\u2013\u2014-]\s", title)[0].strip()[:40] or "items"


_UNTELLING = frozenset(
    {"index", "default", "page", "home", "main", "start", "all", "list", "search", "results", "cgi bin"}
)
