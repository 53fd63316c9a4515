"""The older VA calibration service's paths under ``/api/v1`` about itself: its cache, its health, how jobs went."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from flask import Response
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.calibration_cache import standing
from app.compat.va_requests import KeyQuery
from app.compat.va_v1 import ConfirmQuery, VACleared, unconfirmed
from app.compat.va_words import (
    described,
    va_paths,
)
from app.inputs import Text
from app.openapi import answer
from app.services import Services, services
from tasks.calibration.causes import AgeGroup
from tasks.calibration.contract import SPECS
from tasks.calibration.terms import KIND
from tasks.core.clock import now
from tasks.core.events import EventsUnavailable
from tasks.core.ledger import cached_results, queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import Cause, JobState

_RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
aliases = va_paths("va_service")
bp = aliases.blueprint


class ClearQuery(ConfirmQuery):
    """Which earlier results are meant."""

    age_group: AgeGroup | None = None
    country: Annotated[Text, Field(max_length=100)] | None = None


class MetricsQuery(KeyQuery):
    """Since when."""

    time_range: Literal["1h", "24h", "7d", "30d"] = "24h"


class VACache(BaseModel):
    """How the tenant's cache stands."""

    total_cached_results: int
    cache_hit_rate: float = Field(description="Percent.")
    hits: int
    misses: int
    oldest_cached_result: datetime | None
    newest_cached_result: datetime | None


class VAHealth(BaseModel):
    """Whether calibrations can run now."""

    status: Literal["healthy", "degraded"]
    redis: Literal["healthy", "unhealthy", "not used"]
    celery: Literal["healthy", "no_workers"]
    workers: int
    queue_stats: dict[str, int]
    timestamp: datetime


class VAMetrics(BaseModel):
    """How the tenant's calibrations went."""

    time_range: str
    total_jobs: int
    success_rate: float | None = Field(description="Of the ended ones, percent; null where none has ended.")
    error_rate: float | None
    average_duration_seconds: float | None
    cache_hit_rate: float | None = Field(description="Percent, since the beginning.")
    errors: dict[str, int] = Field(description="Failed jobs by cause.")


MODELS: tuple[type[BaseModel], ...] = (VACache, VAHealth, VAMetrics)


@aliases.route(
    "GET",
    "/api/v1/cache",
    successor="/api/calibration/cache",
    responses={200: answer(VACache, "Now."), **described(401, 422, 503)},
)
def v1_read_cache() -> Response:
    """Tell how the cache stands."""
    found = standing()
    return json_answer(
        VACache(
            total_cached_results=found.entries,
            cache_hit_rate=round(100 * (found.hit_rate or 0.0), 2),
            hits=found.hits,
            misses=found.misses,
            oldest_cached_result=found.oldest,
            newest_cached_result=found.newest,
        )
    )


@aliases.route(
    "DELETE",
    "/api/v1/cache",
    successor="/api/calibration/cache",
    responses={200: answer(VACleared, "Done."), **described(401, 422, 503)},
)
def v1_clear_cache(query: ClearQuery) -> Response:
    """Forget earlier results, all or those of an age group or country; the jobs stay."""
    if not query.confirm:
        raise unconfirmed("forget earlier results")
    labels = [(name, value) for name in ("age_group", "country") if (value := getattr(query, name)) is not None]
    ledger = services().kernel.ledger
    count = cached_results.forget(ledger, tenant_id=tenant_id(), kind=KIND, labels=labels)
    return json_answer(VACleared(message=f"{count} cached results cleared", count=count))


@aliases.route(
    "GET",
    "/api/v1/health",
    successor="/health",
    responses={200: answer(VAHealth, "Now."), **described(401, 422, 503)},
)
def v1_health() -> Response:
    """Tell whether calibrations can run now."""
    at = services()
    redis = _redis(at)
    spec = SPECS[0]
    workers = [worker for worker in at.workers.all() if spec.queue in worker.queues]
    can_run = at.workers.missing_for(spec) is None
    counts = {
        f"{word}_jobs": queries.listing(
            at.kernel.ledger, Filter(tenant_id=tenant_id(), kind=KIND, states=[state]), limit=1
        ).total
        for word, state in (("pending", JobState.QUEUED), ("running", JobState.RUNNING))
    }
    return json_answer(
        VAHealth(
            status="healthy" if can_run and redis != "unhealthy" else "degraded",
            redis=redis,
            celery="healthy" if can_run else "no_workers",
            workers=len(workers),
            queue_stats=counts | {"cached_results": standing().entries},
            timestamp=now(),
        )
    )


def _redis(at: Services) -> Literal["healthy", "unhealthy", "not used"]:
    if not at.settings.needs_redis:
        return "not used"
    try:
        at.kernel.events.ping()
    except EventsUnavailable:
        return "unhealthy"
    return "healthy"


@aliases.route(
    "GET",
    "/api/v1/metrics",
    successor="/metrics",
    responses={200: answer(VAMetrics, "Since then."), **described(401, 422, 503)},
)
def v1_metrics(query: MetricsQuery) -> Response:
    """Tell how the tenant's calibrations went, over the newest 10,000 of them at most."""
    since = now() - _RANGES[query.time_range]
    found = queries.outcomes(services().kernel.ledger, tenant_id=tenant_id(), kind=KIND, since=since)
    ended = [one for one in found if one.state.is_terminal]
    failed = [one for one in ended if one.state is JobState.FAILED]
    durations = [one.seconds for one in ended if one.seconds is not None and one.cause == Cause.COMPLETED]
    hit_rate = standing().hit_rate
    return json_answer(
        VAMetrics(
            time_range=query.time_range,
            total_jobs=len(found),
            success_rate=_percent(sum(one.state is JobState.SUCCEEDED for one in ended), len(ended)),
            error_rate=_percent(len(failed), len(ended)),
            average_duration_seconds=round(sum(durations) / len(durations), 3) if durations else None,
            cache_hit_rate=None if hit_rate is None else round(100 * hit_rate, 2),
            errors={
                cause: sum(one.cause == cause for one in failed) for cause in sorted({one.cause for one in failed})
            },
        )
    )


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
