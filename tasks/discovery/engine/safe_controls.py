"""Which controls of a live page may be tried, and how: those that by kind and words only show something else."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from urllib.parse import urlsplit

from tasks.discovery.engine.api_words import words
from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.lexicon import arrow_in, compile_stems, form_concepts, link_concepts
from tasks.discovery.tool import Effect

_TYPED = frozenset({"text", "search"})
_TYPED_ROLES = frozenset({"searchbox", "combobox"})
_MAX_MORE_CHARS = 40
# What no control may be about that is tried. A search box beside them is not about them.
_UNSAFE_CONCEPTS = frozenset(
    {"log_in", "register", "forgot", "newsletter", "order", "send", "poll", "money", "download", "captcha"}
)
# Of orders and filters, these are about the items: "order by", "price".
_ABOUT_ITEMS = frozenset({"order", "money"})
_WORD = re.compile(r"[^\W\d_]{4,14}")
_DEFAULT_WORDS = ("test", "data")


class Act(StrEnum):
    """What is done with a control. In the order in which they are tried."""

    SEARCH = "search"
    MORE = "more"
    SORT = "sort"
    FILTER = "filter"
    # Opens a list to pick from, which may have a search box of its own.
    PICK = "pick"
    TAB = "tab"
    MENU = "menu"


MOST_OF = {Act.SEARCH: 2, Act.MORE: 2, Act.SORT: 2, Act.FILTER: 3, Act.PICK: 2, Act.TAB: 3, Act.MENU: 2}


@dataclass(frozen=True, slots=True)
class SurroundingForm:
    """The form that a control stands in or belongs to."""

    method: str
    words: tuple[str, ...]
    has_password: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a select, by its place in it."""

    is_disabled: bool
    is_selected: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A visible, enabled control as ``exercise.js`` describes it. Texts are short; ``href`` is absolute."""

    tag: str
    type: str = ""
    role: str = ""
    text: str = ""
    value: str = ""
    label: str = ""
    title: str = ""
    placeholder: str = ""
    name: str = ""
    id: str = ""
    href: str = ""
    script: str = ""
    is_expanded: bool = False
    is_expandable: bool = False
    has_popup: bool = False
    is_selected: bool = False
    is_sortable: bool = False
    is_download: bool = False
    options: tuple[Choice, ...] = ()
    form: SurroundingForm | None = None

    @property
    def spoken(self) -> str:
        """What a person calls it."""
        return self.label or self.text or self.value or self.placeholder or self.title or self.name or self.id

    @property
    def words(self) -> tuple[str, ...]:
        """All that is said about it, its own script included."""
        said = (self.text, self.value, self.label, self.title, self.placeholder, self.name, self.id, self.script)
        return (*filter(None, said), *((urlsplit(self.href).path,) if self.href else ()))

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same control after the page has changed around it."""
        return (self.tag, self.type, self.role, self.spoken, self.name, self.id)


def safe_act(candidate: Candidate, *, host: str) -> Act | None:
    """Return what may be done with a control of a page on ``host``; None where anything speaks against it."""
    if _is_search_box(candidate):
        return Act.SEARCH
    # A button without a type is one that submits; in no form it sends nothing.
    is_idle = candidate.tag == "button" and candidate.form is None
    if candidate.type in ("submit", "image", "reset", "password", "file") and not is_idle:
        return None
    if not _has_safe_words(candidate) or candidate.is_download or _leads_away(candidate, host):
        return None
    act = _act_of(candidate)
    is_in_unsafe_form = candidate.form is not None and not _is_safe_form(candidate.form)
    return None if is_in_unsafe_form and act not in (Act.PICK, Act.TAB, Act.MENU) else act


def is_entered(candidate: Candidate) -> bool:
    """Whether Enter may be pressed in a search box: it sends no form that does more than ask."""
    return candidate.form is None or _is_safe_form(candidate.form)


def words_to_type(texts: Iterable[str]) -> tuple[str, ...]:
    """Return two words, the likeliest to be found: those that most of the listed ``texts`` have, first come first."""
    counts = Counter(word for text in texts for word in dict.fromkeys(_WORD.findall(text.lower())))
    order = {word: position for position, word in enumerate(counts)}
    found = sorted(counts, key=lambda word: (-counts[word], order[word]))
    return tuple(dict.fromkeys((*found[:2], *_DEFAULT_WORDS)))[:2]


def _act_of(candidate: Candidate) -> Act | None:
    if candidate.role == "tab":
        return None if candidate.is_selected else Act.TAB
    if candidate.tag == "select":
        return _act_of_select(candidate)
    if candidate.tag == "input":
        return Act.FILTER if candidate.type in ("checkbox", "radio") else None
    if candidate.is_sortable:
        return Act.SORT
    if candidate.is_expandable or candidate.has_popup:
        opens = Act.PICK if candidate.role == "combobox" else Act.MENU
        return None if candidate.is_expanded else opens
    if _asks_for_more(candidate):
        return Act.MORE
    return Act.SORT if _says("sort_stems", candidate.spoken) else None


def _act_of_select(candidate: Candidate) -> Act | None:
    if sum(not option.is_disabled for option in candidate.options) < 2:
        return None
    return Act.SORT if _says("sort_stems", f"{candidate.label} {candidate.name} {candidate.id}") else Act.FILTER


def _asks_for_more(candidate: Candidate) -> bool:
    said = candidate.label or candidate.text or candidate.value
    if not said or len(said) > _MAX_MORE_CHARS:
        return False
    is_said = "next" in link_concepts(said) or _says("more_stems", said)
    return is_said or (len(said) <= 3 and arrow_in(said) in (">", ">>")) or said == "2"


def _says(stems: str, text: str) -> bool:
    return _pattern(stems).search(text) is not None


@cache
def _pattern(stems: str) -> re.Pattern[str]:
    return compile_stems(" ".join(words(stems)))


def _is_search_box(candidate: Candidate) -> bool:
    is_typed = candidate.tag == "input" and candidate.type in _TYPED
    if not is_typed or (candidate.form is not None and candidate.form.has_password):
        return False
    said = (candidate.label, candidate.placeholder, candidate.name, candidate.id, candidate.title)
    if effect_of("GET", *said) is not Effect.READ:
        return False
    is_search = candidate.type == "search" or candidate.role in _TYPED_ROLES
    form_words = candidate.form.words if candidate.form is not None else ()
    return is_search or "search" in form_concepts(" . ".join((*said, *form_words))) or candidate.name in ("q", "query")


def _has_safe_words(candidate: Candidate) -> bool:
    # The words beside a question: whatever makes it more than one speaks against the control.
    is_question = effect_of("POST", "search", *candidate.words) is Effect.READ
    concepts = form_concepts(" . ".join(candidate.words))
    is_choice = candidate.is_sortable or candidate.tag == "select" or candidate.type in ("checkbox", "radio")
    if is_choice or "filter" in concepts:
        concepts -= _ABOUT_ITEMS
    return is_question and not concepts & _UNSAFE_CONCEPTS


def _is_safe_form(form: SurroundingForm) -> bool:
    return form.method == "get" and not form.has_password and effect_of("GET", *form.words) is Effect.READ


def _leads_away(candidate: Candidate, host: str) -> bool:
    if not candidate.href:
        return False
    parts = urlsplit(candidate.href)
    return parts.scheme not in ("http", "https", "javascript") or (
        parts.scheme != "javascript" and parts.netloc != host
    )
