"""Many jobs at once, chosen as the list chooses them: retried, cancelled or erased once that is confirmed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor
from app.discovery import demand_budget_of_many
from app.inputs import TRUE_OR_FALSE, WHOLE_NUMBER, Text, checked
from app.jobs import FilterQuery, filter_of
from app.openapi import SECURITY, answer, problems
from app.operators import operator_only
from app.pauses import known_tenant
from app.record import summaries_of
from app.services import services
from tasks.core.errors import InputRejected
from tasks.core.ledger import batches
from tasks.core.ledger.queries import Filter
from tasks.core.records import JobSummary
from tasks.dispatch import cancel_matching, erase_matching, purge_matching, retry_matching

log = structlog.get_logger()

# Jobs that a dry run shows.
_SAMPLE = 10

bp = APIBlueprint("batches", __name__, abp_tags=[Tag(name="jobs")], abp_security=SECURITY)


class ManyQuery(FilterQuery):
    """Which jobs, how many of them at most, and that this is meant."""

    limit: Annotated[int, Field(ge=1, le=10_000), WHOLE_NUMBER] = Field(1000, description="Oldest first.")
    confirm: Annotated[bool, TRUE_OR_FALSE] = Field(
        False, description="Without `true` nothing is done, and the refusal says how many jobs it would be."
    )


class ManyAnswer(BaseModel):
    """What was done."""

    matched: int = Field(description="How many jobs the filter matched.")
    changed: int = Field(description="How many were retried, cancelled (or told to stop) or erased.")
    skipped: int = Field(description="How many matched, but are not in a state for this; see `docs/api.md`.")
    more: bool = Field(description="Whether `limit` left some out: ask again.")


_ANSWERS = {200: answer(ManyAnswer, "Done."), **problems(401, 422, 503)}


@bp.post("/api/jobs/retry", responses=_ANSWERS | problems(402))
@checked
def retry_many(query: ManyQuery) -> Response:
    """Run failed and cancelled jobs again."""
    at = services()

    def act(wanted: Filter) -> int:
        demand_budget_of_many(at, wanted)
        return retry_matching(at.kernel, at.carrier, wanted, limit=query.limit, by=actor())

    return _act_on(query, act, batches.RETRYABLE, verb="retry")


class PurgeQuery(ManyQuery):
    """Which queued jobs, of one tenant or of all."""

    tenant: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        None, description="The name of the tenant whose jobs they are; without it, of all tenants."
    )
    dry_run: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Only tell which jobs it would be.")


class PurgeAnswer(ManyAnswer):
    """What was done, or would be."""

    dry_run: bool
    sample: list[JobSummary] = Field(description="With `dry_run`, the first of those that would go.")


@bp.post("/api/jobs/purge", responses={200: answer(PurgeAnswer, "Done."), **problems(401, 403, 422, 503)})
@operator_only
@checked
def purge_jobs(query: PurgeQuery) -> Response:
    """Cancel queued jobs, whosever they are, with the cause `purged`; with `dry_run` only say which."""
    at = services()
    tenant = None if query.tenant is None else known_tenant(at, query.tenant)
    wanted = replace(filter_of(query), tenant_id=tenant)
    if not query.dry_run:

        def act(wanted: Filter) -> int:
            return purge_matching(at.kernel, at.carrier, wanted, limit=query.limit, by=actor())

        done = _done(query, wanted, act, batches.PURGEABLE, verb="purge")
        return json_answer(PurgeAnswer(**done.model_dump(), dry_run=False, sample=[]))
    found = batches.reach(at.kernel.ledger, wanted, batches.PURGEABLE)
    sample = batches.sample(at.kernel.ledger, wanted, batches.PURGEABLE, limit=_SAMPLE)
    return json_answer(
        PurgeAnswer(
            matched=found.matched,
            changed=0,
            skipped=found.matched - found.eligible,
            more=found.eligible > query.limit,
            dry_run=True,
            sample=summaries_of(at, sample),
        )
    )


@bp.post("/api/jobs/cancel", responses=_ANSWERS)
@checked
def cancel_many(query: ManyQuery) -> Response:
    """Cancel queued jobs, and tell running ones to stop."""
    at = services()

    def act(wanted: Filter) -> int:
        return cancel_matching(at.kernel, at.carrier, wanted, limit=query.limit, by=actor())

    return _act_on(query, act, batches.CANCELLABLE, verb="cancel")


@bp.delete("/api/jobs", responses=_ANSWERS)
@checked
def erase_many(query: ManyQuery) -> Response:
    """Erase finished jobs with their artifacts, logs and streams."""
    at = services()

    def act(wanted: Filter) -> int:
        return erase_matching(at.kernel, wanted, limit=query.limit, by=actor())

    return _act_on(query, act, batches.ERASABLE, verb="erase")


def _act_on(query: ManyQuery, act: Callable[[Filter], int], eligible: batches.Eligible, *, verb: str) -> Response:
    return json_answer(_done(query, filter_of(query), act, eligible, verb=verb))


def _done(
    query: ManyQuery, wanted: Filter, act: Callable[[Filter], int], eligible: batches.Eligible, *, verb: str
) -> ManyAnswer:
    found = batches.reach(services().kernel.ledger, wanted, eligible)
    if not query.confirm:
        raise InputRejected(
            f"This would {verb} {min(found.eligible, query.limit)} of the {found.matched} jobs that match: "
            "repeat it with confirm=true.",
            field="confirm",
            code="confirmation_required",
        )
    changed = act(wanted)
    log.info("jobs_changed", act=verb, matched=found.matched, changed=changed)
    more = changed >= query.limit and found.eligible > changed
    # To all that were eligible it was done, or would be, but for what must not run beside another of its kind.
    skipped = found.matched - (found.eligible if more else min(changed, found.matched))
    return ManyAnswer(matched=found.matched, changed=changed, skipped=skipped, more=more)


MODELS: tuple[type[BaseModel], ...] = (ManyAnswer, PurgeAnswer)
