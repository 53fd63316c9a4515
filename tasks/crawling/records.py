"""What is told of one page. Light to import: the web process loads this module."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import ConfigDict, Field

from tasks.core.spec import Contract

_DAY = r"^(\d{4}-\d{2}-\d{2})?$"
Count = Annotated[int, Field(ge=0, le=10_000_000)]
MAX_REVISIT_S = 366 * 24 * 3600
Seconds = Annotated[int, Field(ge=0, le=MAX_REVISIT_S)]
# Looks that are remembered of a page: a habit that has changed is forgotten after so many.
MAX_LOOKS = 16
MAX_SIMILAR_SHOWN = 1000


class FailureReason(StrEnum):
    """Why one page could not be fetched or read."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    REDIRECTS = "redirects"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    EXTRACTION = "extraction"
    RENDERING = "rendering"
    """The browser could not open it."""


class PageType(StrEnum):
    """What a page is for, as far as its build tells."""

    ARTICLE = "article"
    """News, posts, guides: one text."""
    COLLECTION = "collection"
    """A shop's category: products."""
    DOCUMENTATION = "documentation"
    """Reference, manuals, tutorials."""
    FORUM = "forum"
    """Questions and answers, threads."""
    LISTING = "listing"
    """Lists of articles, jobs, places."""
    PRODUCT = "product"
    """One thing to buy."""
    SERVICE = "service"
    """What a company or a program offers."""


class PageForm(Contract):
    """A form of a page."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "https://docs.example.org/search", "method": "get", "fields": ["q"]}]
        }
    )

    action: str = Field(max_length=2048, description="Where it leads to.")
    method: Literal["get", "post"]
    fields: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        max_length=50, description="Names, hidden ones too."
    )


class RenderReason(StrEnum):
    """Why a page was opened in the browser."""

    SHELL = "shell"
    """Plain HTTP brought scripts and fewer than 30 words."""
    ASKED_FOR = "asked_for"
    """The request wants every page so."""


class PageChange(StrEnum):
    """What became of a page since an earlier crawl."""

    NEW = "new"
    CHANGED = "changed"
    """Its text or title says something else."""
    UNCHANGED = "unchanged"
    GONE = "gone"
    """It answers 404 or 410."""
    MISSED = "missed"
    """A crawl that left nothing out did not come upon it."""
    FAILED = "failed"
    """It could not be had this time, which says nothing of the page."""


class PageWatch(Contract):
    """When a page was looked at, and when it is worth another look."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "checked_at": "2026-11-23T02:30:00Z",
                    "due_at": "2026-11-23T18:25:00Z",
                    "every_s": 57300,
                    "looks": [[86400, True], [57300, False]],
                }
            ]
        }
    )

    checked_at: datetime = Field(description="When the site was asked for it last.")
    due_at: datetime = Field(description="From when on a crawl asks again.")
    every_s: int = Field(ge=1, le=MAX_REVISIT_S, description="Seconds between the two: as often as it changes.")
    looks: tuple[tuple[Annotated[int, Field(ge=1)], bool], ...] = Field(
        (), max_length=MAX_LOOKS, description="The newest: seconds since the look before, and whether it had changed."
    )
    lastmod: str = Field("", max_length=40, description="What the sitemap said of it at that time.")
    is_lastmod_believed: bool = Field(
        True, description="False: when the sitemap last told of a change of it, there was none."
    )


