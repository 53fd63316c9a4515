"""What a crawl is asked and what it answers. Light to import: the web process loads this module."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from tasks.core.spec import Contract, JobSpec, Queue
from tasks.core.web_url import WebURL
from tasks.crawling.patterns import AddressPattern
from tasks.crawling.records import (
    MAX_REVISIT_S,
    Count,
    CrawlDelta,
    CrawledPage,
    FailureReason,
    PageError,
    RevisitSummary,
)

KIND = "crawling.site"
PAGE_KIND = "crawling.page"
SITEMAP_KIND = "crawling.sitemap"
LINKS_KIND = "crawling.links"
SITE_CRAWLED = "site.crawled"
"""The domain event at a crawl's end: site, job_id, start_url, pages, pages_failed, stopped_by, artifact."""
PAGES_NAME: Literal["pages.jsonl"] = "pages.jsonl"
PAGES_MEDIA_TYPE = "application/x-ndjson"
MARKDOWN_NAME: Literal["page.md"] = "page.md"
PICTURE_NAME: Literal["page.png"] = "page.png"
PDF_NAME: Literal["page.pdf"] = "page.pdf"
MARKDOWN_MEDIA_TYPE = "text/markdown; charset=utf-8"
SITEMAP_NAME: Literal["sitemap.xml"] = "sitemap.xml"
SITEMAP_MEDIA_TYPE = "application/xml"
LINKS_NAME: Literal["links.jsonl"] = "links.jsonl"
CHANGES_NAME: Literal["changes.jsonl"] = "changes.jsonl"
SIMILAR_NAME: Literal["similar.jsonl"] = "similar.jsonl"
FAILURES_NAME: Literal["failures.jsonl"] = "failures.jsonl"
UNREACHED_NAME: Literal["unreached.jsonl"] = "unreached.jsonl"
SCREENSHOTS_NAME: Literal["screenshots.jsonl"] = "screenshots.jsonl"
# Characters of the text that a result holds; the artifact has them all.
MAX_SHOWN_CHARS = 20_000
# Seconds between two requests to one host when neither the request nor the site says: two pages a second.
DEFAULT_DELAY_S = 0.5
# Below this many seconds between requests, a crawl must at least obey robots.txt.
MIN_DELAY_WITHOUT_ROBOTS_S = 0.5
# Each star makes matching slower by one scan of the URL; no honest pattern needs more.
MAX_STARS = 8
MAX_ERRORS_SHOWN = 20
MAX_URLS_LISTED = 1000
# Each is a visit of the browser, and some megabytes.
MAX_SCREENSHOTS = 50

_GLOB_STARTS = ("/", "*", "http://", "https://")
_FORBIDDEN = frozenset(chr(code) for code in (*range(33), 127))  # controls and the space

# What `_are_globs` checks, and says more clearly when it refuses.
_GLOB_PATTERN = r"^((/|https?://)([^*\x00-\x20\x7f]*\*){0,8}|\*([^*\x00-\x20\x7f]*\*){0,7})[^*\x00-\x20\x7f]*$"
Glob = Annotated[str, Field(min_length=1, max_length=300, json_schema_extra={"pattern": _GLOB_PATTERN})]
Regex = Annotated[str, Field(min_length=1, max_length=200)]
UserAgent = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$")]
LAST: Literal["last"] = "last"
MOST_PAGE_BYTES = 20 * 2**20
MAX_PAGE_BYTES = Field(4 * 2**20, ge=1024, le=MOST_PAGE_BYTES, description="A larger page fails, decoded.")


class Scope(StrEnum):
    """Which discovered URLs belong to the site. The host is the one that the start URL leads to."""

    HOST = "host"
    """The same host and port."""
    PATH = "path"
    """The same host and port, at or below the start URL's folder."""
    SUBDOMAINS = "subdomains"
    """The host and every host below it."""
    ANY = "any"
    """Every http and https URL; depth and the page cap are the only bounds."""


class RenderMode(StrEnum):
    """Whether pages are opened in the browser, where their scripts run."""

    AUTO = "auto"
    """Those that plain HTTP brings without a text, on hosts where it helps."""
    ALWAYS = "always"
    """All of them."""
    NEVER = "never"


