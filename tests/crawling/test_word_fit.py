"""Fitting the model of words, on a few made-up sites."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tasks.crawling.engine.page import parse_page
from tasks.crawling.engine.reading.blocks import cut_page
from tasks.crawling.engine.reading.paths import Paths
from tasks.crawling.engine.reading.word_model import WordModel

fitting = pytest.importorskip("bench.extraction_words", reason="needs the bench extra")
nested = pytest.importorskip("bench.extraction_nested", reason="needs the bench extra")

SITES = [f"site{number}.example" for number in range(12)]
PLACES = ("harbour", "mooring", "quay", "estuary")


def blocks_of(fragment: str) -> tuple[list, Paths]:
    cut = cut_page(parse_page(f"<body>{fragment}</body>".encode(), charset=None))
    return cut.blocks, Paths(cut.nodes, cut.blocks)


def judge(design, labels: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> np.ndarray:
    return fitting.fit(design, labels, weights, inside=inside).scores(design, ~inside)


def page(number: int) -> str:
    """Main text speaks of the sea, the other block sells; one word is the site's own."""
    place = PLACES[number % len(PLACES)]
    return f"<p>The {place} and the tide of secret{number}</p><p>Buy the voucher of {place} now</p>"


@pytest.fixture(scope="module")
def made() -> tuple:
    """The blocks of all sites, which of them are main text, and their weights."""
    pages = [fitting.words_of_blocks(*blocks_of(page(number))) for number in range(len(SITES))]
    labels = np.array([True, False] * len(SITES))
    return fitting.Design.of(pages, SITES), labels, np.ones(len(labels))


def test_written_model_scores_as_the_one_that_was_fitted(made: tuple, tmp_path: Path) -> None:
    """Whole numbers and hashes give what the design's rows give; main text is above, the rest below."""
    design, labels, weights = made
    file = tmp_path / "weights.json"
    fitting.write(design, labels, weights, file=file)
    every = np.ones(len(labels), dtype=bool)
    expected = fitting.fit(design, labels, weights, inside=every).scores(design, every)
    model = WordModel(json.loads(file.read_text(encoding="utf-8")))
    found = np.concatenate([model.scores(*blocks_of(page(number))) for number in range(len(SITES))])
    assert np.allclose(expected, found, atol=1e-4)
    assert (labels == (found > 0)).all()
    again = tmp_path / "again.json"
    fitting.write(design, labels, weights, file=again)
    assert file.read_bytes() == again.read_bytes()


def test_words_of_few_sites_are_not_in_the_model(made: tuple, tmp_path: Path) -> None:
    """A name that one site has is not known, and what most have is."""
    design, labels, weights = made
    fitting.write(design, labels, weights, file=tmp_path / "weights.json")
    model = WordModel(json.loads((tmp_path / "weights.json").read_text(encoding="utf-8")))
    plain, own, sold = (model.scores(*blocks_of(f"<p>{words}</p>"))[0] for words in ("tide", "tide secret3", "voucher"))
    assert plain == own > 0 > sold


def test_fold_is_judged_without_its_labels_and_its_words(made: tuple) -> None:
    """Whatever the labels of a fold are, its own scores stay; those of the others do not."""
    design, labels, weights = made
    fold = np.repeat(np.arange(len(SITES)) % 3, 2)
    other = np.where(fold == 0, ~labels, labels)
    before, after = (
        nested.own_scores(nested.nested_scores(partial(judge, design, known, weights), fold, 3), fold)
        for known in (labels, other)
    )
    assert np.array_equal(before[fold == 0], after[fold == 0])
    assert not np.allclose(before[fold != 0], after[fold != 0])
    # Three of the twelve sites have each place: with a third of the sites left out, never enough to know it.
    known = design.known(fold != 0)
    assert not set(design.keys[known].tolist()) & set(fitting.words_of_blocks(*blocks_of("<i>harbour</i>")).keys[:1])


def test_blocks_without_weight_teach_nothing(made: tuple) -> None:
    """Their labels may be what they like."""
    design, labels, _weights = made
    weights = np.where(np.arange(len(labels)) < 6, 0.0, 1.0)
    other = np.where(weights > 0, labels, ~labels)
    every = np.ones(len(labels), dtype=bool)
    one, two = (fitting.fit(design, known, weights, inside=every).fields(design) for known in (labels, other))
    assert one == two
