"""Fitting the network that takes a second look, on made-up pages."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.crawling.engine.reading.around import Around
from tasks.crawling.engine.reading.second_look import SecondLook

fitting = pytest.importorskip("bench.extraction_second", reason="needs the bench extra")

PAGES = 24


def lesson(seed: int, kind: type = np.float32):
    """A page whose first half is main text; scores tell so of most blocks, not of each."""
    chance = np.random.default_rng(seed)
    count = int(chance.integers(20, 40))
    labels = (np.arange(count) < count / 2).astype(kind)
    words = chance.integers(1, 30, count).astype(kind)
    scores = ((2 * labels - 1) + chance.normal(0, 2, (2, count))).astype(kind)
    return fitting.Lesson(scores[0], scores[1], words, np.arange(count) % 5, labels, int((words * labels).sum()))


@pytest.fixture(scope="module")
def fitted() -> dict[str, np.ndarray]:
    """What is learned from the made-up pages."""
    return fitting.fit([lesson(seed) for seed in range(PAGES)], epochs=6)


def test_fitted_network_lowers_the_loss_of_pages_that_it_did_not_see(fitted: dict) -> None:
    """Blocks that are misjudged stand among others that are not."""
    others = [lesson(seed) for seed in range(100, 120)]
    look = fitting.look(fitted)
    before = [fitting.loss(one, one.seen().scores)[0] for one in others]
    after = [fitting.loss(one, one.seen().scores + look.corrections(one.seen()))[0] for one in others]
    assert np.mean(after) < np.mean(before) - 0.02


def test_same_pages_give_the_same_file(fitted: dict, tmp_path: Path) -> None:
    """And what is read from it is what was fitted."""
    again = fitting.fit([lesson(seed) for seed in range(PAGES)], epochs=6)
    for name, weights in (("one", fitted), ("two", again)):
        fitting.write(weights, file=tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    seen = lesson(7).seen()
    read = SecondLook.read(json.loads((tmp_path / "one").read_text(encoding="utf-8")))
    assert np.array_equal(SecondLook(fitted).corrections(seen), read.corrections(seen))


@pytest.mark.parametrize("name", list(fitting.SHAPES))
def test_gradient_is_the_slope_of_the_loss(name: str) -> None:
    """Of single weights of each layer, moved a little either way."""
    chance = np.random.default_rng(2)
    page = lesson(3, np.float64)
    seen = page.seen()
    begun = {key: of + chance.normal(0, 0.05, of.shape) for key, of in fitting.begun(chance).items()}
    found = fitting.learn(begun, seen, page, np.random.default_rng(9))[1][name]
    for _ in range(5):
        at = tuple(chance.integers(0, size) for size in found.shape)
        ends = []
        for way in (1e-4, -1e-4):
            moved = {key: of.copy() for key, of in begun.items()}
            moved[name][at] += way
            ends.append(fitting.learn(moved, seen, page, np.random.default_rng(9))[0])
        assert np.isclose((ends[0] - ends[1]) / 2e-4, found[at], rtol=1e-3, atol=1e-7)


def test_means_taken_back_are_the_transpose() -> None:
    """The product of one side with the joined rows is that of the other side with the parted ones."""
    chance = np.random.default_rng(4)
    paths, words = chance.integers(0, 6, 30), chance.integers(1, 20, 30).astype(float)
    around = Around.of(paths=paths, words=words, likely=chance.random(30))
    rows = chance.normal(size=(30, 3))
    joined = around.joined(rows)
    other = chance.normal(size=joined.shape)
    assert np.isclose((joined * other).sum(), (rows * around.parted(other)).sum())


def test_long_page_is_learned_from_in_parts() -> None:
    """Of a part, the words to find are those of its own main text."""
    count = 3 * fitting.SHOWN_BLOCKS
    ones = np.ones(count, dtype=np.float32)
    whole = fitting.Lesson(ones, ones, 2 * ones, np.arange(count), ones, 2 * count)
    for seed in range(4):
        part = whole.part(np.random.default_rng(seed))
        assert fitting.SHOWN_BLOCKS == len(part.words)
        assert 2 * fitting.SHOWN_BLOCKS == part.wanted
