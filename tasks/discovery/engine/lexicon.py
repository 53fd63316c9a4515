"""What words on forms and links mean, in the languages that most of the web is written in.

``lexicon.json`` gives stems for each concept: a stem stands for every word that begins with it, one in angle brackets
for the whole word or words, and scripts that do not set words apart are searched for anywhere. Written down from the
languages, not from any data set.
"""

import json
import re
from functools import cache
from importlib import resources

_WHOLE = re.compile(r"<([^>]+)>")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

_Patterns = dict[str, re.Pattern[str]]


def form_concepts(text: str) -> set[str]:
    """Return what the words of the text mean for a form as a whole."""
    return _found(text, "form")


def field_concepts(text: str) -> set[str]:
    """Return what the words of the text mean for one field: the concepts of forms and finer ones."""
    return _found(text, "form") | _found(text, "field")


def link_concepts(text: str) -> set[str]:
    """Return what the words of the text mean for a link between pages of a list."""
    return _found(text, "link")


def arrow_in(text: str) -> str | None:
    """Return which way the first kind of arrow in the text points: ``>>``, ``>``, ``<<`` or ``<``."""
    return next((name for name, signs in _arrows().items() if any(sign in text for sign in signs)), None)


def _found(text: str, part: str) -> set[str]:
    words = _CAMEL.sub(" ", text)
    return {concept for concept, pattern in _patterns()[part].items() if pattern.search(words)}


@cache
def _lexicon() -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads(
        resources.files(__package__).joinpath("lexicon.json").read_text("utf-8")
    )
    return content


@cache
def _patterns() -> dict[str, _Patterns]:
    parts = ("form", "field", "link")
    return {part: {concept: compile_stems(stems) for concept, stems in _lexicon()[part].items()} for part in parts}


@cache
def _arrows() -> dict[str, list[str]]:
    return {name: signs.split() for name, signs in _lexicon()["sign"].items()}


def compile_stems(stems: str) -> re.Pattern[str]:
    """Return what finds any of the stems, written as in ``lexicon.json``."""
    whole = _WHOLE.findall(stems)
    begun = _WHOLE.sub(" ", stems).split()
    anywhere = [stem for stem in begun if _UNSPACED.search(stem)]
    begun = [stem for stem in begun if not _UNSPACED.search(stem)]
    parts = []
    if begun:
        parts.append(rf"(?<![^\W_])(?:{_either(begun)})")
    if whole:
        parts.append(rf"(?<![^\W_])(?:{_either(whole)})(?![^\W_])")
    if anywhere:
        parts.append(_either(anywhere))
    return re.compile("|".join(parts), re.IGNORECASE)


def _either(stems: list[str]) -> str:
    return "|".join(re.escape(stem) for stem in stems)
