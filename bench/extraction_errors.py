"""Where word F1 is lost, by page type, and what could be reached at all.

``python -m bench.extraction_errors [--data FOLDER] [--every N] [--json]``; pages are judged by models that saw no page
of their site.

Each page's loss (one less its F1) is put down to one cause: ``absent`` where less than half of the reviewed words stand
in the page's HTML, else ``too_much`` or ``too_little``, whichever of precision and recall is lower. Bounds: ``present``
keeps each reviewed word that the page has and no other; ``subset`` is the best set of our blocks that a search finds,
which knows the answer; ``labels`` keeps the blocks that the models are taught to keep; ``cut`` takes the blocks in our
order and knows where to stop.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from bench.extraction import DEVELOPMENT, read_cases, word_f1
from bench.extraction_fit import IS_MAIN, Sample, judge_out_of_fold, kept_by, words_kept

BOUNDS = ("present", "subset", "labels", "cut", "ours")
CAUSES = ("absent", "too_much", "too_little")
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one page."""

    page_type: str
    f1: dict[str, float]
    cause: str


class _Bag:
    """Some blocks of a page, and their F1; blocks come and go at the cost of their own words."""

    def __init__(self, sample: Sample) -> None:
        self._wanted = sample.case.words
        self._total = self._wanted.total()
        self._blocks = [Counter(block.tokens) for block in sample.cut.blocks]
        self._found: Counter[str] = Counter()
        self._both = self._count = 0
        self.inside: set[int] = set()

    def f1(self) -> float:
        return 2 * self._both / (self._count + self._total)

    def move(self, number: int) -> None:
        """Add the block, or take it away where it is inside."""
        sign = -1 if number in self.inside else 1
        for word, count in self._blocks[number].items():
            before, limit = self._found[word], self._wanted.get(word, 0)
            self._found[word] = before + sign * count
            self._both += min(self._found[word], limit) - min(before, limit)
            self._count += sign * count
        self.inside ^= {number}


def account(sample: Sample, likely: np.ndarray) -> Account:
    """Return the bounds of a page and why its F1 is below one."""
    wanted = sample.case.words
    present = (words_kept(sample, range(len(sample.cut.blocks))) & wanted).total() / wanted.total()
    found = words_kept(sample, kept_by(sample, likely))
    both = (found & wanted).total()
    is_too_much = both * wanted.total() < both * found.total()
    taught = [int(number) for number in np.flatnonzero(sample.labels >= IS_MAIN)]
    f1 = {
        "present": 2 * present / (1 + present),
        "subset": _best_subset(sample, taught),
        "labels": word_f1(words_kept(sample, taught), wanted),
        "cut": _best_cut(sample, likely),
        "ours": word_f1(found, wanted),
    }
    return Account(sample.case.page_type, f1, "absent" if present < 0.5 else CAUSES[1 if is_too_much else 2])


def _best_subset(sample: Sample, start: list[int]) -> float:
    bag = _Bag(sample)
    for number in start:
        bag.move(number)
    for _ in range(ROUNDS):
        before = bag.f1()
        for number in range(len(sample.cut.blocks)):
            best = bag.f1()
            bag.move(number)
            if bag.f1() <= best:
                bag.move(number)
        if bag.f1() <= before:
            break
    return bag.f1()


def _best_cut(sample: Sample, likely: np.ndarray) -> float:
    bag, best = _Bag(sample), 0.0
    for number in np.argsort(-likely, kind="stable"):
        bag.move(int(number))
        best = max(best, bag.f1())
    return best


def summary(accounts: list[Account]) -> dict[str, float]:
    """Return the mean bounds, and the loss a page put down to each cause."""
    lost = {cause: sum(1 - a.f1["ours"] for a in accounts if a.cause == cause) / len(accounts) for cause in CAUSES}
    bounds = {bound: mean(a.f1[bound] for a in accounts) for bound in BOUNDS}
    return {"pages": len(accounts), **{name: round(value, 4) for name, value in (bounds | lost).items()}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEVELOPMENT, help="folder with reviewed pages")
    parser.add_argument("--every", type=int, default=1, help="only each Nth page")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    folder = options.data / "extraction" if (options.data / "extraction").is_dir() else options.data
    if not (folder / "truth.jsonl.gz").is_file():
        parser.error(f"{folder} has no truth.jsonl.gz; name another folder with --data")
    _without, cases = read_cases(folder, every=options.every)
    accounts = [account(sample, likely) for sample, likely in judge_out_of_fold(cases)]
    types = sorted({a.page_type for a in accounts})
    table = {"all": summary(accounts)} | {t: summary([a for a in accounts if a.page_type == t]) for t in types}
    print(f"{'':<15}" + "".join(f"{name:>11}" for name in table["all"]))
    for name, row in table.items():
        print(f"{name:<15}" + "".join(f"{value:>11.4g}" for value in row.values()))
    if options.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
