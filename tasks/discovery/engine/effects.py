"""What a request would do to a site, judged before it is sent: by its method, and by the words around it.

A site's own claims are not trusted where they make things look safer: a GET that says "delete" counts as one. Doubt
about destruction means destruction, which costs a proof; the other error would cost somebody their data.
``effects.json`` holds verbs in the notation of ``lexicon.json``, written down from the languages.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources

from tasks.discovery.engine.lexicon import compile_stems, form_concepts
from tasks.discovery.tool import Effect

MAX_WORDS = 40
MAX_WORD_CHARS = 300

_SAFE = frozenset({"", "GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "DIALOG"})
_DESTROYING = frozenset({"DELETE", "PURGE", "UNLINK"})
_CHANGING = frozenset({"PUT", "PATCH"})
_GRAVITY = (Effect.READ, Effect.WRITE, Effect.DESTROY)
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"})

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_ACCENTS = re.compile("[\u0300-\u036f]")
_READING = frozenset(
    {
        *("get", "gets", "list", "lists", "show", "shows", "view", "views", "read", "reads", "see", "head", "browse"),
        *("fetch", "fetches", "search", "searches", "find", "finds", "query", "queries", "lookup", "count", "counts"),
        *("download", "export", "describe", "retrieve", "retrieves", "return", "returns", "check", "is", "has"),
    }
)
_ASKING = frozenset(
    {
        *("search", "searches", "query", "queries", "find", "lookup", "filter"),
        *("autocomplete", "suggest", "typeahead", "count"),
    }
)
_THINGS = frozenset({"account", "credential", "payment", "new_account"})
_ASKING_NAMES = _ASKING | frozenset({"get", "list", "fetch"})


def effect_of(method: str, *words: str) -> Effect:
    """Return what a request does to the site.

    Args:
        method: of HTTP or of a form, in any case.
        words: what the site calls it: an operation's name and summary, the path, a button's caption, a heading. Not
            the text around it, nor links in it: "Forgot your password?" beside a login is another function.
    """
    name = method.strip().upper()
    texts = [word[:MAX_WORD_CHARS] for word in words[:MAX_WORDS] if word.strip()]
    found = _concepts(" . ".join(map(_plain, texts)))
    if name in _DESTROYING or "delete" in found or any(map(_abbreviates_delete, texts)):
        return Effect.DESTROY
    if name in _SAFE:
        return _effect_of_safe(texts, found)
    if _changes_account(name, found) or found & {"deletion", "pay", "payment"}:
        return Effect.DESTROY
    if name == "POST" and _is_question(texts, found):
        return Effect.READ
    return Effect.WRITE


def gravest(effects: Iterable[Effect]) -> Effect:
    """Return the effect that weighs most; ``read`` where there is none."""
    return max(effects, key=_GRAVITY.index, default=Effect.READ)


def only_deletes(*words: str) -> bool:
    """Whether it is called a deletion of something that is neither an account nor a credential, and nothing worse."""
    found = _concepts(" . ".join(_plain(word[:MAX_WORD_CHARS]) for word in words[:MAX_WORDS]))
    return bool(found & {"delete", "deletion"}) and not found & {"account", "credential", "pay", "payment", "log_out"}


def adds_account(text: str) -> bool:
    """Whether it is called the making of somebody's account, as those do who run a site."""
    return "new_account" in _concepts(_plain(text[:MAX_WORD_CHARS]))


def ends_session(*words: str) -> bool:
    """Whether it is called a sign-out: it harms nothing, but takes away the sign-in that a discovery works with."""
    return "log_out" in _concepts(" . ".join(_plain(word[:MAX_WORD_CHARS]) for word in words[:MAX_WORDS]))


def acts_in(text: str) -> set[str]:
    """Return what the words say is done, as far as it writes or destroys; not what it is done to."""
    return _concepts(_plain(text[:MAX_WORD_CHARS])) - _THINGS


def reads_by(text: str) -> bool:
    """Whether the first word is one of reading or asking: show, list, search, download …"""
    return _plain(text[:MAX_WORD_CHARS]).split(" ", 1)[0] in _READING | _ASKING


def is_idempotent(method: str, effect: Effect) -> bool:
    """Whether sending it twice is the same as once, as RFC 9110 promises for the method or because it only reads."""
    return effect is Effect.READ or method.strip().upper() in _IDEMPOTENT


def _abbreviates_delete(text: str) -> bool:
    # Only in names and addresses: as a word of a sentence it is an article in Spanish and Italian.
    return " " not in text.strip() and "del" in _plain(text).split(" ")


def _effect_of_safe(texts: list[str], found: set[str]) -> Effect:
    if "log_out" in found:
        return Effect.WRITE
    is_reading = any(_plain(text).split(" ", 1)[0] in _READING for text in texts)
    if is_reading or any("search" in form_concepts(text) for text in texts):
        return Effect.READ
    if "pay" in found:
        return Effect.DESTROY
    return Effect.WRITE if "subscribe" in found else Effect.READ


def _changes_account(method: str, found: set[str]) -> bool:
    # Who makes an account saves it too, and gives it its first password.
    is_new = bool(found & {"sign_up", "new_account"})
    is_change = method in _CHANGING or "change" in found or ("save" in found and not is_new)
    if "credential" in found:
        return is_change or not (is_new or "log_in" in found)
    return "account" in found and is_change


def _is_question(texts: list[str], found: set[str]) -> bool:
    if found & {"add", "change", "save", "subscribe", "log_in", "log_out", "sign_up"}:
        return False
    return any(_asks(text) for text in texts)


def _asks(text: str) -> bool:
    words = _spaced(text).split()
    if not words:
        return False
    if "/" in text:
        # Of an address, what it ends in.
        return words[-1] in _ASKING
    if " " not in text.strip():
        return words[0] in _ASKING_NAMES or words[-1] in _ASKING or "search" in form_concepts(words[0])
    return words[0] in _ASKING or "search" in form_concepts(" ".join(words[:2]))


def _spaced(text: str) -> str:
    """Return the words of a caption, an identifier or a path, in lower case, with single spaces."""
    words = _CAMEL.sub(" ", _PLACEHOLDER.sub(" ", unicodedata.normalize("NFC", text)))
    return _BETWEEN.sub(" ", words).strip().lower()


def _plain(text: str) -> str:
    return _spaced(_without_accents(text))


def _concepts(text: str) -> set[str]:
    return {concept for concept, pattern in _patterns().items() if pattern.search(text)}


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    content: dict[str, str] = json.loads(resources.files(__package__).joinpath("effects.json").read_text("utf-8"))
    return {concept: compile_stems(_without_accents(stems)) for concept, stems in content.items()}


def _without_accents(text: str) -> str:
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
