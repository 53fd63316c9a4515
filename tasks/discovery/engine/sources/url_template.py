"""Address templates, ``https://example.org/search?q={terms}``, as the parts of a request.

Read are the plain form ``{name}``, OpenSearch's ``{name?}``, and RFC 6570's ``{?a,b}`` and ``{&a,b}``. A placeholder
must be a whole value of the query or stand in the path: nothing else has a place in a ``RequestCall``.
Source: OpenSearch 1.1 draft 6, URL template syntax; RFC 6570, levels 1 to 3.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from tasks.discovery.engine.sources.reach import MAX_URL_CHARS, resolved

_MAX_PLACEHOLDERS = 30
_PLACEHOLDER = re.compile(r"\{([^{}]{1,200})\}")
_FORM_QUERY = re.compile(r"[?&]([\w.:,-]{1,200})")
# Stands for a placeholder while the address is read by the WHATWG's rules, which would escape braces.
_MARK = "x0slot{}x"
_MARKED = re.compile(r"x0slot([0-9]{1,2})x")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What goes into a template: in the path, or as the value of ``query_name``."""

    name: str
    query_name: str = ""
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class URLTemplate:
    """``url`` is absolute, its path may hold ``{name}``; ``query`` are the pairs that are always sent."""

    url: str
    query: tuple[tuple[str, str], ...]
    placeholders: tuple[Placeholder, ...]


def read_template(text: str, *, base: str) -> URLTemplate | None:
    """Return the template read; None where it is none of http(s), or holds a placeholder that has no place."""
    if len(text) > MAX_URL_CHARS:
        return None
    names: list[str] = []

    def mark(match: re.Match[str]) -> str:
        names.append(match[1])
        return _MARK.format(len(names) - 1)

    marked = _PLACEHOLDER.sub(mark, text.strip())
    absolute = None if len(names) > _MAX_PLACEHOLDERS or _MARKED.search(text) else resolved(marked, base=base)
    if absolute is None or "{" in marked or "}" in marked:
        return None
    path, _, query = absolute.partition("?")
    return _Reader(names).read(path, query)


class _Reader:
    """Puts an address with marks back together; ``names`` are what stood in braces."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._placeholders: list[Placeholder] = []

    def read(self, path: str, query: str) -> URLTemplate | None:
        whole, appended = self._without_appended(path), self._without_appended(query)
        origin, slash, rest = whole.partition("://")[2].partition("/")
        if _MARKED.search(origin):
            return None
        restored = _MARKED.sub(self._in_path, slash + rest)
        pairs = [pair.partition("=") for pair in appended.split("&") if pair]
        fixed = [(unquote_plus(name), value) for name, _, value in pairs]
        kept = [(name, unquote_plus(value)) for name, value in fixed if not self._take(name, value)]
        names = [placeholder.name for placeholder in self._placeholders]
        if any(_MARKED.search(part) for pair in kept for part in pair) or len(set(names)) < len(names):
            return None
        url = f"{whole.partition('://')[0]}://{origin}{restored}"
        return URLTemplate(url, tuple(kept), tuple(self._placeholders))

    def _without_appended(self, text: str) -> str:
        """Return the text without ``{?a,b}`` and ``{&a,b}``, whose names become optional parts of the query."""

        def take(match: re.Match[str]) -> str:
            form = _FORM_QUERY.fullmatch(self._names[int(match[1])])
            if form is None:
                return match[0]
            for name in filter(None, form[1].split(",")):
                self._placeholders.append(Placeholder(name, query_name=name, is_optional=True))
            return ""

        return _MARKED.sub(take, text)

    def _in_path(self, match: re.Match[str]) -> str:
        name = unquote(self._names[int(match[1])])
        self._placeholders.append(Placeholder(name.removesuffix("?"), is_optional=name.endswith("?")))
        return f"{{{name.removesuffix('?')}}}"

    def _take(self, query_name: str, value: str) -> bool:
        match = _MARKED.fullmatch(value)
        if match is None:
            return False
        name = self._names[int(match[1])]
        self._placeholders.append(Placeholder(name.removesuffix("?"), query_name, is_optional=name.endswith("?")))
        return True