RENDER = Field(RenderMode.AUTO, description="Which pages are opened in the browser, so that their scripts run.")


class StopReason(StrEnum):
    """Why a crawl that succeeded went no further."""

    EXHAUSTED = "exhausted"
    """Nothing within the depth, the scope and the patterns was left."""
    MAX_PAGES = "max_pages"
    """The page cap was reached."""
    MAX_TOTAL_BYTES = "max_total_bytes"
    """The next page would have been more than ``max_total_bytes`` allows."""
    MAX_DURATION = "max_duration"
    """The time allowed by ``max_duration_s`` was used up."""
    MAX_REQUESTS = "max_requests"
    """Too many requests brought no new page: failures, duplicates and other types have their own cap."""
    SITE_DOWN = "site_down"
    """Many requests in a row found nobody answering."""
    LISTED = "listed"
    """Every URL that the request lists was tried."""


class CrawlRequest(Contract):
    """Crawl one site, breadth first, from a start URL.

    Patterns are globs over the canonical URL: ``*`` stands for any run of characters (also ``/`` and ``?``), all
    else is literal, and the whole must match. A pattern with ``://`` is held against the whole URL, any other
    against path and query. Regular expressions (Rust's syntax: no look-around, no back-references) may match
    anywhere in the canonical URL. The start URL itself is always fetched.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://docs.example.org/", "depth": 2, "max_pages": 50, "exclude": ["/old/*"]}]
        }
    )

    url: WebURL = Field(description="Where the crawl starts; http or https.")
    depth: int = Field(3, ge=0, le=10, description="Links followed from the start URL; 0 fetches only that page.")
    max_pages: int = Field(100, ge=1, le=50_000, description="Pages kept at most.")
    include: tuple[Glob, ...] = Field((), max_length=50, description="Globs, one of which a URL must match.")
    include_regex: tuple[Regex, ...] = Field(
        (), max_length=5, description="Regular expressions that let a URL in as well as those globs do."
    )
    exclude: tuple[Glob, ...] = Field((), max_length=50, description="Globs, none of which a URL may match.")
    exclude_regex: tuple[Regex, ...] = Field(
        (), max_length=5, description="Regular expressions, none of which may match."
    )
    scope: Scope = Field(Scope.HOST, description="Which URLs belong to the site.")
    concurrency: int = Field(8, ge=1, le=32, description="Pages fetched or read at the same time.")
    delay_s: float | None = Field(
        None,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Least seconds between the starts of two requests to one host; 0.5 if absent. A longer "
        "Crawl-delay of the site always wins while robots.txt is respected.",
    )
    respect_robots: bool = Field(True, description="Obey robots.txt; if not, delay_s must be at least 0.5.")
    respect_page_robots: bool = Field(
        True,
        description="Leave out pages that say noindex (meta robots, X-Robots-Tag), though not their links; follow no "
        "link that is marked nofollow.",
    )
    render: RenderMode = RENDER
    use_sitemap: bool = Field(True, description="Also take URLs from the site's sitemaps, as depth 1.")
    user_agent: UserAgent | None = None
    max_page_bytes: int = MAX_PAGE_BYTES
    max_total_bytes: int | None = Field(
        None, ge=1024, le=2**40, description="Of all pages kept, decoded; before one that is more the crawl ends."
    )
    max_duration_s: int = Field(3600, ge=1, le=14_000, description="After this long the crawl ends with what it has.")

    @field_validator("include", "exclude")
    @classmethod
    def _are_globs(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            if not glob.startswith(_GLOB_STARTS):
                raise ValueError(f"pattern {glob!r} must start with '/', '*', 'http://' or 'https://'")
            if _FORBIDDEN & set(glob):
                raise ValueError(f"pattern {glob!r} must not contain spaces or control characters")
            if glob.count("*") > MAX_STARS:
                raise ValueError(f"pattern {glob!r} has more than {MAX_STARS} stars")
        return globs

    @field_validator("include_regex", "exclude_regex")
    @classmethod
    def _are_regular_expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            AddressPattern(pattern)
        return patterns

    @model_validator(mode="after")
    def _is_polite(self) -> Self:
        if not self.respect_robots and self.delay_s is not None and self.delay_s < MIN_DELAY_WITHOUT_ROBOTS_S:
            raise ValueError(f"delay_s must be at least {MIN_DELAY_WITHOUT_ROBOTS_S} where respect_robots is false")
        return self


class SkippedPages(Contract):
    """Distinct URLs that were found and not kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"robots": 2, "scope": 31, "type": 4, "duplicate": 1}]})

    robots: Count = Field(0, description="Disallowed by robots.txt, or on a host whose robots.txt cannot be read.")
    scope: Count = Field(0, description="Outside of the scope or of the patterns.")
    type: Count = Field(0, description="Not an HTML page.")
    noindex: Count = Field(0, description="Fetched, and asking not to be indexed.")
    duplicate: Count = Field(0, description="Led to a page already kept, by redirect or canonical link.")
    trap: Count = Field(0, description="Of calendars, filters and paths without end, beyond the first of each.")
    overflow: Count = Field(
        0, description="Links found after half a million distinct URLs, all that one crawl remembers."
    )


