"""What words mean, as far as a hand-written table of words that mean alike says it (``concepts.json``)."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources

from tasks.core.text.words import all_stems


def concepts_in(text: str) -> list[str]:
    """Return the concepts that the text speaks of, each once, in order: ``search`` for ``Look up`` and ``Suche``."""
    return list(dict.fromkeys(_concepts(list(all_stems(text)))))


def _concepts(stems: Sequence[str]) -> Iterator[str]:
    table = _table()
    for at, stem in enumerate(stems):
        for phrase, concept in table.get(stem, ()):
            if tuple(stems[at : at + len(phrase)]) == phrase:
                yield concept


@cache
def _table() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """Return the phrases, as stems, and their concepts, by their first word."""
    content = json.loads(resources.files(__package__).joinpath("concepts.json").read_text("utf-8"))
    table: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for concept, phrases in content.items():
        for phrase in phrases:
            found = tuple(all_stems(phrase))
            table.setdefault(found[0], []).append((found, concept))
    return table
