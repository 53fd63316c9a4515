"""What is known: searched, looked after, indexed anew."""

import base64
from functools import partial

import numpy as np
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import checked
from app.knowledge_desk import Answered, Asked
from app.knowledge_records import (
    FailedRetriever,
    KnowledgeStatus,
    ReindexBody,
    ReindexPriority,
    SearchAnswer,
    SearchBody,
    SearchFilters,
    SearchResult,
    SearchTimes,
    SiteRevisit,
    SiteStatus,
    StatusQuery,
)
from app.openapi import SECURITY, answer, problems
from app.services import Services, services
from app.submissions import ACCEPTED_ANSWERS, SubmitHeaders, accept, accept_job, answer_accepted, wait_for_end
from tasks.core.errors import Transient
from tasks.core.ledger import queries
from tasks.core.records import JobState
from tasks.core.text.ngrams import Vector
from tasks.knowledge.contract import ANSWER, EMBED, REINDEX, UPDATE
from tasks.knowledge.hashed import HASHED
from tasks.knowledge.records import ENDPOINT, MINILM, MINILM_NAME, NGRAMS, Model, unknown_site
from tasks.knowledge.search.highlights import highlights
from tasks.knowledge.search.passages import Filters
from tasks.knowledge.search.searching import terms_of
from tasks.knowledge.store.reading import LedgerLibrary, SiteStanding, standings

bp = APIBlueprint("knowledge", __name__, abp_tags=[Tag(name="knowledge")], abp_security=SECURITY)

MODELS: tuple[type[BaseModel], ...] = (
    *(SearchBody, SearchFilters, SearchAnswer, SearchResult, FailedRetriever),
    *(KnowledgeStatus, SiteStatus, SiteRevisit, SearchTimes, ReindexBody),
)

_PRIORITIES = {ReindexPriority.LOW: 20, ReindexPriority.NORMAL: 50, ReindexPriority.HIGH: 80}
# Somebody waits for the answer to a search.
_EMBED_PRIORITY = 95
_EMBED_WAIT_S = 5.0


@bp.post(
    "/api/knowledge/search",
    responses={200: answer(SearchAnswer, "The best."), **problems(400, 401, 404, 409, 413, 415, 422, 429, 503)},
)
@checked
def search(body: SearchBody) -> Response:
    """Search a site by words and by vectors."""
    at = services()
    asked = Asked(
        tenant_id=tenant_id(),
        site=body.site,
        query=body.query,
        top_k=body.top_k,
        mode=body.mode,
        filters=Filters(**dict(body.filters)),
        threshold=body.threshold,
        is_reranked=body.rerank,
    )
    return json_answer(_shown(body, at.knowledge.answer(asked, partial(_embed, at))))


def _shown(body: SearchBody, answered: Answered) -> SearchAnswer:
    terms = set(terms_of(body.query))
    results = [
        SearchResult(
            score=hit.score,
            similarity=hit.similarity,
            places=dict(hit.places),
            document_id=passage.key,
            url=passage.url,
            title=passage.title,
            heading=passage.heading,
            text=passage.text,
            start=passage.begin,
            end=passage.end,
            highlights=highlights(passage.text, terms),
            meta={"language": passage.language, "updated_at": passage.updated_at, "chunk": passage.id}
            if body.include_meta
            else None,
        )
        for hit, passage in answered.found
    ]
    return SearchAnswer(
        site=body.site,
        query=body.query,
        version=answered.version,
        model=answered.model,
        mode=body.mode,
        results=results,
        failed=[FailedRetriever(retriever=name, reason=reason) for name, reason in answered.failed],
        is_cached=answered.is_cached,
        took_ms=answered.took_ms,
    )


