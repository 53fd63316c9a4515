"""How well the main text of pages is found, by page type, beside trafilatura alone.

``python -m bench.extraction [--data FOLDER] [--json] [--shipped] [--every N] [--fit]``

FOLDER has ``truth.jsonl.gz`` and ``html/``, or is the parent of ``extraction/`` that has. Without ``--data``, the
development data beside the repository is used and our figures are OUT OF FOLD: each page is read by models that were
fitted without its site. With ``--data``, the SHIPPED models are tried as they are: give it only data that they were not
fitted on (``--shipped`` does so for the development data, which they were). ``--fit`` fits the shipped models anew on
all of FOLDER, writes them into the package, and prints out-of-fold figures.

``interval`` is the 95 % interval of ``f1_all``, by drawing sites anew. ``f1_published_mix`` weighs the types by their
pages in the full development split (more than half are articles), where our half has about as many of each.

Word F1: lower-cased ``\\w+`` tokens as multisets, precision and recall against the reviewed main text, harmonic mean,
averaged over pages. Of our Markdown the targets of links do not count. Pages whose reviewed text is empty are left out
(``pages_without_text``).
"""

import argparse
import gzip
import json
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import lxml.html
import trafilatura
from courlan import extract_domain

from tasks.crawling.engine.page import parse_page, read_outline, read_text
from tasks.crawling.engine.reading.markdown import plain

DEVELOPMENT = Path(__file__).parents[2] / "shared" / "data" / "extraction"
TIMED_EVERY = 5
# Pages of each type in the full development split, as its authors publish them.
PUBLISHED_PAGES = {
    "article": 793, "collection": 117, "documentation": 91, "forum": 113, "listing": 99, "product": 119, "service": 165,
}  # fmt: skip
DRAWS = 2000
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Case:
    """A page with its reviewed text."""

    id: str
    url: str
    page_type: str
    body: bytes
    words: Counter[str]
    text: str

    def tree(self) -> lxml.html.HtmlElement:
        """Return the page, parsed."""
        tree = parse_page(self.body, charset=None)
        return lxml.html.document_fromstring("<html></html>") if tree is None else tree


