"""Which headers of requests that were seen a call of our own sends too."""

from collections.abc import Sequence

from tasks.discovery.engine.api_words import is_secret
from tasks.discovery.engine.site import Exchange

# What a server may insist on and that belongs to nobody.
_KEPT = ("accept", "x-requested-with", "apollo-require-preflight", "x-apollo-operation-name")
_MAX_CHARS = 200


def fixed_headers(exchanges: Sequence[Exchange]) -> tuple[tuple[str, str], ...]:
    """Return the headers to send: those that all ``exchanges`` have alike and that say how, not who."""
    kept = []
    for name in _KEPT:
        values = {exchange.request_headers.get(name, "") for exchange in exchanges}
        value = next(iter(values), "")
        is_plain = value not in ("", "*/*") and len(value) <= _MAX_CHARS and value.isascii() and value.isprintable()
        if len(values) == 1 and is_plain:
            kept.append((name, value))
    return tuple(kept)


def session_headers(exchanges: Sequence[Exchange]) -> list[str]:
    """Return the names of headers that only a session can have.

    Cookies are none: every site sets some, and that one was sent does not tell that it was needed.
    """
    names = dict.fromkeys(name for exchange in exchanges for name in exchange.request_headers)
    return [name for name in names if name != "cookie" and is_secret(name)]
