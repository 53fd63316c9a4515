"""What the names of hosts, paths and parameters mean in the requests that scripts make; the words are data."""

import json
import re
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

ParameterRole = Literal["query", "page", "offset", "cursor", "size", "sort"]

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")
_ROLES: tuple[ParameterRole, ...] = ("query", "page", "cursor", "offset", "size", "sort")
# Of a host such as example.co.uk, the last three labels name the site.
_SHORT_LABEL_CHARS = 3


@cache
def words(name: str) -> frozenset[str]:
    """Return the words of ``api_words.json`` under ``name``, in lower case."""
    return _words_by_name()[name]


def split_name(name: str) -> list[str]:
    """Return the words of an identifier in lower case: ``perPage`` and ``per_page`` have the same."""
    return [word.lower() for word in _BETWEEN.split(_CAMEL.sub("_", name)) if word]


def role_of(name: str) -> ParameterRole | None:
    """Return what a parameter of this name is for, where names of this kind have one common meaning.

    Of ``filter[page]`` and ``page.number`` the last part decides, then the one before it.
    """
    parts = [part for part in re.split(r"[\[\].]+", name) if part]
    for part in reversed(parts[-2:]):
        snake = "_".join(split_name(part))
        for role in _ROLES:
            if snake in words(f"{role}_words"):
                return role
    return None


def is_secret(name: str) -> bool:
    """Whether a header, parameter or member of this name carries a credential, a session or a token against forgery.

    A cursor that is called a token is none.
    """
    if role_of(name) == "cursor":
        return False
    parts = split_name(name)
    pairs = {"_".join(pair) for pair in pairwise(parts)}
    return bool((set(parts) | pairs) & words("secret_words"))


def is_cache_buster(name: str, value: str) -> bool:
    """Whether a parameter only keeps caches from answering."""
    if name.lower() not in words("cache_busters"):
        return False
    return name.lower() == "callback" or re.fullmatch(r"[\d.]+|", value) is not None


def is_api_address(url: str) -> bool:
    """Whether a script's request to ``url`` may belong to the site's functions: no analytics, consent, monitoring.

    An address that cannot be read is none.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or any(_is_within(host, known) for known in words("not_api_hosts")):
        return False
    return not set(parts.path.lower().split("/")) & words("not_api_paths")


def is_static(path: str) -> bool:
    """Whether a path names what a page is made of (translations, settings), rather than what it is about."""
    return bool(set(path.lower().split("/")) & words("static_names"))


def is_same_site(host: str, other: str) -> bool:
    """Whether two hosts belong to one site: ``www.example.org`` and ``api.example.org`` do.

    Decided by labels alone; the list of public suffixes would only keep apart what shares a host of many tenants.
    """
    return bool(host) and (host == other or _site_of(host) == _site_of(other))


def _site_of(host: str) -> tuple[str, ...]:
    labels = tuple(host.lower().rstrip(".").split("."))
    if labels[-1].isdigit() or ":" in host or len(labels) < 2:
        return labels
    is_second_level = len(labels[-1]) == 2 and len(labels[-2]) <= _SHORT_LABEL_CHARS
    return labels[-3:] if is_second_level else labels[-2:]


def _is_within(host: str, known: str) -> bool:
    return host == known or host.endswith(f".{known}")


@cache
def _words_by_name() -> dict[str, frozenset[str]]:
    content: dict[str, list[str]] = json.loads(
        resources.files(__package__).joinpath("api_words.json").read_text("utf-8")
    )
    return {name: frozenset(found) for name, found in content.items()}
