"""Ticks become jobs: a schedule is moved on and its job accepted in one transaction, or neither."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from tasks.core.carriage import Carriage
from tasks.core.clock import now
from tasks.core.errors import AppError, InputRejected, LedgerUnavailable, NotFound
from tasks.core.follow_ups.plans import kinds_in
from tasks.core.kernel import Kernel
from tasks.core.ledger import costs, schedules
from tasks.core.ledger.accepting import Accepted, Idempotency
from tasks.core.ledger.usage import usage
from tasks.core.quotas import day_of, demand_room_for, standings
from tasks.core.schedules.plan import Plan, planned
from tasks.core.schedules.records import SCHEDULE_LABEL, TICK_LABEL, Outcome, Schedule
from tasks.core.spec import JobSpec
from tasks.discovery import budget
from tasks.dispatch import accept_ready, submit
from tasks.submission import Ready, Submission, ready

log = structlog.get_logger()

Specs = Mapping[str, JobSpec]

# What is the request's own, and not to be kept.
_OF_THE_REQUEST = frozenset({"tenant_id", "correlation_id", "traceparent", "idempotency_key"})
_SUBMISSION = TypeAdapter(Submission)


def stored(submission: Submission) -> dict[str, Any]:
    """Return what a schedule keeps of its job's request, once that was checked."""
    kept: dict[str, Any] = _SUBMISSION.dump_python(submission, mode="json", exclude=set(_OF_THE_REQUEST))
    return kept


def submission_for(schedule: Schedule, *, tick: str) -> Submission:
    """Return what a schedule submits.

    Raises:
        InputRejected: another version has kept what this one cannot read.
    """
    try:
        kept = _SUBMISSION.validate_python({**schedule.submission, "tenant_id": schedule.tenant_id})
    except ValidationError as exc:
        raise InputRejected("The request that was kept cannot be read any more: send `job` anew.", field="job") from exc
    labels = {**kept.labels, SCHEDULE_LABEL: schedule.id, TICK_LABEL: tick}
    return replace(kept, labels=labels, correlation_id=schedule.id)


def fire(kernel: Kernel, specs: Specs, schedule: Schedule, *, at: datetime, grace_s: float) -> Outcome | None:
    """Take one step of a schedule that is due: move it on, and have its job accepted in the same transaction.

    It is done for the schedule as it was read, so of two that do it at the same time one does nothing. A job that is
    refused uses its tick up, and the schedule says why.

    Args:
        at: the present by the ledger's clock.
        grace_s: how late a tick may be without having been missed.
    Returns:
        What became of a tick; None: nothing was to be made, or somebody else was faster.
    Raises:
        LedgerUnavailable: nothing was done.
    """
    assert schedule.next_at is not None  # noqa: S101  # it is due
    try:
        plan = planned(schedule.timing, schedule.catch_up, schedule.next_at, at=at, grace_s=grace_s)
    except InputRejected as exc:  # this machine does not know its time zone: it waits until somebody changes it
        return _refuse_tick(kernel, schedule, schedule.next_at, exc, {"next_at": None})
    moved: dict[str, Any] = {"next_at": plan.next_at}
    if plan.skipped is not None:
        first, last = (moment.isoformat() for moment in plan.skipped)
        log.warning("schedule_skipped", schedule_id=schedule.id, first=first, last=last)
        moved |= {"skipped_from": plan.skipped[0], "skipped_until": plan.skipped[1]}
    if plan.tick is None:
        with kernel.ledger.write() as connection:
            schedules.move(connection, schedule, moved)
        return None
    try:
        outcome = _accept_tick(kernel, schedule, plan, _ready(kernel, specs, schedule, plan.tick), moved)
    except LedgerUnavailable:
        raise
    except AppError as exc:
        outcome = _refuse_tick(kernel, schedule, plan.tick, exc, moved)
    except Exception as exc:
        # Another version may have kept what raises anything here: that must not be tried for ever, before all others.
        log.exception("schedule_raised", schedule_id=schedule.id)
        refusal = AppError(f"Making the job raised {type(exc).__name__}: send `job` anew.", field="job")
        outcome = _refuse_tick(kernel, schedule, plan.tick, refusal, moved)
    if outcome is not None:
        log.info("schedule_fired", schedule_id=schedule.id, tick=plan.tick.isoformat(), outcome=outcome)
    return outcome