class CrawlResult(Contract):
    """Summary of a crawl; its pages are the artifact named by ``artifact``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "start_url": "https://docs.example.org/",
                    "pages_ok": 50,
                    "pages_failed": 1,
                    "failed_by_reason": {"http_4xx": 1},
                    "skipped": {"robots": 2, "scope": 31, "type": 4, "duplicate": 1},
                    "deepest": 2,
                    "sitemap_urls": 48,
                    "fetched_bytes": 1_204_224,
                    "duration_s": 26.1,
                    "pages_per_second": 1.92,
                    "delay_s": 0.5,
                    "stopped_by": "max_pages",
                    "is_mostly_failed": False,
                    "is_whole": False,
                    "errors": [
                        {
                            "url": "https://docs.example.org/gone",
                            "reason": "http_4xx",
                            "status": 404,
                            "message": "answered 404",
                        }
                    ],
                }
            ]
        }
    )

    start_url: str = Field(max_length=2048, description="Where the start URL led to.")
    pages_ok: Count
    pages_without_text: Count = Field(0, description="Of the pages kept, those in which no text was found.")
    pages_failed: Count
    failed_by_reason: dict[FailureReason, Count] = Field(default_factory=dict, max_length=len(FailureReason))
    skipped: SkippedPages = SkippedPages()
    deepest: int = Field(ge=0, le=10, description="Depth of the deepest page kept.")
    sitemap_urls: Count = Field(description="URLs taken from sitemaps, before scope, patterns and duplicates.")
    fetched_bytes: int = Field(ge=0, description="Decoded bytes of all pages kept.", le=50_000 * 20 * 2**20)
    duration_s: float = Field(ge=0, le=1e6)
    pages_per_second: float = Field(ge=0, le=1e6)
    delay_s: float = Field(ge=0, le=1e6, description="Seconds kept between requests to the start URL's host.")
    stopped_by: StopReason
    is_mostly_failed: bool = Field(description="More pages failed than were kept.")
    is_whole: bool = Field(
        False,
        description="Nothing was left out for a cap, every sitemap and robots.txt was had, and no page failed that "
        "nobody knows: what was not come upon is not on the site any more, or deeper than ``depth``.",
    )
    errors: tuple[PageError, ...] = Field(
        (),
        max_length=MAX_ERRORS_SHOWN,
        description="The first failures; where there are more, the artifact ``failures.jsonl`` has all.",
    )
    artifact: Literal["pages.jsonl"] = Field(PAGES_NAME, description="The artifact that holds the pages.")
    reader: str = Field("", max_length=16, description="Which version of the reader made the texts.")
    delta: CrawlDelta | None = Field(
        None, description="Since the crawl that the request names; the artifact ``changes.jsonl`` has the pages."
    )
    similar: Count = Field(
        0,
        description="Pages whose text is nearly that of another one; the artifact ``similar.jsonl`` has the groups.",
    )
    revisit: RevisitSummary | None = Field(None, description="Where the request names it.")
    screenshots: int = Field(
        0, ge=0, le=MAX_SCREENSHOTS, description="Pictures that were kept; the log says of the others why not."
    )


class Revisit(Contract):
    """How often a page is asked for, at most and at least; within these, as often as it was seen to change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"min_s": 3600, "max_s": 2_592_000}]})

    min_s: int = Field(3600, ge=1, le=MAX_REVISIT_S, description="A page is left alone for so many seconds.")
    max_s: int = Field(30 * 24 * 3600, ge=1, le=MAX_REVISIT_S, description="None is left alone for longer.")

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if self.min_s > self.max_s:
            raise ValueError(f"min_s ({self.min_s}) must not be above max_s ({self.max_s})")
        return self


