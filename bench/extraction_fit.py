"""Fitting the models that find main text: which type a page is of, and which of its blocks are main text, twice.

Blocks are labelled by holding them against the reviewed text. Every judgement that a model builds on was made by a
model that had not seen the site, as at run time. The odds of page types are by models without
the page's own fold, also where the second look asks for scores without another one (see ``extraction_nested``).
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from bench import extraction_second, extraction_words
from bench.extraction import Case, word_f1
from bench.extraction_nested import fitted_by_fold, nested_scores, own_scores
from bench.extraction_second import Lesson
from bench.fitting import folds, site_of
from tasks.crawling.engine.reading import reader
from tasks.crawling.engine.reading.blocks import WORD, Cut, cut_page
from tasks.crawling.engine.reading.features import block_table
from tasks.crawling.engine.reading.mixing import mixed
from tasks.crawling.engine.reading.page_type import PAGE_TYPES
from tasks.crawling.engine.reading.paths import Paths
from tasks.crawling.engine.reading.second_look import SecondLook
from tasks.crawling.engine.reading.structured import read_structured
from tasks.crawling.engine.reading.table import Table
from tasks.crawling.engine.reading.told import Told, read_told

PACKAGE = Path(reader.__file__).parent
FOLDS = 5
# A block counts as main text where at least half of its runs of three words are.
IS_MAIN = 0.5
SHORT_WORDS = 6
# Models learn from so many blocks of a page at most, drawn by chance: a page of thousands has little more to teach.
TAUGHT_BLOCKS = 200
NEAR_BLOCKS = 12
# The blocks' model is the mean of so many, which differ in the features that each tree may use.
MEMBERS = 3
ROUNDS = 120
_SETTINGS = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 16, "min_data_in_leaf": 40, "lambda_l2": 10.0,
    "max_bin": 63, "feature_fraction": 0.25, "num_threads": 1, "deterministic": True, "force_col_wise": True,
    "verbosity": -1,
}  # fmt: skip


@dataclass(slots=True)
class Sample:
    """A page, cut and labelled."""

    case: Case
    cut: Cut
    title: str
    told: Told
    page: np.ndarray
    page_names: list[str]
    labels: np.ndarray
    words: np.ndarray
    paths: np.ndarray
    said: extraction_words.Words


def prepare(case: Case) -> Sample:
    """Return the page as the models see it, with its labels."""
    tree = case.tree()
    cut = cut_page(tree)
    items = read_structured(tree)
    paths = Paths(cut.nodes, cut.blocks)
    row = reader.page_row(cut, tree, url=case.url, items=items)
    return Sample(
        case=case,
        cut=cut,
        title=reader.title_of(tree),
        told=read_told(tree, items),
        page=row.matrix()[0],
        page_names=row.names,
        labels=label(cut, case.text),
        words=reader.lengths(cut),
        paths=paths.of_block,
        said=extraction_words.words_of_blocks(cut.blocks, paths),
    )


def label(cut: Cut, text: str) -> np.ndarray:
    """Return for each block how much of it is in the reviewed text, from 0 to 1.

    A short text, or one that a page repeats, may stand on the page more often than in the reviewed text: then those are
    main text that have most of it around them.
    """
    wanted = WORD.findall(text.lower())
    threes = set(zip(wanted, wanted[1:], wanted[2:], strict=False))
    whole = f" {' '.join(wanted)} "
    labels = np.full(len(cut.blocks), -1.0)
    unsure: dict[tuple[str, ...], list[int]] = {}
    for number, block in enumerate(cut.blocks):
        words = block.tokens
        if len(words) < SHORT_WORDS:
            unsure.setdefault(tuple(words), []).append(number)
            continue
        labels[number] = sum(three in threes for three in zip(words, words[1:], words[2:], strict=False)) / (
            len(words) - 2
        )
        if labels[number] >= IS_MAIN:
            unsure.setdefault(tuple(words), []).append(number)
    known = labels.copy()
    counts = {words: whole.count(f" {' '.join(words)} ") for words in unsure}
    for words, numbers in unsure.items():
        is_long = len(words) >= SHORT_WORDS
        if is_long and len(numbers) <= max(counts[words], 1):
            continue
        known[numbers] = 1.0 if not is_long and 0 < len(numbers) <= counts[words] and len(words) > 3 else -1.0
        labels[numbers] = known[numbers]
    sizes = np.array([min(len(block.tokens), 30) for block in cut.blocks])
    for words, numbers in unsure.items():
        open_ones = [number for number in numbers if labels[number] < 0]
        room = max(counts[words], 1 if len(words) >= SHORT_WORDS else 0)
        ranked = sorted(open_ones, key=lambda number: (-_mains_near(known, sizes, number), number))
        for place, number in enumerate(ranked):
            labels[number] = float(place < room and _mains_near(known, sizes, number) > 0.25)
    return labels


def _mains_near(known: np.ndarray, sizes: np.ndarray, number: int) -> float:
    low, high = max(0, number - NEAR_BLOCKS), min(len(known), number + NEAR_BLOCKS + 1)
    weights = sizes[low:high] * np.exp(-np.abs(np.arange(low, high) - number) / 4) * (known[low:high] >= 0)
    return float((known[low:high] * weights).sum() / weights.sum()) if weights.sum() else 0.5


def _page_model() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.15, max_leaf_nodes=6, min_samples_leaf=8, l2_regularization=5, max_bins=32,
        early_stopping=False, max_features=0.3, random_state=0,
    )  # fmt: skip


def _table(sample: Sample, odds: np.ndarray) -> Table:
    return block_table(sample.cut, url=sample.case.url, title=sample.title, told=sample.told, odds=odds)


def try_out_of_fold(cases: list[Case], *, is_written: bool) -> list[float]:
    """Return each page's score by models that did not see its site; ``is_written`` also writes those fitted on all."""
    judged = judge_out_of_fold(cases, is_written=is_written)
    return [word_f1(words_kept(sample, kept_by(sample, likely)), sample.case.words) for sample, likely in judged]


