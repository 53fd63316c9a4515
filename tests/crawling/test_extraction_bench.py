"""What the bench of main text counts, on pages made for it."""

from collections import Counter

import numpy as np
import pytest

from bench.extraction import Case, averages, interval, words_of

fit = pytest.importorskip("bench.extraction_fit", reason="needs the bench extra")
errors = pytest.importorskip("bench.extraction_errors", reason="needs the bench extra")

PAGE = b"""<html><body><nav><a href=/a>Home</a></nav>
<p>The loom weaves patterns as the engine weaves numbers, and nobody minds it.</p>
<p>Read more of our other pages on looms and on engines, all of them free.</p></body></html>"""
TEXT = "The loom weaves patterns as the engine weaves numbers, and nobody minds it."


def case(text: str, *, url: str = "https://a.example.org/x", page_type: str = "article") -> Case:
    return Case(id="1", url=url, page_type=page_type, body=PAGE, words=words_of(text), text=text)


def test_averages_weigh_types_as_the_full_split_does() -> None:
    """793 articles to 113 threads, whatever their number here; pages of a site are drawn together."""
    cases = [case(TEXT), case(TEXT, url="https://b.example.net/"), case(TEXT, page_type="forum")]
    figures = averages(cases, [1.0, 1.0, 0.0])
    assert (0.6667, {"article": 1.0, "forum": 0.0}) == (figures["f1_all"], figures["f1_by_type"])
    assert round(793 / (793 + 113), 4) == figures["f1_published_mix"]


def test_interval_draws_sites_and_not_pages() -> None:
    """Nine pages of one site are one draw: the interval is wider than of ten sites."""
    assert interval([(9.0, 9), (0.0, 1)]) == (0.0, 1.0)
    low, high = interval([(1.0, 1)] * 9 + [(0.0, 1)])
    assert 0.5 < low < 0.9 < high == 1.0


@pytest.mark.parametrize(
    ("text", "likely", "cause"),
    [
        (TEXT, [0.1, 0.9, 0.9], "too_much"),
        (
            TEXT + " Read more of our other pages on looms and on engines, all of them free.",
            [0.01, 0.99, 0.01],
            "too_little",
        ),
        ("Nothing of this stands anywhere in there, since scripts would fetch it.", [0.1, 0.9, 0.1], "absent"),
    ],
)
def test_loss_is_put_down_to_its_cause(text: str, likely: list[float], cause: str) -> None:
    """And no bound is below what we reach with the same blocks."""
    sample = fit.prepare(case(text))
    account = errors.account(sample, np.array(likely, dtype=np.float32))
    assert cause == account.cause
    assert account.f1["ours"] <= account.f1["cut"] <= account.f1["subset"] <= account.f1["present"] <= 1.0


def test_best_subset_is_found_where_labels_are_not() -> None:
    """The block that is the text alone gives an F1 of one, its words counted once."""
    sample = fit.prepare(case(TEXT))
    assert errors.account(sample, np.array([0.9, 0.1, 0.1], dtype=np.float32)).f1["subset"] == 1.0
    assert fit.words_kept(sample, [1]) == Counter(words_of(TEXT))
