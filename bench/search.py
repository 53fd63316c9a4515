"""How well and how fast a site is searched: by words, by vectors, by both.

``python -m bench.search [--data DIR] [--model ngrams|minilm] [--pages N] [--chunks N] [--json]``

The site is a folder of Sphinx's HTML (by default Debian's ``python3-doc``), taken in as documents. The questions and
the places of their answers are made from its own index and glossary, and from docstrings (``bench.search_questions``).
A passage answers if it overlaps the place. By how much hybrid is above the better of the other two, by recall@5 and by
MRR, is given with its 95 % interval (paired bootstrap over the questions). Then the site's rows are copied until there
are ``--chunks`` chunks, and each question is searched once, with nothing cached. With ``minilm`` queries are embedded
in this process, which is timed by itself; ``--pages`` takes only so many pages, those with answers first, since a
language model embeds some tens of chunks a second.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.knowledge_desk import Asked, KnowledgeDesk
from bench.search_copies import copy_site
from bench.search_corpus import DEFAULT_DOCS, DocPage, index_entries, read_pages
from bench.search_questions import Question, questions
from tasks.core.egress import Egress
from tasks.core.ledger import Ledger, tenants
from tasks.core.text.words import stems
from tasks.knowledge.engine.embedding import Embedder, HashedNgrams
from tasks.knowledge.engine.minilm import MiniLM
from tasks.knowledge.hashed import HASHED, ngrams_of
from tasks.knowledge.search.searching import Mode, search
from tasks.knowledge.search.shelf import IndexShelf
from tasks.knowledge.search.site_index import SiteIndex
from tests.knowledge.house import SITE, House

_EACH = 250
_UPLOAD = "0192f0c0-0000-7000-8000-000000000000"
_DEPTH = 5
_DRAWS = 4000
HALVES = {"as the index has it": False, "paraphrased": True}


class Silence:
    """Nobody changes anything while we measure."""

    def came(self, _tenant_id: str) -> bool:
        """Tell that nothing came."""
        return False

    def close(self) -> None:
        """Hold nothing."""


def take_in(house: House, pages: Sequence[DocPage]) -> float:
    """Keep the pages as documents; return how many chunks a second that made."""
    job = house.job()
    lines = (json.dumps({"id": page.path, "url": page.path, "title": page.title, "text": page.text}) for page in pages)
    job.uploads[_UPLOAD] = "\n".join(lines).encode()
    began = time.perf_counter()
    result = house.update(job, file={"upload": _UPLOAD})
    return result.chunks / (time.perf_counter() - began)


def ranks(house: House, index: SiteIndex, asked: Sequence[Question], mode: Mode) -> list[int]:
    """Return the place of the first passage that answers each question; 0 where none is among the first hundred."""

    def embed(text: str) -> Any:
        if index.standing.model == HASHED:
            return ngrams_of(list(stems(text)), index.postings.rarity)
        return house.embedder.embed_texts([text])[0]

    found = []
    for one in asked:
        hits = search(index, one.text, embed=embed, mode=mode).hits
        passages = house.library.passages(index.standing.site_id, [hit.chunk_id for hit in hits])
        ordered = [passages[hit.chunk_id] for hit in hits]
        places = [
            place
            for place, passage in enumerate(ordered, start=1)
            if passage.key == one.page and passage.begin < one.end and passage.end > one.begin
        ]
        found.append(places[0] if places else 0)
    return found


def reciprocal(found: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return 1 / place, and 0 for what was not found."""
    return np.array([1 / place if place else 0.0 for place in found])