def judge_out_of_fold(cases: list[Case], *, is_written: bool = False) -> list[tuple[Sample, np.ndarray]]:
    """Return each page and how likely its blocks are main text, by models that did not see its site."""
    samples = [prepare(case) for case in cases]
    fold = folds([site_of(case.url) for case in cases], FOLDS)
    types = np.array([case.page_type for case in cases])
    pages = np.stack([sample.page for sample in samples])
    odds = np.zeros((len(samples), len(PAGE_TYPES)), dtype=np.float32)
    for k in range(FOLDS):
        model = _page_model().fit(pages[fold != k], types[fold != k])
        columns = [PAGE_TYPES.index(name) for name in model.classes_]
        odds[np.ix_(fold == k, columns)] = model.predict_proba(pages[fold == k])
    full = [number for number, sample in enumerate(samples) if len(sample.labels)]
    tables = {n: _table(samples[n], odds[n]) for n in full}
    page_of = np.concatenate([np.full(len(samples[n].labels), n) for n in full])
    rows = np.concatenate([tables[n].matrix() for n in full])
    is_main = np.concatenate([samples[n].labels for n in full]) >= IS_MAIN
    weights = _weights(np.concatenate([samples[n].words for n in full]), page_of)
    design = extraction_words.Design.of([samples[n].said for n in full], [site_of(cases[n].url) for n in full])
    of_block = fold[page_of]
    by_words = nested_scores(lambda inside: _by_words(design, is_main, weights, inside), of_block, FOLDS)
    by_trees = nested_scores(lambda inside: _by_trees(rows, is_main, weights, inside), of_block, FOLDS)

    def lessons(trees: np.ndarray, words: np.ndarray) -> list[Lesson]:
        return [_lesson(s, trees[page_of == n], words[page_of == n]) for n, s in enumerate(samples)]

    pairs = [lessons(trees, words) for trees, words in zip(by_trees, by_words, strict=True)]
    looks = [extraction_second.look(weights_of) for weights_of in fitted_by_fold(pairs, fold)]
    own = lessons(own_scores(by_trees, of_block), own_scores(by_words, of_block))
    if is_written:
        _write_page_types(_page_model().fit(pages, types), samples[0].page_names)
        _write_blocks(_fitted(rows, is_main, weights), tables[full[0]].names)
        extraction_words.write(design, is_main, weights)
        extraction_second.write(extraction_second.fit([lesson for lesson in own if len(lesson.words)]))
    print(f"  page types right, out of fold: {np.mean(np.array(PAGE_TYPES)[odds.argmax(axis=1)] == types):.3f}")
    return [(s, _likely(lesson, looks[k])) for s, lesson, k in zip(samples, own, fold.tolist(), strict=True)]


def _lesson(sample: Sample, by_trees: np.ndarray, by_words: np.ndarray) -> Lesson:
    return Lesson(by_trees, by_words, sample.words, sample.paths, sample.labels, sample.case.words.total())


