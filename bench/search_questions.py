"""Questions whose answers are known places, made of a documentation's own index and glossary and of docstrings.

Half are asked as the index has them. The other half are in the words of the object's docstring, which somebody else
wrote, from which every word of the target's heading and signature was taken; what its description says word for word
is left out.
"""

import hashlib
import importlib
import inspect
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.search_corpus import DocPage
from tasks.core.text.words import stem_of, stems

_LEAST_WORDS = 5
# Of a paraphrase's words, the most that may stand in its target: else it is a copy.
_MOST_SHARED = 0.7
# They run something, or open something, when they are imported.
_NOT_IMPORTED = {"antigravity", "this", "idlelib", "turtledemo", "turtle", "tkinter", "lib2to3", "__main__"}
_SENTENCE = re.compile(r"(.+?[.!?])(\s|$)", re.DOTALL)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the place of its answer."""

    text: str
    page: str
    begin: int
    end: int
    is_paraphrased: bool


def questions(pages: Mapping[str, DocPage], index: Mapping[str, str], *, each: int) -> list[Question]:
    """Return up to ``each`` questions of both sorts, always the same ones."""
    targets = {}
    for target, words in index.items():
        path, _, anchor = target.partition("#")
        if path in pages and anchor in pages[path].spans:
            targets[target] = (pages[path], anchor, words)
    plain = [_plain(*one) for one in targets.values()]
    asked = [one for one in (_paraphrased(page, anchor) for page, anchor, _ in targets.values()) if one is not None]
    return [*_drawn(plain, each), *_drawn(asked, each)]


def _drawn(found: list[Question], count: int) -> list[Question]:
    unique = {one.text: one for one in found}.values()
    return sorted(unique, key=lambda one: hashlib.sha256(f"{one.page}#{one.begin}".encode()).digest())[:count]


def _plain(page: DocPage, anchor: str, words: str) -> Question:
    text = f"What is {page.names[anchor]}?" if anchor.startswith("term-") else words
    return Question(text, page.path, *page.spans[anchor], is_paraphrased=False)


def _paraphrased(page: DocPage, anchor: str) -> Question | None:
    sentence = _said(anchor)
    if not sentence:
        return None
    begin, end = page.spans[anchor]
    heading = re.findall(r"^#+ (.*)$", page.text[:begin], re.MULTILINE)[-1:]
    named = set(stems(" ".join([anchor, page.names[anchor], page.title, *heading])))
    # Letter by letter too: what is one word here may be two there.
    bare = {re.sub(r"\W|_", "", part).casefold() for part in [*anchor.split("."), page.names[anchor]]}
    kept = [
        word
        for word in _WORD.findall(sentence)
        if not named & {*stems(word), stem_of(word.casefold())} and word.casefold() not in bare
    ]
    asked = list(dict.fromkeys(stems(" ".join(kept))))
    there = set(stems(page.text[begin:end]))
    if len(asked) < _LEAST_WORDS or sum(stem in there for stem in asked) > _MOST_SHARED * len(asked):
        return None
    return Question(" ".join(kept), page.path, begin, end, is_paraphrased=True)


def _said(anchor: str) -> str:
    """Return the first sentence of the docstring of what the anchor names, where Python has that."""
    if anchor.split(".", maxsplit=1)[0] in _NOT_IMPORTED or not re.fullmatch(r"[A-Za-z_][\w.]*", anchor):
        return ""
    found = _object(anchor)
    text = inspect.getdoc(found) if found is not None and not inspect.ismodule(found) else None
    if not text or text == inspect.getdoc(type(found)):
        return ""
    match = _SENTENCE.match(text.partition("\n\n")[0])
    sentence = match.group(1) if match else text.partition("\n\n")[0]
    return "" if "(" in sentence.partition(" ")[0] else " ".join(sentence.split())


def _object(anchor: str) -> Any:
    names = anchor.split(".")
    for cut in range(len(names), 0, -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found: Any = importlib.import_module(".".join(names[:cut]))
        except (ImportError, ValueError, OSError, AttributeError):
            continue
        for name in names[cut:]:
            found = getattr(found, name, None)
        return found
    import builtins  # noqa: PLC0415  # what has no module

    found = builtins
    for name in names:
        found = getattr(found, name, None)
    return found