def run_now(kernel: Kernel, carrier: Carriage, specs: Specs, schedule: Schedule, *, key: str | None) -> Accepted:
    """Submit a schedule's job at once, whatever its ticks, and enabled or not.

    Args:
        key: an ``Idempotency-Key``.
    Raises:
        NotFound: there is no such kind any more.
        InputRejected: what was kept does not fit this version.
        LedgerUnavailable: nothing was accepted, as far as is known; see there.
    """
    submission = replace(submission_for(schedule, tick="now"), idempotency_key=key)
    accepted = submit(kernel, carrier, spec_of(specs, schedule), submission)
    if not accepted.replayed:
        outcome = Outcome.DUPLICATE if accepted.duplicate else Outcome.ACCEPTED
        made = int(accepted.is_new)
        schedules.note_run(kernel.ledger, schedule.id, job_id=accepted.job.id, outcome=outcome, made=made)
    return accepted


def spec_of(specs: Specs, schedule: Schedule) -> JobSpec:
    """Return the spec of a schedule's kind.

    Raises:
        NotFound: there is no such kind any more.
    """
    kind = str(schedule.job.get("kind"))
    spec = specs.get(kind)
    if spec is None:
        raise NotFound(f"No kind {kind[:100]!r} any more.", field="kind", code="unknown_kind")
    return spec


def _ready(kernel: Kernel, specs: Specs, schedule: Schedule, tick: datetime) -> Ready:
    spec = spec_of(specs, schedule)
    submission = submission_for(schedule, tick=tick.isoformat().replace("+00:00", "Z"))
    ledger, tenant_id = kernel.ledger, schedule.tenant_id
    if not budget.BUDGETED.isdisjoint({spec.kind, *kinds_in(submission.plan)}):
        budget.demand_budget(kernel.settings, lambda: costs.spent_this_month(ledger, tenant_id))
    quotas = kernel.limits.quotas(tenant_id)
    if quotas is not None:
        present = now()
        used = usage(ledger, tenant_id, since=day_of(present))
        demand_room_for(1, standings(quotas, used, at=present))
    return ready(kernel, spec, submission)


def _accept_tick(
    kernel: Kernel, schedule: Schedule, plan: Plan, made: Ready, moved: Mapping[str, Any]
) -> Outcome | None:
    assert plan.tick is not None  # noqa: S101  # asked by fire
    # Moving it is what makes it once. The key holds even where the ledger's clock was set back between two changes.
    key = f"schedule:{schedule.id}:{plan.tick.isoformat()}"
    idempotency = Idempotency(key, hashlib.sha256(key.encode()).hexdigest(), kernel.settings.idempotency_ttl_s)
    with kernel.ledger.write() as connection:
        if not schedules.move(connection, schedule, {**moved, "last_at": plan.tick, "last_error": None}):
            return None
        accepted = accept_ready(connection, made, idempotency=idempotency)
        outcome = Outcome.DUPLICATE if accepted.duplicate else Outcome.ACCEPTED
        count = schedule.jobs_made + int(accepted.is_new)
        schedules.tell(connection, schedule.id, job_id=accepted.job.id, outcome=outcome, jobs_made=count)
    return outcome


def _refuse_tick(
    kernel: Kernel, schedule: Schedule, tick: datetime, exc: AppError, moved: Mapping[str, Any]
) -> Outcome | None:
    error = {"code": exc.code, "message": exc.message, "field": exc.field}
    told = {"last_at": tick, "last_outcome": Outcome.REFUSED, "last_error": error}
    with kernel.ledger.write() as connection:
        if not schedules.move(connection, schedule, {**moved, **told}):
            return None
    log.warning("schedule_refused", schedule_id=schedule.id, code=exc.code)
    return Outcome.REFUSED