class CrawledPage(Contract):
    """One line of ``pages.jsonl``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://docs.example.org/intro",
                    "requested_url": "https://docs.example.org/intro",
                    "canonical": None,
                    "status": 200,
                    "depth": 1,
                    "title": "Introduction",
                    "text": "# Introduction\n\nStart here.",
                    "links": ["https://docs.example.org/"],
                    "hash": "9c1f8c5e4a3b2d1009f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544332",
                    "size_bytes": 5120,
                    "content_hash": "4b5f0c1e8a3b2d1009f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544332",
                    "page_type": "documentation",
                    "headline": "Introduction",
                    "language": "en",
                    "forms": [{"action": "https://docs.example.org/search", "method": "get", "fields": ["q"]}],
                }
            ]
        }
    )

    url: str = Field(max_length=2048, description="Canonical spelling of the address that answered, after redirects.")
    requested_url: str = Field(max_length=2048, description="The address that was asked for.")
    canonical: str | None = Field(max_length=2048, description="What the page's own canonical link names.")
    status: int = Field(ge=200, le=299)
    depth: int = Field(ge=0, le=10)
    title: str = Field(max_length=500)
    text: str = Field(max_length=20 * 2**20, description="Main text as Markdown; empty where none was found.")
    links: tuple[str, ...] = Field(max_length=2000, description="Distinct http and https links, absolute.")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the text in UTF-8.")
    size_bytes: Count = Field(description="Decoded bytes of the body.")
    content_hash: str = Field(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 of the text's words; case, white space, punctuation, markup and points in time do not "
        "change it.",
    )
    page_type: PageType | None = Field(None, description="None where there is too little text to tell.")
    headline: str = Field("", max_length=300, description="The title without the site's name.")
    author: str = Field("", max_length=300)
    published: str = Field("", pattern=_DAY, description="YYYY-MM-DD; empty where the page does not say.")
    modified: str = Field("", pattern=_DAY, description="YYYY-MM-DD; empty where the page does not say.")
    language: str = Field("", max_length=35, description="BCP 47; empty where it cannot be told.")
    description: str = Field("", max_length=1000, description="The page's own summary.")
    structured: tuple[dict[str, Any], ...] = Field(
        (), max_length=100, description="Objects of its JSON-LD, actions included; at most 200,000 characters."
    )
    forms: tuple[PageForm, ...] = Field((), max_length=20)
    noindex: bool = Field(False, description="It asks not to be indexed; see respect_page_robots.")
    unfollowed: tuple[str, ...] = Field(
        (), max_length=2000, description="Of its links, those that it says nofollow of."
    )
    etag: str = Field("", max_length=300, description="Of the answer; empty where there is none.")
    last_modified: str = Field("", max_length=100, description="Of the answer, as it came; empty where there is none.")
    body_hash: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the decoded body.")
    rendered: RenderReason | None = Field(
        None, description="Why it was opened in the browser; None where plain HTTP brought it."
    )
    change: PageChange | None = Field(None, description="Since the crawl that the request names; None where none.")
    fingerprint: str = Field(
        "",
        pattern=r"^([0-9a-f]{16})?$",
        description="Texts nearly the same differ in six of its bits at most. Empty for short ones.",
    )
    watch: PageWatch | None = Field(None, description="Where this crawl, or one before, was asked to `revisit`.")


# A page that is too large, is refused to us, or redirects without end will be so next time.
_PASSING = frozenset(FailureReason) - {
    FailureReason.HTTP_4XX,
    FailureReason.REDIRECTS,
    FailureReason.REFUSED,
    FailureReason.TOO_LARGE,
}
_PASSING_STATUSES = frozenset({408, 425, 429})


def may_pass(reason: FailureReason, status: int | None) -> bool:
    """Tell whether what failed so may be had next time."""
    return reason in _PASSING or status in _PASSING_STATUSES


class PageError(Contract):
    """One page that failed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://docs.example.org/gone",
                    "reason": "http_4xx",
                    "status": 404,
                    "message": "answered 404",
                }
            ]
        }
    )

    url: str = Field(max_length=2048)
    reason: FailureReason
    status: int | None = Field(None, ge=100, le=999)
    message: str = Field(max_length=300)
    final_url: str | None = Field(
        None,
        max_length=2048,
        description="Where the address led, or did in the crawl that this one is compared with; null: nowhere else.",
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the page may be known from: where the address led to, and itself."""
        return (self.url,) if self.final_url is None else (self.final_url, self.url)

    @property
    def may_pass(self) -> bool:
        """Whether the page may be there all the same, and be had next time."""
        return may_pass(self.reason, self.status)


class ChangedPage(Contract):
    """One line of ``changes.jsonl``: a page that is not what it was in the earlier crawl."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://docs.example.org/intro", "change": "changed"}]}
    )

    url: str = Field(max_length=2048)
    change: PageChange


class SimilarPages(Contract):
    """One line of ``similar.jsonl``: pages whose texts are nearly the same."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://docs.example.org/intro",
                    "pages": 1,
                    "similar": ["https://docs.example.org/print/intro"],
                }
            ]
        }
    )

    url: str = Field(max_length=2048, description="That with the shortest address.")
    pages: Count = Field(description="How many others there are.")
    similar: tuple[str, ...] = Field(max_length=MAX_SIMILAR_SHOWN, description="The others, by address; the first.")


class CrawlDelta(Contract):
    """How a site differs from what an earlier crawl found."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "since": "01890000-0000-7000-8000-000000000000",
                    "new": 2,
                    "changed": 3,
                    "unchanged": 45,
                    "not_modified": 40,
                    "same_bytes": 5,
                    "gone": 1,
                }
            ]
        }
    )

    since: str = Field(description="The job of the earlier crawl.")
    new: Count = 0
    changed: Count = 0
    unchanged: Count = 0
    not_modified: Count = Field(0, description="Of the unchanged: answered 304, so that no body was sent.")
    same_bytes: Count = Field(0, description="Of the unchanged: sent byte for byte as before, and not read again.")
    not_due: Count = Field(0, description="Of the unchanged: not asked for, because it was not time yet.")
    gone: Count = Field(0, description="Answered 404 or 410.")
    missed: Count = Field(0, description="Not come upon; 0 where the crawl was cut short.")
    failed: Count = Field(0, description="Known from before, and could not be had this time.")


class RevisitSummary(Contract):
    """How often a site's pages are asked for: from as often as they were seen to change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "pages": 50,
                    "next_due_at": "2026-11-23T18:25:00Z",
                    "shortest_s": 57300,
                    "median_s": 604800,
                    "longest_s": 2592000,
                }
            ]
        }
    )

    pages: Count = Field(description="Pages that are watched.")
    next_due_at: datetime | None = Field(description="When the first of them is due.")
    shortest_s: Seconds = Field(0, description="Between two looks at the page that changes most often.")
    median_s: Seconds = 0
    longest_s: Seconds = 0


@dataclass(frozen=True, slots=True)
class EarlierCrawl:
    """A crawl to compare with; whoever has it closes it."""

    job_id: str
    reader: str
    """Which version of the reader made its texts; empty where that is not known."""
    pages: BinaryIO
    """Its ``pages.jsonl``."""
    unreached: BinaryIO | None = None
    """Its ``unreached.jsonl``: records of pages that it knew of and could not have; None where there are none."""

    def close(self) -> None:
        """Close its files."""
        self.pages.close()
        if self.unreached is not None:
            self.unreached.close()
