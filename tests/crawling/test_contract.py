"""What a crawl request may say."""

import pytest
from pydantic import BaseModel, ValidationError

from tasks.core.spec import Queue
from tasks.crawling import contract, records
from tasks.crawling.contract import SPECS, CrawlRequest

URL = "https://example.org/"


def test_defaults_are_those_that_the_docs_name() -> None:
    """A bare URL crawls 100 pages, three links deep, obeying robots.txt."""
    request = CrawlRequest(url=URL)
    assert (
        request.depth,
        request.max_pages,
        request.concurrency,
        request.respect_robots,
        request.use_sitemap,
        request.delay_s,
    ) == (3, 100, 8, True, True, None)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "example.org/x",
        "https:///path",
        "http://user:secret@example.org/",
        "http://exam ple.org/",
        "http://[::1/",
        "http://example.org/\n",
        "http://" + "a" * 2048,
    ],
)
def test_url_that_cannot_be_crawled_is_refused(url: str) -> None:
    """Other schemes, credentials, spaces and broken addresses never reach a worker."""
    with pytest.raises(ValidationError):
        CrawlRequest(url=url)


@pytest.mark.parametrize(
    "field",
    [
        {"depth": 11},
        {"depth": -1},
        {"max_pages": 0},
        {"max_pages": 50_001},
        {"concurrency": 33},
        {"delay_s": -0.1},
        {"delay_s": float("nan")},
        {"delay_s": 61},
        {"max_page_bytes": 1},
        {"user_agent": "evil\r\nX-Header: 1"},
        {"user_agent": ""},
        {"scope": "planet"},
        {"include": ["/x"] * 51},
        {"unknown": 1},
    ],
)
def test_field_out_of_bounds_is_refused(field: dict[str, object]) -> None:
    """Every number, list and string has its bound."""
    with pytest.raises(ValidationError):
        CrawlRequest.model_validate({"url": URL, **field})


@pytest.mark.parametrize(
    ("glob", "complaint"), [("docs/*", "must start with"), ("/a b", "spaces"), ("/" + "*a" * 9, "stars")]
)
def test_bad_pattern_is_refused_with_its_reason(glob: str, complaint: str) -> None:
    """The message names the pattern and what is wrong with it."""
    with pytest.raises(ValidationError, match=complaint):
        CrawlRequest(url=URL, exclude=(glob,))


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [("(", "unclosed group"), ("(?=a)", "look-ahead"), (r"(a)\1", "backreferences"), (r"\pL{300}" * 9, "size limit")],
)
def test_bad_regular_expression_is_refused_with_its_reason(pattern: str, complaint: str) -> None:
    """What cannot be read, what would have to backtrack, and what would take too much memory."""
    with pytest.raises(ValidationError, match=complaint):
        CrawlRequest(url=URL, include_regex=(pattern,))


def test_ignoring_robots_needs_a_delay() -> None:
    """Who does not ask the site's wishes may not hurry it either."""
    with pytest.raises(ValidationError, match=r"at least 0\.5"):
        CrawlRequest(url=URL, respect_robots=False, delay_s=0.1)
    assert CrawlRequest(url=URL, respect_robots=False).delay_s is None


def test_examples_are_valid() -> None:
    """Every model's own example, and the one of the catalogue, passes its validation."""
    items = {**vars(records), **vars(contract)}.values()
    models = [item for item in items if isinstance(item, type) and issubclass(item, BaseModel)]
    ours = [model for model in models if model.__module__ in {contract.__name__, records.__name__}]
    assert len(ours) == 20
    for model in ours:
        for example in model.model_json_schema()["examples"]:
            model.model_validate_json(model.model_validate(example).model_dump_json())
    for spec in SPECS:
        spec.request.model_validate(spec.example)


def test_longest_crawl_ends_before_the_soft_limit() -> None:
    """A crawl that uses all the time it may ask for ends by itself and keeps its pages."""
    spec = SPECS[0]
    bounds = CrawlRequest.model_json_schema()["properties"]["max_duration_s"]
    assert bounds["maximum"] < spec.soft_limit_s
    assert spec.queue is Queue.CRAWLER
