"""The network that corrects the scores of blocks by those of the blocks around."""

import json
from importlib import resources

import numpy as np

from tasks.crawling.engine import reading
from tasks.crawling.engine.reading.around import RADII, Around
from tasks.crawling.engine.reading.mixing import first_look, mixed
from tasks.crawling.engine.reading.second_look import SHAPES, SecondLook, load_second_look

FILE_BYTES = 150_000
COUNT = 60


def page(seed: int = 0) -> dict[str, np.ndarray]:
    """Scores of a made-up page: the second half of its blocks is built alike."""
    chance = np.random.default_rng(seed)
    return {
        "by_trees": chance.normal(0, 2, COUNT).astype(np.float32),
        "by_words": chance.normal(0, 2, COUNT).astype(np.float32),
        "words": chance.integers(1, 40, COUNT).astype(np.float32),
        "paths": np.where(np.arange(COUNT) < COUNT // 2, np.arange(COUNT), COUNT),
    }


def test_means_are_of_blocks_built_alike_of_the_page_and_of_neighbours() -> None:
    """Held against sums over pairs of blocks, one by one."""
    chance = np.random.default_rng(1)
    paths, words = np.array([3, 0, 3, 0, 1]), np.array([1, 4, 9, 16, 25], dtype=np.float32)
    likely, rows = chance.random(5).astype(np.float32), chance.random((5, 2)).astype(np.float32)
    roots = np.sqrt(words)
    near = np.abs(np.arange(5)[:, None] - np.arange(5))
    parts = [
        (paths[:, None] == paths) * roots,
        np.tile(roots, (5, 1)),
        np.tile(roots * likely, (5, 1)),
        *(near <= radius for radius in RADII),
    ]
    expected = [rows, *(part / part.sum(axis=1, keepdims=True) @ rows for part in parts)]
    found = Around.of(paths=paths, words=words, likely=likely).joined(rows)
    assert np.allclose(np.concatenate(expected, axis=1), found, atol=1e-6)


def test_block_is_corrected_by_what_stands_around_it() -> None:
    """The same block, far from the end: only others have other scores."""
    before = page()
    other = {**before, "by_trees": np.where(np.arange(COUNT) == 5, before["by_trees"], before["by_trees"] + 3)}
    one, two = (load_second_look().corrections(first_look(**of)) for of in (before, other))
    assert np.isfinite(one).all()
    assert not np.isclose(one[5], two[5], atol=1e-3)


def test_same_page_is_judged_the_same_and_likelihoods_are_within_bounds() -> None:
    """Also where the models are sure of all blocks, or of none, and where there is one block."""
    assert np.array_equal(mixed(**page()), mixed(**page()))
    for sure in (-60.0, 60.0):
        extreme = {**page(), "by_trees": np.full(COUNT, sure, dtype=np.float32)}
        likely = mixed(**extreme)
        assert ((likely >= 0) & (likely <= 1)).all()
    single = {name: of[:1] for name, of in page().items()}
    assert np.isfinite(mixed(**(single | {"paths": np.array([0])}))).all()


def test_network_without_weights_corrects_nothing() -> None:
    """All of what is said a second time comes from the file."""
    idle = SecondLook({name: np.zeros(shape, dtype=np.float32) for name, shape in SHAPES.items()})
    made = page()
    likely = mixed(**made, look=idle)
    assert np.allclose(1 / (1 + np.exp(-first_look(**made).scores)), likely, atol=1e-6)


def test_shipped_network_is_small_and_holds_all_its_weights() -> None:
    """A field for each layer, finite numbers of 16 bits."""
    text = resources.files(reading).joinpath("second_look.json").read_text(encoding="utf-8")
    assert len(text) < FILE_BYTES
    assert set(SHAPES) == set(json.loads(text))
    assert np.isfinite(load_second_look().corrections(first_look(**page()))).all()
