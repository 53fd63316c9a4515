"""What the words of a block say of it, and how much blocks that are built alike lean on each other."""

import json
from base64 import b64decode, b64encode
from importlib import resources
from pathlib import Path
from zlib import crc32

import numpy as np

from tasks.crawling.engine import reading
from tasks.crawling.engine.page import parse_page, read_text
from tasks.crawling.engine.reading.blocks import Cut, cut_page
from tasks.crawling.engine.reading.mixing import HALF_WORDS, WORDS_SHARE, first_look, mixed
from tasks.crawling.engine.reading.paths import Paths
from tasks.crawling.engine.reading.word_model import Placed, WordModel, hashed, load_words, read_words

PAGES = Path(__file__).parent / "pages"
FILE_BYTES = 100_000


def cut_of(fragment: str) -> tuple[Cut, Paths]:
    cut = cut_page(parse_page(f"<body>{fragment}</body>".encode(), charset=None))
    return cut, Paths(cut.nodes, cut.blocks)


def hashes(placed: list[Placed]) -> set[int]:
    return {hashed(place, word) for place, words in placed for word in words}


def test_blocks_are_alike_whose_boxes_have_the_same_names_all_the_way_up() -> None:
    """Inline elements make no difference; another class anywhere above does."""
    card = '<div class="card"><p>{}</p></div>'
    _cut, paths = cut_of(
        card.format("One")
        + card.format("<b>Two</b>")
        + f'<section class="other">{card.format("Three")}</section>'
        + '<div class="card wide"><p>Four</p></div>'
    )
    first, second, third, fourth = paths.of_block.tolist()
    assert first == second
    assert 3 == len({first, third, fourth})


def test_names_around_a_block_are_near_or_far() -> None:
    """The three innermost elements are near, those around them far; a name may be both."""
    _cut, paths = cut_of('<div class="outerShell"><div class="b-c"><ul><li>Text</li></ul></div></div>')
    near, far = paths.near_and_far(int(paths.of_block[0]))
    assert {"div", "ul", "li"} == near  # single letters are no names
    assert {"html", "body", "div", "outer", "shell"} == far


def test_words_are_those_of_the_block_the_heading_above_and_the_names_around() -> None:
    """Each place has its own hashes, and a number counts as any of its length."""
    cut, paths = cut_of('<h2>Tide tables</h2><div><p class="lead">Low 1815</p></div>')
    heading, text = read_words(cut.blocks, paths, hashes)
    assert set() == heading[1]
    assert {crc32(b"t:low"), crc32(b"t:0000"), crc32(b"x:low 0000")} == text[0]
    assert {crc32(b"h:tide"), crc32(b"h:tables")} == text[1]
    near = {crc32(b"n:lead"), crc32(b"n:p"), crc32(b"n:div"), crc32(b"n:body")}
    assert near | {crc32(b"f:html")} == text[2]


def test_score_is_the_bias_and_the_known_weights_over_the_root_of_their_number() -> None:
    """Words that the model does not know change nothing."""
    keys = np.array([crc32(b"t:low"), crc32(b"t:tide")], dtype="<u4")
    weights = np.array([100, -36], dtype=np.int8)
    model = WordModel({"bias": -1.0, "scale": 0.5, "keys": encoded(keys), "weights": encoded(weights)})
    scores = model.scores(*blocks_of("<p>low</p><p>low tide</p><p>low tide of another year</p><p>nothing</p>"))
    two = -1 + 0.5 * 64 / np.sqrt(2)
    assert np.allclose([49, two, two, -1], scores)
    assert 0 == len(model.scores(*blocks_of("")))


def encoded(array: np.ndarray) -> str:
    return b64encode(array.tobytes()).decode()


def blocks_of(fragment: str) -> tuple[list, Paths]:
    cut, paths = cut_of(fragment)
    return cut.blocks, paths


def test_shipped_weights_are_small_and_no_word_can_be_read_in_them() -> None:
    """Four fields: two numbers, hashes in ascending order, and a weight each."""
    text = resources.files(reading).joinpath("word_weights.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    assert {"bias", "scale", "keys", "weights"} == set(fields)
    assert len(text) < FILE_BYTES
    keys = np.frombuffer(b64decode(fields["keys"]), dtype="<u4").astype(np.int64)
    weights = np.frombuffer(b64decode(fields["weights"]), dtype=np.int8)
    assert len(keys) == len(weights) == len(load_words())
    assert (np.diff(keys) > 0).all()
    assert 127 == np.abs(weights.astype(int)).max()


def test_short_blocks_lean_on_those_that_are_built_alike() -> None:
    """A long block has its own score, and so has one that nothing is like."""
    by_trees = np.array([4.0, 4.0, -4.0, -4.0], dtype=np.float32)
    by_words = np.zeros(4, dtype=np.float32)
    words = np.array([2, 2, 2, 2], dtype=np.float32)
    paths = np.array([0, 0, 0, 1])
    scores = first_look(by_trees, by_words, words=words, paths=paths).scores
    assert scores[2] > 0 > scores[3]
    assert np.isclose(-4 * (1 - WORDS_SHARE), scores[3])
    words[2] = 50 * HALF_WORDS
    assert first_look(by_trees, by_words, words=words, paths=paths).scores[2] < -2
    assert 0 == len(mixed(by_trees[:0], by_words[:0], words=words[:0], paths=np.zeros(0, dtype=np.int64)))


def test_heading_is_judged_by_its_words() -> None:
    """On the same page, and nothing but the words is another."""
    page = (PAGES / "collection.html").read_text(encoding="utf-8")
    assert 1 == page.count("Filter by")
    found = {}
    for words in ("Spring work", "Filter by", "Related articles"):
        cut = cut_page(parse_page(page.replace("Filter by", words).encode(), charset=None))
        scores = load_words().scores(cut.blocks, Paths(cut.nodes, cut.blocks))
        found[words] = next(scores[at] for at, block in enumerate(cut.blocks) if block.text.strip() == words)
    assert found["Spring work"] > found["Filter by"] + 0.5 > found["Related articles"] + 1.5


def test_every_card_of_a_grid_is_kept_whole() -> None:
    """Names and prices of single cards do not go, whatever words are in them."""
    page = (PAGES / "collection.html").read_bytes()
    lines = read_text(parse_page(page, charset=None), url="https://example.org/collection").text.splitlines()
    assert 8 == sum(line.startswith("### [") for line in lines)
    assert 8 == sum(line.startswith("€") for line in lines)