def recalled(found: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return 1 for what is among the first five, else 0."""
    return np.array([float(0 < place <= _DEPTH) for place in found])


METRICS = {"recall_at_5": recalled, "mrr": reciprocal}
"""What each question counts; the figure is the mean."""


def difference(
    ours: np.ndarray[Any, np.dtype[np.float64]], theirs: np.ndarray[Any, np.dtype[np.float64]]
) -> dict[str, float]:
    """Return by how much the means over the same questions differ, and between what that lies in 95 of 100 draws."""
    apart = ours - theirs
    means = np.random.default_rng(1).choice(apart, (_DRAWS, len(apart))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": round(float(apart.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def quality(house: House, asked: Sequence[Question]) -> dict[str, Any]:
    """Return recall and mean reciprocal rank of each retriever, for both halves, and how hybrid compares."""
    index = house.index()
    by_mode = {mode: ranks(house, index, asked, mode) for mode in Mode}
    result: dict[str, Any] = {}
    for name, is_paraphrased in HALVES.items():
        chosen = [at for at, one in enumerate(asked) if one.is_paraphrased is is_paraphrased]
        of_half = {mode: [found[at] for at in chosen] for mode, found in by_mode.items()}
        result[name] = {
            "questions": len(chosen),
            **{mode.value: _figures(found) for mode, found in of_half.items()},
            "hybrid - better single": {metric: _gain(of_half, metric) for metric in METRICS},
        }
    return result | {"all": _figures(by_mode[Mode.HYBRID])}


def _gain(found: Mapping[Mode, Sequence[int]], metric: str) -> dict[str, Any]:
    """Return how hybrid compares with the one of the two that is better by this metric."""
    counts = {mode: METRICS[metric](places) for mode, places in found.items()}
    better = max((Mode.LEXICAL, Mode.VECTOR), key=lambda mode: counts[mode].mean())
    return {"single": better.value, **difference(counts[Mode.HYBRID], counts[better])}


def _figures(found: Sequence[int]) -> dict[str, float]:
    return {metric: round(float(count(found).mean()), 4) for metric, count in METRICS.items()}


def speed(house: House, asked: Sequence[Question]) -> dict[str, float]:
    """Return how long uncached searches take, and the index to be read, in milliseconds."""
    desk = KnowledgeDesk(house.library, IndexShelf(house.library, most_bytes=2**34), Silence())  # type: ignore[arg-type]  # it is asked nothing else
    model_ms: list[float] = []

    def embed(_model: object, text: str) -> Any:
        began = time.perf_counter()
        vector = house.embedder.embed_texts([text])[0]
        model_ms.append((time.perf_counter() - began) * 1000)
        return vector

    began = time.perf_counter()
    desk.answer(Asked(house.tenant.id, SITE, "the first one"), embed)
    read_ms = (time.perf_counter() - began) * 1000
    model_ms.clear()
    took = np.array([desk.answer(Asked(house.tenant.id, SITE, one.text), embed).took_ms for one in asked])
    if model_ms:
        took -= np.array(model_ms)
    desk.close()
    result = {"p50_ms": np.percentile(took, 50), "p95_ms": np.percentile(took, 95), "index_read_ms": read_ms}
    if model_ms:
        result |= {"query_model_p50_ms": np.percentile(model_ms, 50), "query_model_p95_ms": np.percentile(model_ms, 95)}
    return {name: round(float(value), 2) for name, value in result.items()}


def measure(docs: Path, *, model: str, most_pages: int | None, most_chunks: int) -> dict[str, Any]:
    """Take in, ask, copy, time."""
    pages = {page.path: page for page in read_pages(docs)}
    asked = questions(pages, index_entries(docs), each=_EACH)
    if most_pages is not None:
        counts: dict[str, int] = dict.fromkeys(pages, 0)
        for one in asked:
            counts[one.page] += 1
        # Of those with most answers the shortest, so that there is much to ask and little to embed.
        best = sorted(pages, key=lambda path: (-counts[path] / (len(pages[path].text) + 1), path))[:most_pages]
        pages = {path: pages[path] for path in sorted(best)}
        asked = [one for one in asked if one.page in pages]
    with tempfile.TemporaryDirectory() as folder, Egress() as egress:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.prepare()
        embedder: Embedder = MiniLM() if model == "minilm" else HashedNgrams()
        house = House(ledger, tenants.named(ledger, "bench"), Path(folder), egress, embedder)
        rate = take_in(house, list(pages.values()))
        result = {"model": embedder.model.name, "pages": len(pages), "chunks_per_s": round(rate, 1)}
        result |= {"quality": quality(house, asked)}
        result["chunks"] = copy_site(ledger, most_chunks)
        result |= speed(house, asked)
        ledger.close()
    return result | result["quality"]["all"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DOCS, help="folder with Sphinx's HTML and its genindex")
    parser.add_argument("--model", choices=("ngrams", "minilm"), default="ngrams")
    parser.add_argument("--pages", type=int, help="only so many pages")
    parser.add_argument("--chunks", type=int, default=100_000, help="chunks to search when it is timed")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    docs = options.data if list(options.data.glob("genindex*.html")) else DEFAULT_DOCS
    if not list(docs.glob("genindex*.html")):
        parser.error(f"{docs} has no genindex.html; name another folder with --data or install python3-doc")
    result = measure(docs, model=options.model, most_pages=options.pages, most_chunks=options.chunks)
    for name, half in result["quality"].items():
        print(f"{name}: {half}")
    print({name: value for name, value in result.items() if name != "quality"})
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
