"""Words, what they mean and how alike they are: the same always, however a word is written."""

import numpy as np
import pytest

from tasks.core.text.concepts import concepts_in
from tasks.core.text.fusion import fused
from tasks.core.text.ngrams import DIMENSIONS, cosines, packed, vector_of
from tasks.core.text.words import stems

KNOWN = (338, 3, 3081)


def likeness(one: str, other: str) -> float:
    return cosines(vector_of(dict.fromkeys(stems(one), 1.0)), [packed(vector_of(dict.fromkeys(stems(other), 1.0)))])[0]


def test_words_are_split_folded_and_stemmed() -> None:
    """Humps and accents, too; articles say nothing."""
    assert ["search", "product"] == list(stems("searchProducts"))
    assert ["search", "cafe"] == list(stems("the Searching of Cafés"))


def test_what_is_spelled_alike_points_alike() -> None:
    """A misspelled word is nearer than another one; the same is 1, nothing is 0."""
    assert likeness("catalogue", "catalouge") > 0.4 > abs(likeness("catalogue", "password"))
    assert pytest.approx(1.0, abs=0.01) == likeness("find a book", "Finding books")
    assert 0.0 == likeness("", "book") == likeness("book", "")
    assert [] == cosines(vector_of({"a": 1.0}), [])


def test_vectors_are_the_same_in_every_process() -> None:
    """They are kept: a hash that changed would make all of them worthless."""
    kept = packed(vector_of({"search": 1.0, "=search": 0.5}))
    assert DIMENSIONS == len(kept)
    numbers = np.frombuffer(kept, np.int8)
    assert KNOWN == (int(numbers.argmax()), int(numbers.argmin()), int(np.abs(numbers).astype(int).sum()))


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        ("Look up a product", {"search", "product"}),
        ("logging in", {"sign_in"}),
        ("Sign me out", set()),
        ("Passwort vergessen", {"password"}),
        ("in the log", set()),
        ("", set()),
    ],
)
def test_words_that_mean_alike_are_known(text: str, concepts: set[str]) -> None:
    """Phrases as they stand, in any inflection; their parts alone are not meant."""
    assert concepts == set(concepts_in(text))


def test_agreement_of_rankings_wins() -> None:
    """What two have in second place comes before what one has in first."""
    both = fused([["a", "b", "c"], ["d", "b"]])
    assert "b" == max(both, key=lambda key: both[key])
    assert both["a"] == both["d"] > both["c"]
    assert {} == fused([])
