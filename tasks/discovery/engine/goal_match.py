"""How well a tool serves a goal: by the words that they share, by what the words mean, and by what the tool is for.

No model is needed. Words are compared by their stems (Snowball, English), and every word also by the concepts of
``lexicon.json``, which holds some twenty-five languages. The weights say where a word counts most; they order tools
and are no probabilities.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import snowballstemmer

from tasks.discovery.engine.lexicon import field_concepts, form_concepts, link_concepts
from tasks.discovery.tool import FormCall, RequestCall, Tool

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# What says nothing of a tool because every goal has it.
_EMPTY = frozenset(
    _WORD.findall("""
    a about all an and any are as at be by can do find for from get give has have how i if in into is it its let
    me my need of on or our please see show some that the their them there these this to up use using via want we
    what when where which will with within would you your website site page pages web tool tools able help us one
    """)
)
# Goals are about what is there; each of these asks for a search, a list or both.
_ASKS_FOR_SEARCH = frozenset({"search", "find", "look", "lookup", "locat", "queri", "seek", "discov"})
_ASKS_FOR_LIST = frozenset({"brows", "list", "all", "next", "page", "iter", "pagin", "more"})
_ASKS_FOR_ORDER = frozenset({"sort", "order", "rank", "cheapest", "newest", "latest", "oldest"})
_ASKS_FOR_FILTER = frozenset({"filter", "narrow", "onli", "categori", "between", "under", "below", "above", "refin"})

_WEIGHTS = {"name": 1.0, "title": 1.0, "inputs": 0.8, "description": 0.7, "path": 0.6, "purpose": 1.0}
_OF_WORDS = 0.6
_OF_MEANING = 0.4
# A tool for just what the goal's verb asks for, without any word in common, still serves it somewhat.
_OF_PURPOSE_ALONE = 0.5


class GoalMatch:
    """Compares tools and words with one goal."""

    def __init__(self, goal: str) -> None:
        raw = _stems(goal, keep_all=True)
        self._stems = [stem for stem in _stems(goal) if stem not in _VERBS]
        self._purposes = _purposes_of(raw)
        self._concepts = _concepts(goal)
        self.is_empty = not (self._stems or self._purposes or self._concepts)

    def of_words(self, text: str) -> float:
        """Return how much of the goal the words say, in [0, 1]; 0 without a goal."""
        if not self._stems:
            return 0.0
        found = set(_stems(text))
        return sum(_is_among(stem, found) for stem in self._stems) / len(self._stems)

    def of(self, tool: Tool) -> float:
        """Return how well the tool serves the goal, in [0, 1]; 0 without a goal."""
        if self.is_empty:
            return 0.0
        texts = _texts_of(tool)
        meaning = self._meaning(tool, " ".join(texts.values()))
        if not self._stems:
            return meaning
        found = {part: set(_stems(text)) for part, text in texts.items()}
        words = sum(_best(stem, found) for stem in self._stems) / len(self._stems)
        return round(min(1.0, _OF_WORDS * words + _OF_MEANING * meaning), 4)

    def _meaning(self, tool: Tool, text: str) -> float:
        purpose = tool.purpose.lower()
        if self._purposes:
            is_meant = purpose in self._purposes or bool(self._purposes & _concepts(f"{tool.name} {tool.title}"))
            if is_meant:
                return 1.0
        wanted = self._concepts - self._purposes
        if not wanted:
            return 0.0
        return len(wanted & (_concepts(text) | {purpose})) / len(wanted) * (_OF_PURPOSE_ALONE if self._purposes else 1)


_VERBS = _ASKS_FOR_SEARCH | _ASKS_FOR_LIST | _ASKS_FOR_ORDER | _ASKS_FOR_FILTER


def _best(stem: str, found: Mapping[str, set[str]]) -> float:
    return max((_WEIGHTS[part] for part, stems in found.items() if _is_among(stem, stems)), default=0.0)


def _purposes_of(stems: Iterable[str]) -> frozenset[str]:
    found = set(stems)
    named = (
        ("search", _ASKS_FOR_SEARCH),
        ("pagination", _ASKS_FOR_LIST),
        ("sort", _ASKS_FOR_ORDER),
        ("filter", _ASKS_FOR_FILTER),
    )
    return frozenset(name for name, words in named if found & words)


def _texts_of(tool: Tool) -> dict[str, str]:
    call = tool.call
    url = call.url if isinstance(call, (RequestCall, FormCall)) else call.page_url
    return {
        "name": tool.name,
        "title": tool.title,
        "inputs": " ".join(_input_words(tool.input_schema)),
        "description": tool.description,
        "path": urlsplit(url).path,
        "purpose": tool.purpose,
    }


def _input_words(schema: Mapping[str, Any]) -> Iterable[str]:
    properties = schema.get("properties")
    for name, one in properties.items() if isinstance(properties, dict) else ():
        yield name
        if isinstance(one, dict):
            yield from (text for key in ("title", "description") if isinstance(text := one.get(key), str))
            yield from (text for text in one.get("enum", ())[:20] if isinstance(text, str))


def _concepts(text: str) -> frozenset[str]:
    spaced = _CAMEL.sub(" ", text).replace("_", " ")
    return frozenset(form_concepts(spaced) | field_concepts(spaced) | link_concepts(spaced))


def _stems(text: str, *, keep_all: bool = False) -> list[str]:
    plain = unicodedata.normalize("NFKC", _CAMEL.sub(" ", text)).lower()
    words = [word for word in _WORD.findall(plain) if keep_all or word not in _EMPTY]
    return list(dict.fromkeys(map(_stem, words)))


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    # One for each word, because a stemmer keeps state and threads share modules.
    stem: str = snowballstemmer.stemmer("english").stemWord(word[:60])
    return stem


def _is_among(stem: str, found: set[str]) -> bool:
    if stem in found:
        return True
    if _UNSPACED.search(stem):
        return any(stem in word or (word in stem and len(word) > 1) for word in found)
    # "telephone" and "phone", "username" and "user name": one in the other, where it is long enough to mean something.
    return len(stem) > 4 and any((stem in word or word in stem) and min(len(word), len(stem)) > 4 for word in found)
