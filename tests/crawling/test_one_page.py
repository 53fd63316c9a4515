"""One page read."""

import pytest

from tasks.core.errors import InputRejected, Permanent
from tasks.crawling.contract import MAX_SHOWN_CHARS, PageRequest, PageResult
from tasks.crawling.engine import visiting
from tasks.crawling.engine.one_page import read_page
from tasks.crawling.records import CrawledPage
from tests.crawling.conftest import QUICK, ExtractionHere, MakeJob
from tests.crawling.local_site import LocalSite, Reply
from tests.fakes import FakeJob


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)


def read(site: LocalSite, job: FakeJob, path: str, **fields: object) -> PageResult:
    return read_page(PageRequest.model_validate({"url": site.url + path, **fields}), job, limits=QUICK)


def test_page_comes_with_its_record_and_its_text(site: LocalSite, make_job: MakeJob) -> None:
    """Where a redirect leads to, with what the page says of itself; whole in the artifacts, cut in the result."""
    words = "The loom weaves patterns as the engine weaves numbers, and nobody minds. " * 400
    head = '<html lang="en"><head><title>Looms</title><meta name="author" content="Ada Byron"></head>'
    site.answers["/old"] = Reply(status=301, headers={"Location": "/looms"})
    site.answers["/looms"] = Reply(f"{head}<body><main><h1>Looms</h1><p>{words}</p></main>".encode())
    job = make_job(site)
    result = read(site, job, "/old")
    assert (f"{site.url}/looms", "Looms", "Ada Byron", "en") == (
        result.page.url, result.page.headline, result.page.author, result.page.language,
    )  # fmt: skip
    assert (True, MAX_SHOWN_CHARS) == (result.is_cut, len(result.page.text))
    whole = CrawledPage.model_validate_json(job.saved["pages.jsonl"])
    assert whole.text == job.saved["page.md"].decode()
    assert whole.text.startswith(result.page.text)
    assert whole.text.rstrip().endswith("nobody minds.")


@pytest.mark.parametrize(
    ("path", "error"), [("/gone", InputRejected), ("/file", InputRejected), ("/private", Permanent)]
)
def test_what_is_no_page_fails_as_a_crawls_start_does(
    site: LocalSite, make_job: MakeJob, path: str, error: type[Exception]
) -> None:
    """For good, and with the reason."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /private\n")
    site.answers["/file"] = Reply(b"%PDF", headers={"Content-Type": "application/pdf"})
    with pytest.raises(error):
        read(site, make_job(site), path)


def test_ignoring_robots_is_allowed_for_one_page(site: LocalSite, make_job: MakeJob) -> None:
    """One request hurries nobody."""
    site.answers["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /\n")
    site.page("/")
    assert read(site, make_job(site), "/", respect_robots=False).page.status == 200