def _embed(at: Services, model: Model, query: str) -> Vector:
    """Have a worker embed the query, and wait for it."""
    params = {"items": [{"content": query}], "model": model.name}
    # Nobody wants the vector any more when the search has gone on without it.
    options = {"priority": _EMBED_PRIORITY, "expires_in_s": _EMBED_WAIT_S}
    # Nor is a worker to wait longer for an endpoint. Weights of its own it loads once, however long that takes.
    if at.settings.knowledge_model.startswith(ENDPOINT):
        options["timeout_s"] = _EMBED_WAIT_S
    job = wait_for_end(at, accept_job(at, EMBED, {"params": params, **options}), _EMBED_WAIT_S)
    if not job.state.is_terminal:
        raise Transient(f"No worker embedded the query within {_EMBED_WAIT_S:g} s: job {job.id}.", code="model_away")
    if job.state is not JobState.SUCCEEDED or job.result is None:
        error = job.error or {"code": job.cause, "message": "it was cancelled"}
        raise Transient(f"Job {job.id}: {error['code']}: {error['message']}"[:300], code="model_away")
    content = base64.b64decode(job.result["vectors"][0]["vector"])
    vector = np.frombuffer(content, "<f4").astype(np.float32)
    if vector.size != model.dimensions:
        raise Transient(
            f"{model.name} gives {vector.size} numbers now, and the site has {model.dimensions}: re-index it.",
            code="other_model",
        )
    return vector


@bp.get("/api/knowledge/status", responses={200: answer(KnowledgeStatus, "Now."), **problems(401, 404, 422, 503)})
@checked
def read_status(query: StatusQuery) -> Response:
    """Tell what this tenant's sites hold, how their jobs went, and how long searches take here."""
    at = services()
    found = standings(at.kernel.ledger, tenant_id(), site=query.site)
    if query.site is not None and not found:
        raise unknown_site(query.site)
    kinds = (UPDATE, EMBED, REINDEX, ANSWER)
    times = at.knowledge.times_ms()
    return json_answer(
        KnowledgeStatus(
            sites=[_status_of(one, at.settings.knowledge_model) for one in found],
            jobs=queries.counts_of_kinds(at.kernel.ledger, tenant_id=tenant_id(), kinds=kinds),
            searches=SearchTimes(
                count=len(times),
                p50_ms=times[len(times) // 2] if times else None,
                p95_ms=times[min(len(times) - 1, int(len(times) * 0.95))] if times else None,
            ),
        )
    )


def _status_of(one: SiteStanding, setting: str) -> SiteStatus:
    flags = {
        "empty": not one.chunks,
        "vectors_pending": one.without_vector > 0,
        "crawl_mostly_failed": one.crawl_is_flagged,
        "other_model": not _is_of(one.model, setting),
    }
    return SiteStatus(
        site=one.site,
        version=one.version,
        model=one.model.name,
        dimensions=one.model.dimensions,
        pages=one.pages,
        tombstones=one.tombstones,
        chunks=one.chunks,
        pending=one.without_vector,
        created_at=one.created_at,
        updated_at=one.updated_at,
        crawl_job_id=one.crawl_job_id,
        crawled_at=one.crawled_at,
        revisit=None if one.revisit is None else SiteRevisit(**one.revisit),
        flags=[name for name, is_raised in flags.items() if is_raised],
    )


def _is_of(model: Model, setting: str) -> bool:
    return model.name == {NGRAMS: HASHED.name, MINILM: MINILM_NAME}.get(setting, setting)


@bp.post("/api/knowledge/reindex", responses={**ACCEPTED_ANSWERS})
@checked
def reindex(header: SubmitHeaders, body: ReindexBody) -> Response:
    """Make a site's index anew with the present model: a `knowledge.reindex` job. The old one is searched meanwhile."""
    at = services()
    if LedgerLibrary(at.kernel.ledger).standing(tenant_id(), body.site) is None:
        raise unknown_site(body.site)
    params = {"site": body.site, "mode": body.mode}
    options = {"priority": _PRIORITIES[body.priority], "site": body.site}
    accepted = accept(at, REINDEX, {"params": params, **options}, key=header.idempotency_key)
    return answer_accepted(at, accepted, header)
