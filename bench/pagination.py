"""How well pages of lists are recognised, and which of their links lead to the other pages.

``python -m bench.pagination [--data FOLDER] [--json] [--fit]``

FOLDER has ``index.jsonl`` and ``html/``, or is the parent of ``pagination/`` that has. Without ``--data``, the
development data beside the repository is used and the figures are OUT OF FOLD: ten models, each fitted without the
sites that it is tried on. With ``--data``, the SHIPPED model is tried as it is: give it only data that it was not
fitted on. ``--fit`` fits the shipped weights anew on all of FOLDER, writes them into the package and prints out-of-fold
figures for FOLDER.

``precision`` and ``recall`` are those of pages: a page counts as paginated where it has a labelled link, and as found
where some link is taken for one. The figures for links stand beside them.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lxml.html
import numpy as np
from numpy.typing import NDArray

from bench.fitting import fit, out_of_fold, site_of
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.link_features import link_features
from tasks.discovery.engine.page import Page
from tasks.discovery.engine.pagination import NOT_PAGINATION, PAGE_THRESHOLD, PageLinkKind, find_pagination

ROOT = Path(__file__).parents[1]
DEVELOPMENT = ROOT.parent / "shared" / "data" / "pagination"
WEIGHTS = ROOT / "tasks" / "discovery" / "engine" / "pagination.json"
STRENGTH = 1.0
# Where selectors overlap, the first of these counts.
KINDS = (PageLinkKind.PREVIOUS, PageLinkKind.PAGE, PageLinkKind.NEXT, PageLinkKind.LAST, PageLinkKind.FIRST)


@dataclass(frozen=True, slots=True)
class Case:
    """One page with the kind of each of its links."""

    page: Page
    kinds: list[str]
    site: str


def read_cases(folder: Path) -> list[Case]:
    """Return the labelled pages."""
    cases = []
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        body = gzip.decompress((folder / record["file"]).read_bytes())
        html = body.decode(record["encoding"], "replace")
        page = read_page(html, url=record["url"])
        cases.append(Case(page, _kinds(html, record, count=len(page.links)), site_of(record["url"])))
    return cases


def _kinds(html: str, record: dict, *, count: int) -> list[str]:
    """Return the label of each link of the page. A selector may name a part of a link or what holds it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    tree = lxml.html.document_fromstring(html.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    labelled: dict = {}
    for kind in KINDS:
        for element in tree.cssselect(record[kind]) if record[kind] else ():
            links = [around for around in (element, *element.iterancestors()) if around.tag in ("a", "area")]
            for link in links[:1] or element.iter("a"):
                labelled.setdefault(link, str(kind))
    links = [link for link in tree.iter("a", "area") if link.get("href") is not None]
    return [labelled.get(link, NOT_PAGINATION) for link in links][:count]


def try_shipped(cases: list[Case]) -> dict:
    """Return the figures of the shipped model."""
    surest, answers = [], []
    for case in cases:
        found = find_pagination(case.page)
        kinds = {link.index: str(link.kind) for link in found.links}
        surest.append(found.probability)
        answers.append([kinds.get(index, NOT_PAGINATION) for index in range(len(case.kinds))])
    return measure(cases, surest, answers)


def try_out_of_fold(cases: list[Case], *, is_written: bool) -> dict:
    """Return out-of-fold figures; ``is_written`` also fits on everything and writes the weights."""
    if is_written:
        WEIGHTS.write_text(fit(*_links(cases), strength=STRENGTH).to_json(), encoding="utf-8")
    classes, parts = _out_of_fold(cases)
    none = classes.index(NOT_PAGINATION)
    surest, answers = _surest(classes, parts), []
    for part in parts:
        best = np.where(np.arange(len(classes)) == none, -1.0, part).argmax(axis=1) if len(part) else []
        sure = 1 - part[:, none] >= PAGE_THRESHOLD
        answers.append([classes[one] if is_sure else NOT_PAGINATION for one, is_sure in zip(best, sure, strict=True)])
    return measure(cases, surest, answers)


def surest_out_of_fold(cases: list[Case]) -> list[float]:
    """Return each page's probability of being one of several, by models that saw no page of its site."""
    return _surest(*_out_of_fold(cases))


def _surest(classes: Sequence[str], parts: list[NDArray[np.float64]]) -> list[float]:
    none = classes.index(NOT_PAGINATION)
    return [float((1 - part[:, none]).max(initial=0.0)) for part in parts]


def _out_of_fold(cases: list[Case]) -> tuple[tuple[str, ...], list[NDArray[np.float64]]]:
    """Return the classes, and for each page the probabilities of its links."""
    classes, answer = out_of_fold(*_links(cases), strength=STRENGTH)
    ends = np.cumsum([len(case.kinds) for case in cases])
    return classes, np.split(answer, ends[:-1])


def _links(cases: list[Case]) -> tuple[list[set[str]], list[str], list[str]]:
    """Return features, label and site of each link."""
    rows = [row for case in cases for row in link_features(case.page)]
    labels = [kind for case in cases for kind in case.kinds]
    return rows, labels, [case.site for case in cases for _ in case.kinds]


def measure(cases: list[Case], surest: list[float], answers: list[list[str]]) -> dict:
    """Return the figures; ``surest`` is each page's probability, ``answers`` the kind given to each link."""
    truth = [any(kind != NOT_PAGINATION for kind in case.kinds) for case in cases]
    taken = [probability >= PAGE_THRESHOLD for probability in surest]
    true_kinds = [kind for case in cases for kind in case.kinds]
    given = [kind for page in answers for kind in page]
    pairs = list(zip(true_kinds, given, strict=True))
    figures = {
        "pages": len(cases),
        "paginated": sum(truth),
        "found": sum(taken),
        "precision": _share(sum(map(min, truth, taken)), sum(taken)),
        "recall": _share(sum(map(min, truth, taken)), sum(truth)),
        "links": {},
    }
    for kind in map(str, KINDS):
        both = sum(true == answer == kind for true, answer in pairs)
        figures["links"][kind] = {
            "labelled": true_kinds.count(kind),
            "precision": _share(both, given.count(kind)),
            "recall": _share(both, true_kinds.count(kind)),
        }
    return figures


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with labelled pages; tries the shipped model on it")
    parser.add_argument("--fit", action="store_true", help="fit the shipped weights anew")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    folder = options.data or DEVELOPMENT
    if (folder / "pagination" / "index.jsonl").is_file():
        folder = folder / "pagination"
    if not (folder / "index.jsonl").is_file():
        parser.error(f"{folder} has no index.jsonl; name another folder with --data")
    cases = read_cases(folder)
    is_shipped = options.data is not None and not options.fit
    figures = try_shipped(cases) if is_shipped else try_out_of_fold(cases, is_written=options.fit)
    way = "shipped model" if is_shipped else "out of fold, by site"
    print(f"pagination: {way}, {figures['pages']} pages, {figures['paginated']} of them paginated")
    print(f"  pages   precision {figures['precision']}  recall {figures['recall']}")
    for kind, row in figures["links"].items():
        print(f"  {kind:<8}precision {row['precision']}  recall {row['recall']}  of {row['labelled']} links")
    if options.json:
        print(json.dumps({**figures, "bench": "pagination", "evaluation": way}))


if __name__ == "__main__":
    main()
