"""The benches of recognition: what they count, and the bars on the development data."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import forms as forms_bench
from bench import pagination as pagination_bench
from bench.fitting import fit, folds, out_of_fold
from tasks.discovery.engine.linear_model import parse_model
from tests.crawling.shared_data import shared

ROOT = Path(__file__).parents[2]

SEARCH = "<form action=/search><input name=q><button>Search</button></form>"
LOGIN = "<form method=post action=/login><input name=user><input type=password name=pw><button>Log in</button></form>"
POLL = "<form method=post action=/vote><p>Poll</p><input type=radio name=v value=1>Yes<button>Vote</button></form>"


def write(folder: Path, records: list[dict[str, object]], pages: list[str]) -> Path:
    """Lay out a data set as the shared ones are."""
    (folder / "html").mkdir(parents=True)
    for number, (record, html) in enumerate(zip(records, pages, strict=True)):
        record["file"] = f"html/{number}.html.gz"
        (folder / f"html/{number}.html.gz").write_bytes(gzip.compress(html.encode()))
    (folder / "index.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return folder


def run(module: str, folder: Path) -> dict[str, object]:
    """Return what a bench prints as JSON for a folder."""
    command = [sys.executable, "-m", module, "--data", str(folder), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_forms_bench_counts_labelled_forms_only(tmp_path: Path) -> None:
    """The rare types are ``other``; skipped and unlabelled forms are left out; a form without a label too."""
    labels = [
        {"type": "search", "fields": {"q": "search query"}},
        {"type": "login", "fields": {"user": "username", "pw": "password"}},
        {"type": "poll", "fields": {}},
        {"type": "NOT ANNOTATED", "fields": {}},
        {"type": "SKIP THIS FORM", "fields": {}},
    ]
    pages = [SEARCH + LOGIN + POLL + SEARCH + SEARCH, SEARCH + "<form><input name=x></form>"]
    records: list[dict[str, object]] = [
        {"url": "https://a.example/", "forms": labels},
        {"url": "https://b.example/", "forms": labels[:1]},
    ]
    answer = run("bench.forms", write(tmp_path / "forms", records, pages).parent)
    assert {"pages": 2, "forms": 4, "search_precision": 1.0, "search_recall": 1.0}.items() <= answer.items()
    assert ("shipped model", 4) == (answer["evaluation"], answer["fields"])


def test_pagination_bench_counts_pages(tmp_path: Path) -> None:
    """A selector may name a link, what is inside it, or what holds it."""
    pager = (
        "<div class=pagination><a class=prev href='?page=1'><i>«</i> Previous</a>"
        "<ul><li class=n><a href='?page=1'>1</a><li><b>2</b><li class=n><a href='?page=3'>3</a></ul>"
        "<a class=next href='?page=3'><i>Next</i> »</a></div>"
    )
    empty = {"prev": "", "page": "", "next": "", "last": "", "first": "", "encoding": "UTF-8"}
    records: list[dict[str, object]] = [
        {**empty, "url": "https://a.example/list?page=2", "prev": ".prev i", "page": ".n", "next": ".next"},
        {**empty, "url": "https://b.example/"},
    ]
    answer = run("bench.pagination", write(tmp_path / "pagination", records, [pager, "<a href=/about>About us</a>"]))
    assert {"pages": 2, "paginated": 1, "found": 1, "precision": 1.0, "recall": 1.0}.items() <= answer.items()
    links = answer["links"]
    assert isinstance(links, dict)
    assert [1, 2, 1] == [links[kind]["labelled"] for kind in ("prev", "page", "next")]


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.forms", "--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True)
    assert 2 == done.returncode
    assert "has no index.jsonl" in done.stderr


def test_a_site_is_in_one_fold_only() -> None:
    sites = [f"site{number % 7}" for number in range(40)]
    number_of = {(site, int(fold)) for site, fold in zip(sites, folds(sites, 3), strict=True)}
    assert 7 == len(number_of)


def test_fitting_learns_and_repeats_itself() -> None:
    """The same rows give the same file; what was learnt holds for sites that were not seen."""
    rows = [{"has:password", "noise"} if number % 2 else {"has:query", "noise"} for number in range(60)]
    labels = ["login" if number % 2 else "search" for number in range(60)]
    sites = [f"site{number % 12}" for number in range(60)]
    text = fit(rows, labels, sites, strength=1.0).to_json()
    assert text == fit(rows, labels, sites, strength=1.0).to_json()
    model = parse_model(text)
    assert ["login", "search"] == list(model.classes)
    assert model.probabilities([{"has:query"}])[0][1] > 0.9
    classes, answers = out_of_fold(rows, labels, sites, strength=1.0)
    assert labels == [classes[int(row.argmax())] for row in answers]


@pytest.mark.long
@pytest.mark.slow
def test_forms_meet_the_bars_on_sites_not_seen() -> None:
    """Type at least 85 %; search forms at least 0.92 in precision and recall."""
    pages, cases = forms_bench.read_cases(shared("forms"))
    found = forms_bench.try_out_of_fold(pages, cases, is_written=False)
    assert found["type_accuracy"] >= 0.85
    assert found["search_precision"] >= 0.92
    assert found["search_recall"] >= 0.92


@pytest.mark.long
@pytest.mark.slow
def test_pagination_meets_the_bars_on_sites_not_seen() -> None:
    """Pages: precision at least 0.95 at a recall of at least 0.85."""
    found = pagination_bench.try_out_of_fold(pagination_bench.read_cases(shared("pagination")), is_written=False)
    assert found["precision"] >= 0.95
    assert found["recall"] >= 0.85