class SiteRequest(CrawlRequest):
    """Crawl one site, whole, or to see what has changed since an earlier crawl."""

    since: str | None = Field(
        None,
        pattern=r"^(last|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
        description="The id of an earlier crawl to compare with, or `last`: the newest of this URL that has "
        "succeeded, where there is one. Its pages are asked for conditionally.",
    )
    urls: Annotated[tuple[WebURL, ...], Field(max_length=MAX_URLS_LISTED)] | None = Field(
        None,
        description="Fetch these pages and nothing else: no links, no sitemap, and `url`, which names the site, only "
        "where it is listed. Scope, patterns and robots.txt hold, `depth` and `max_pages` do not. Null: the site.",
    )
    revisit: Revisit | None = Field(
        None,
        description="Note how often each page changes; with `since`, ask only for those that are due. Null: for all.",
    )
    page_events: bool = Field(False, description="Tell of each page as it comes, as a `delta` event.")
    screenshots: int = Field(
        0,
        ge=0,
        le=MAX_SCREENSHOTS,
        description="Also keep pictures of so many pages, those kept first, as the browser shows them: "
        "`screenshot-1.png` and so on; `screenshots.jsonl` says of which page each is.",
    )


class PageRequest(Contract):
    """Read one page. What is not asked for here is as in ``crawling.site``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": "https://docs.example.org/intro"}]})

    url: WebURL = Field(description="Where the page is; http or https. Redirects are followed.")
    respect_robots: bool = Field(True, description="Obey robots.txt.")
    render: RenderMode = RENDER
    user_agent: UserAgent | None = None
    max_page_bytes: int = MAX_PAGE_BYTES
    screenshot: bool = Field(False, description="Also keep the page as a picture, `page.png`; needs the browser.")
    pdf: bool = Field(False, description="Also keep the page as `page.pdf`; needs the browser.")


class PageResult(Contract):
    """The page; the artifact ``page.md`` has its whole text, ``pages.jsonl`` the whole record as one line.

    ``page.png`` and ``page.pdf`` show it, where that was asked for.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "page": CrawledPage.model_config["json_schema_extra"]["examples"][0],  # type: ignore[index]
                    "is_cut": False,
                }
            ]
        }
    )

    page: CrawledPage = Field(description="As in ``pages.jsonl`` of ``crawling.site``; its text is cut here.")
    is_cut: bool = Field(description=f"Whether the text went on after {MAX_SHOWN_CHARS:,} characters.")
    artifacts: tuple[Literal["page.md", "pages.jsonl", "page.png", "page.pdf"], ...] = Field(
        (MARKDOWN_NAME, PAGES_NAME), max_length=4
    )


class SitemapRequest(CrawlRequest):
    """Map a site: its pages are found as by ``crawling.site``, and listed as a sitemap."""


