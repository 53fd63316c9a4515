"""What is known: searched, looked after, indexed anew."""

import json
import uuid
from typing import Any, Literal, TypedDict, Unpack

from client.calls import Call, parsed
from client.matrices import Perform
from client.models import Job, Record
from client.steps import Request

_PATH = "/api/knowledge"
_JSON = {"content-type": "application/json"}


class SearchOptions(TypedDict, total=False):
    """How a search goes; what is left out, the server decides."""

    top_k: int
    """1 to 50."""
    mode: Literal["hybrid", "lexical", "vector"]
    filters: dict[str, Any]
    """``url_prefix``, ``language``, ``document_ids``, ``updated_after``."""
    threshold: float
    """The least score, 0 to 1."""
    rerank: bool
    include_meta: bool


class Passage(Record):
    """A passage that a search found: ``text`` is ``start`` to ``end`` of its document's text."""

    score: float
    similarity: float | None = None
    places: dict[str, int]
    document_id: str
    url: str | None = None
    title: str = ""
    heading: str = ""
    text: str
    start: int
    end: int
    highlights: tuple[tuple[int, int], ...] = ()
    meta: dict[str, Any] | None = None


class Found(Record):
    """What a search found, best first."""

    site: str
    version: int
    model: str
    results: tuple[Passage, ...]
    failed: tuple[dict[str, str], ...] = ()
    """Retrievers that could not help, with the reason; the others answered."""
    is_cached: bool = False
    took_ms: float = 0.0


class KnowledgeStatus(Record):
    """How your sites stand, as the server tells it."""

    sites: tuple[dict[str, Any], ...]
    jobs: dict[str, dict[str, int]]
    searches: dict[str, float | None]


class Knowledge:
    """What you know; ``Switchyard.knowledge`` is one. Documents come by ``run("knowledge.update", …)``."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def search(self, site: str, query: str, **options: Unpack[SearchOptions]) -> Found:
        """Search a site by words and by vectors.

        Raises:
            NotFound: you know no such site.
        """
        return self._perform(searched(site, query, options))

    def status(self, site: str | None = None) -> KnowledgeStatus:
        """Tell how your sites stand, or one of them."""
        return self._perform(stood(site))

    def reindex(
        self,
        site: str,
        *,
        mode: Literal["delta", "full"] = "delta",
        priority: Literal["low", "normal", "high"] = "normal",
    ) -> Job:
        """Have a site's index made anew with the server's present model; return the job."""
        return self._perform(reindexed(site, mode=mode, priority=priority))


def searched(site: str, query: str, options: SearchOptions) -> Call[Found]:
    """Search a site."""
    body = json.dumps({"site": site, "query": query, **options}).encode()
    request = Request("POST", f"{_PATH}/search", headers=_JSON, body=body)
    return Call(request, lambda answer: parsed(Found, answer.json()))


def stood(site: str | None) -> Call[KnowledgeStatus]:
    """Read how sites stand."""
    params = () if site is None else (("site", site),)
    return Call(Request("GET", f"{_PATH}/status", params), lambda answer: parsed(KnowledgeStatus, answer.json()))


def reindexed(site: str, *, mode: str, priority: str) -> Call[Job]:
    """Submit a re-index, under an idempotency key: a repeat after a lost answer makes no second job."""
    headers = _JSON | {"idempotency-key": uuid.uuid4().hex}
    body = json.dumps({"site": site, "mode": mode, "priority": priority}).encode()
    request = Request("POST", f"{_PATH}/reindex", headers=headers, body=body)
    return Call(request, lambda answer: parsed(Job, answer.json()), limit="submit")