def _likely(lesson: Lesson, look: SecondLook) -> np.ndarray:
    return mixed(lesson.by_trees, lesson.by_words, words=lesson.words, paths=lesson.paths, look=look)


def _weights(words: np.ndarray, page_of: np.ndarray) -> np.ndarray:
    """Return weights by which each page counts the same, and its long blocks more than its short ones.

    Blocks that models do not learn from weigh nothing.
    """
    chance = np.random.default_rng(0).random(len(words))
    rank = np.empty(len(words))
    for page in np.unique(page_of):
        of_page = np.flatnonzero(page_of == page)
        rank[of_page[np.argsort(chance[of_page])]] = np.arange(len(of_page))
    weights = np.sqrt(words) * (rank < TAUGHT_BLOCKS)
    return weights / np.bincount(page_of, weights)[page_of] * 100


def _fitted(rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> list[lightgbm.Booster]:
    taught = weights > 0
    data = lightgbm.Dataset(rows[taught], labels[taught].astype(np.float32), weight=weights[taught], params=_SETTINGS)
    return [lightgbm.train({**_SETTINGS, "seed": seed}, data, ROUNDS) for seed in range(MEMBERS)]


def _by_trees(rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> np.ndarray:
    models = _fitted(rows[inside], labels[inside], weights[inside])
    return np.mean([model.predict(rows[~inside], raw_score=True, num_threads=1) for model in models], axis=0)


def _by_words(
    design: extraction_words.Design, labels: np.ndarray, weights: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    return extraction_words.fit(design, labels, weights, inside=inside).scores(design, ~inside)


def kept_by(sample: Sample, likely: np.ndarray) -> list[int]:
    """Return the blocks that are kept of a page, as at run time."""
    return reader.kept_blocks(sample.cut, likely)


def words_kept(sample: Sample, blocks: Iterable[int]) -> Counter[str]:
    """Return the words of some of a page's blocks."""
    found: Counter[str] = Counter()
    for number in blocks:
        found.update(sample.cut.blocks[number].tokens)
    return found


def _write_page_types(model: HistGradientBoostingClassifier, features: list[str]) -> None:
    rounds = [[_nodes(predictor.nodes) for predictor in group] for group in model._predictors]
    baseline = [round(float(value), 5) for value in np.ravel(model._baseline_prediction)]
    _write("page_types", [str(label) for label in model.classes_], features, baseline=baseline, rounds=rounds)


def _write_blocks(models: list[lightgbm.Booster], features: list[str]) -> None:
    dumped = [tree["tree_structure"] for model in models for tree in model.dump_model()["tree_info"]]
    _write("blocks", ["main"], features, baseline=[0.0], rounds=[[_flat(tree)] for tree in dumped])


def _write(name: str, classes: list[str], features: list[str], *, baseline: list[float], rounds: list) -> None:
    fields = {"classes": classes, "features": features, "baseline": baseline, "rounds": rounds}
    (PACKAGE / f"{name}.json").write_text(json.dumps(fields, separators=(",", ":")) + "\n", encoding="utf-8")


def _flat(tree: dict[str, Any]) -> list[list[float]]:
    """Return a tree as five lists, a place a node: feature (-1 for a leaf), threshold, left, right, value."""
    nodes: list[list[float]] = []

    def add(node: dict[str, Any]) -> int:
        place = len(nodes)
        if "leaf_value" in node:
            nodes.append([-1, 0, 0, 0, round(node["leaf_value"] / MEMBERS, 5)])
            return place
        nodes.append([node["split_feature"], float(f"{node['threshold']:.6g}"), 0, 0, 0])
        nodes[place][2] = add(node["left_child"])
        nodes[place][3] = add(node["right_child"])
        return place

    add(tree)
    return [list(part) for part in zip(*nodes, strict=True)]


def _nodes(nodes: np.ndarray) -> list[list[float]]:
    is_leaf = nodes["is_leaf"].astype(bool)
    return [
        [-1 if leaf else int(feature) for leaf, feature in zip(is_leaf, nodes["feature_idx"], strict=True)],
        [0 if leaf else float(f"{value:.6g}") for leaf, value in zip(is_leaf, nodes["num_threshold"], strict=True)],
        [int(value) for value in nodes["left"]],
        [int(value) for value in nodes["right"]],
        [round(float(value), 5) if leaf else 0 for leaf, value in zip(is_leaf, nodes["value"], strict=True)],
    ]
