"""``bench.search``: questions whose answers are known places, and what is said of those who find them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.search import HALVES, METRICS, difference, measure
from bench.search_corpus import DocPage, index_entries, read_pages
from bench.search_questions import Question, questions
from tasks.core.text.words import stems

PAGE = "<html><head><title>{title} — Docs</title></head><body><div role=main><h1>{title}</h1>{body}</div></body></html>"
ENTRY = "<dl><dt id='{name}'>{signature}</dt><dd><p>{text}</p></dd></dl>"
# What the documentation says, in other words than the docstrings of what it documents.
DESCRIBED = {
    "textwrap.dedent": ("dedent(text)", "Takes away margins, so that a quoted block may stand further to the right."),
    "shutil.copytree": ("copytree(src, dst)", "Duplicates folders with what is below them, however deep."),
    "bisect.insort": ("insort(a, x)", "Keeps an ordered array ordered although something comes to it."),
}
TERMS = {"term-generator": ("generator", "A function that yields. Each call makes an iterator.")}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A documentation of two pages with its index."""
    for path, entries in (("library/tools.html", DESCRIBED), ("glossary.html", TERMS)):
        written = [ENTRY.format(name=name, signature=shown, text=text) for name, (shown, text) in entries.items()]
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(PAGE.format(title=Path(path).stem.title(), body="".join(written)))
    links = [f"<a href='library/tools.html#{name}'>{name.partition('.')[2]}()</a>" for name in DESCRIBED]
    links += [f"<a href='glossary.html#{name}'>{shown}</a>" for name, (shown, _) in TERMS.items()]
    (tmp_path / "genindex.html").write_text(PAGE.format(title="Index", body="".join(links)))
    return tmp_path


def asked(docs: Path) -> tuple[dict[str, DocPage], list[Question]]:
    pages = {page.path: page for page in read_pages(docs)}
    return pages, questions(pages, index_entries(docs), each=10)


def test_half_of_the_questions_is_as_the_index_has_it(docs: Path) -> None:
    """Each with the place where its entry is described."""
    pages, made = asked(docs)
    plain = {one.text: pages[one.page].text[one.begin : one.end] for one in made if not one.is_paraphrased}
    assert {"dedent()", "copytree()", "insort()", "What is generator?"} == set(plain)
    assert "Duplicates folders" in plain["copytree()"]
    assert not {"dedent", "margins"} & set(plain["copytree()"].split())
    assert "A function that yields." in plain["What is generator?"]


def test_the_other_half_has_no_word_of_what_it_asks_for(docs: Path) -> None:
    """Neither of the page's title, of the heading, nor of the signature; always the same ones."""
    pages, made = asked(docs)
    paraphrased = [one for one in made if one.is_paraphrased]
    assert len(DESCRIBED) == len(paraphrased)
    for one in paraphrased:
        page = pages[one.page]
        (name,) = [name for name, span in page.spans.items() if span == (one.begin, one.end)]
        named = set(stems(f"{page.title} {page.names[name]} {name}"))
        assert not named & set(stems(one.text)), one
        assert len(set(stems(one.text))) >= 5
    assert made == asked(docs)[1]


def test_what_is_documented_word_for_word_is_no_paraphrase(docs: Path) -> None:
    """Else a copy would be looked for."""
    page = docs / "library/tools.html"
    said = "Recursively copy a directory tree and return the destination directory."
    page.write_text(page.read_text().replace(DESCRIBED["shutil.copytree"][1], said))
    _, made = asked(docs)
    assert len(DESCRIBED) - 1 == sum(one.is_paraphrased for one in made)


def test_the_bench_tells_how_hybrid_compares(docs: Path) -> None:
    """By both metrics on each half, with the keys that are asked of it."""
    told: dict[str, Any] = measure(docs, model="ngrams", most_pages=None, most_chunks=20)
    assert {"chunks", "p50_ms", "p95_ms", "recall_at_5", "mrr"} <= set(told)
    assert 20 == told["chunks"]
    for half in HALVES:
        gains = told["quality"][half]["hybrid - better single"]
        assert set(METRICS) == set(gains)
        for metric, gain in gains.items():
            both = [told["quality"][half][mode][metric] for mode in ("lexical", "vector")]
            assert max(both) == told["quality"][half][gain["single"]][metric]
            assert round(told["quality"][half]["hybrid"][metric] - max(both), 4) == gain["mean"]
            assert gain["low"] <= gain["mean"] <= gain["high"]


def test_a_difference_is_of_pairs() -> None:
    """What is the same for each question does not differ, however unlike the questions are."""
    places = [1, 0, 7, 2, 100, 5]
    for count in METRICS.values():
        assert {"mean": 0.0, "low": 0.0, "high": 0.0} == difference(count(places), count(places))
    assert [1, 0, 0, 1, 0, 1] == METRICS["recall_at_5"](places).tolist()
    always = difference(np.ones(50), np.zeros(50))
    assert (1.0, 1.0, 1.0) == (always["mean"], always["low"], always["high"])
    rarely = difference(np.array([1.0] + [0.0] * 49), np.zeros(50))
    assert 0.0 == rarely["low"] < rarely["mean"] < rarely["high"]