def read_cases(folder: Path, *, every: int = 1) -> tuple[int, list[Case]]:
    """Return the number of pages without a reviewed text, and the others; only each ``every``th of them."""
    with gzip.open(folder / "truth.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines][::every]
    cases = []
    for record in records:
        text = record.get("main_content") or ""
        kind = record["page_type"]
        if text.strip():
            cases.append(
                Case(
                    id=record["id"],
                    url=record["url"],
                    page_type=kind["primary"] if isinstance(kind, dict) else kind,
                    body=gzip.decompress((folder / "html" / f"{record['id']}.html.gz").read_bytes()),
                    words=words_of(text),
                    text=text,
                )
            )
    return len(records) - len(cases), cases


def words_of(text: str) -> Counter[str]:
    """Return the words that are counted."""
    return Counter(_WORD.findall(text.lower()))


def word_f1(found: Counter[str], wanted: Counter[str]) -> float:
    """Return the harmonic mean of precision and recall."""
    both = (found & wanted).total()
    return 2 * both / (found.total() + wanted.total()) if both else 0.0


def averages(cases: list[Case], scores: list[float]) -> dict:
    """Return the means over all pages and over those of each type."""
    by_type: dict[str, list[float]] = {}
    for case, score in zip(cases, scores, strict=True):
        by_type.setdefault(case.page_type, []).append(score)
    by_site: dict[str, list[float]] = {}
    for case, score in zip(cases, scores, strict=True):
        by_site.setdefault(extract_domain(case.url) or case.url, []).append(score)
    known = {name: mean(of) for name, of in by_type.items() if name in PUBLISHED_PAGES}
    mixed = sum(PUBLISHED_PAGES[name] * value for name, value in known.items())
    return {
        "f1_all": round(mean(scores), 4),
        "f1_by_type": {name: round(mean(of), 4) for name, of in sorted(by_type.items())},
        "interval": interval([(sum(of), len(of)) for of in by_site.values()]),
        "f1_published_mix": round(mixed / sum(PUBLISHED_PAGES[name] for name in known), 4),
    }


def interval(sums: list[tuple[float, int]]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over pages, given sum and count of each site; sites are drawn, not pages."""
    chance = random.Random(0)
    means = []
    for _ in range(DRAWS):
        drawn = chance.choices(sums, k=len(sums))
        means.append(sum(total for total, _count in drawn) / sum(count for _total, count in drawn))
    means.sort()
    return round(means[DRAWS * 25 // 1000], 4), round(means[DRAWS * 975 // 1000], 4)


def try_trafilatura(cases: list[Case]) -> tuple[list[float], list[float]]:
    """Return the scores of trafilatura as it comes, and its milliseconds of CPU, page by page."""
    return _timed(cases, lambda case: trafilatura.extract(case.body) or "")


def try_shipped(cases: list[Case]) -> tuple[list[float], list[float]]:
    """Return the scores of all that the crawler does with a page, and its milliseconds of CPU, page by page."""
    return _timed(cases, _read)


def _read(case: Case) -> str:
    tree = parse_page(case.body, charset=None)
    read_outline(tree, url=case.url)
    return plain(read_text(tree, url=case.url).text)


def _timed(cases: list[Case], read: Callable[[Case], str]) -> tuple[list[float], list[float]]:
    scores, times = [], []
    for case in cases:
        started = time.process_time()
        text = read(case)
        times.append(1000 * (time.process_time() - started))
        scores.append(word_f1(words_of(text), case.words))
    return scores, times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with reviewed pages; tries the shipped models on it")
    parser.add_argument("--every", type=int, default=1, help="only each Nth page")
    parser.add_argument("--shipped", action="store_true", help="try the shipped models on the development data too")
    parser.add_argument("--fit", action="store_true", help="fit the shipped models anew")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    folder = options.data or DEVELOPMENT
    if (folder / "extraction" / "truth.jsonl.gz").is_file():
        folder = folder / "extraction"
    if not (folder / "truth.jsonl.gz").is_file():
        parser.error(f"{folder} has no truth.jsonl.gz; name another folder with --data")
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    without, cases = read_cases(folder, every=options.every)
    is_shipped = (options.data is not None or options.shipped) and not options.fit
    ours: list[float] = []
    if not is_shipped:
        from bench.extraction_fit import try_out_of_fold  # noqa: PLC0415  # needs scikit-learn

        ours = try_out_of_fold(cases, is_written=options.fit)
    # Out of fold, the shipped models are only timed, on fewer pages.
    step = 1 if is_shipped else TIMED_EVERY
    theirs, their_times = try_trafilatura(cases)
    shipped, our_times = try_shipped(cases[::step])
    ours = ours or shipped
    our_ms, their_ms = mean(our_times), mean(their_times[::step])
    way = "shipped models" if is_shipped else "out of fold, by site"
    figures = {"pages": len(cases), "pages_without_text": without, **averages(cases, ours)}
    alone = averages(cases, theirs)
    print(f"extraction: {way}, {len(cases)} pages ({without} more without a reviewed text)")
    print(f"  {'':<16}{'ours':>8}  trafilatura {trafilatura.__version__}")
    rows = {"all": [f["f1_all"] for f in (figures, alone)]}
    rows["published mix"] = [f["f1_published_mix"] for f in (figures, alone)]
    rows |= {name: [f["f1_by_type"][name] for f in (figures, alone)] for name in figures["f1_by_type"]}
    for name, pair in rows.items():
        print(f"  {name:<16}{pair[0]:>8.4f}{pair[1]:>13.4f}")
    ends = [" to ".join(f"{end:.4f}" for end in f["interval"]) for f in (figures, alone)]
    print(f"  95 % of all: {ends[0]}; trafilatura {ends[1]}")
    print(f"  {'ms a page':<16}{our_ms:>8.1f}{their_ms:>13.1f}")
    if options.json:
        times = {"ms_per_page": round(our_ms, 1), "trafilatura_ms_per_page": round(their_ms, 1)}
        print(json.dumps({**figures, "trafilatura": alone, **times, "bench": "extraction", "evaluation": way}))


if __name__ == "__main__":
    main()