class SitemapResult(Contract):
    """Summary of the artifact ``sitemap.xml`` (sitemaps.org protocol 0.9)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "start_url": "https://docs.example.org/",
                    "addresses": 50,
                    "with_lastmod": 12,
                    "sitemap_urls": 48,
                    "pages_failed": 1,
                    "stopped_by": "exhausted",
                }
            ]
        }
    )

    start_url: str = Field(max_length=2048, description="Where the start URL led to.")
    addresses: Count = Field(description="Distinct addresses listed; a page's canonical one where it is on the site.")
    with_lastmod: Count = Field(description="Addresses whose page says when it was changed or published.")
    sitemap_urls: Count = Field(description="URLs in the sitemaps that the site has already.")
    pages_failed: Count
    stopped_by: StopReason
    artifact: Literal["sitemap.xml"] = SITEMAP_NAME


class LinksRequest(CrawlRequest):
    """Find broken links: a site is crawled as by ``crawling.site``, and links that lead out of it are tried too."""

    check_external: bool = Field(True, description="Also ask where links lead that are out of scope.")
    max_external: int = Field(2000, ge=0, le=20_000, description="So many of them at most; the rest is not checked.")


class BrokenLink(PageError):
    """One line of ``links.jsonl``: an address that could not be had, and where it is linked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://docs.example.org/gone",
                    "reason": "http_4xx",
                    "status": 404,
                    "message": "answered 404",
                    "found_on": ["https://docs.example.org/"],
                    "pages": 1,
                }
            ]
        }
    )

    found_on: tuple[str, ...] = Field(max_length=10, description="The first pages that link to it.")
    pages: Count = Field(description="How many pages link to it.")


class LinksResult(Contract):
    """Summary of the artifact ``links.jsonl``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "start_url": "https://docs.example.org/",
                    "pages_ok": 50,
                    "links": 310,
                    "checked": 290,
                    "broken": 1,
                    "broken_by_reason": {"http_4xx": 1},
                    "stopped_by": "exhausted",
                    "first": [BrokenLink.model_config["json_schema_extra"]["examples"][0]],  # type: ignore[index]
                }
            ]
        }
    )

    start_url: str = Field(max_length=2048, description="Where the start URL led to.")
    pages_ok: Count = Field(description="Pages whose links were looked at.")
    links: Count = Field(description="Distinct addresses that they link to.")
    checked: Count = Field(description="Of these, asked for; others are left out by robots.txt, patterns or a cap.")
    broken: Count
    broken_by_reason: dict[FailureReason, Count] = Field(default_factory=dict, max_length=len(FailureReason))
    stopped_by: StopReason
    first: tuple[BrokenLink, ...] = Field((), max_length=MAX_ERRORS_SHOWN)
    artifact: Literal["links.jsonl"] = LINKS_NAME


SPECS = (
    JobSpec(
        kind=KIND,
        queue=Queue.CRAWLER,
        request=SiteRequest,
        result=CrawlResult,
        summary="Crawl a site politely; its pages' titles, main text and links become a JSON Lines artifact.",
        # Above the largest max_duration_s, so that a long crawl ends by itself and keeps its pages.
        soft_limit_s=14_400,
        hard_limit_s=14_700,
        example={"url": "https://docs.example.org/", "depth": 2, "max_pages": 50, "exclude": ["/old/*"]},
    ),
    JobSpec(
        kind=PAGE_KIND,
        queue=Queue.CRAWLER,
        request=PageRequest,
        result=PageResult,
        summary="Read one page: main text as Markdown, title, author, dates, language, JSON-LD, forms.",
        soft_limit_s=300,
        hard_limit_s=330,
        example={"url": "https://docs.example.org/intro"},
    ),
    JobSpec(
        kind=SITEMAP_KIND,
        queue=Queue.CRAWLER,
        request=SitemapRequest,
        result=SitemapResult,
        summary="Map a site politely and write its sitemap, with the days of its pages' last changes.",
        soft_limit_s=14_400,
        hard_limit_s=14_700,
        example={"url": "https://docs.example.org/", "max_pages": 500},
    ),
    JobSpec(
        kind=LINKS_KIND,
        queue=Queue.CRAWLER,
        request=LinksRequest,
        result=LinksResult,
        summary="Find a site's broken links, those that lead out of it too, and the pages that they are on.",
        soft_limit_s=28_800,
        hard_limit_s=29_100,
        example={"url": "https://docs.example.org/", "max_pages": 500, "check_external": True},
    ),
)
