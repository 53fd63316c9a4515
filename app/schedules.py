"""Schedules: requests for jobs that come again and again, by a cron expression or every so many seconds."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from pydantic_core import to_json

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.discovery import demand_budget
from app.errors import FieldsRejected, Refusal, refusals_of
from app.forms import Form, read_form
from app.inputs import TRUE_OR_FALSE, WHOLE_NUMBER, Input, Text, checked, validate_body
from app.openapi import SECURITY, answer, bare_answer, problems
from app.services import Services, services
from app.submissions import (
    ACCEPTED_ANSWERS,
    SubmitHeaders,
    answer_accepted,
    demand_room,
    named_spec,
    submission_of,
)
from tasks.core.clock import now
from tasks.core.errors import InputRejected, NotFound
from tasks.core.follow_ups.plans import kinds_in
from tasks.core.ids import new_id
from tasks.core.ledger import schedules
from tasks.core.records import JobError
from tasks.core.schedules.records import SCHEDULE_LABEL, TICK_LABEL, CatchUp, Outcome, Schedule
from tasks.core.schedules.timing import LONGEST_CRON, MOST_EVERY_S, check_cron
from tasks.core.uploads.references import references
from tasks.scheduling import run_now, spec_of, stored, submission_for

log = structlog.get_logger()

bp = APIBlueprint("schedules", __name__, abp_tags=[Tag(name="schedules")], abp_security=SECURITY)

# It is kept, and copied into each of its jobs.
_LARGEST_JOB_BYTES = 65_536
_ID = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Name = Annotated[Text, Field(min_length=1, max_length=200)]
_Cron = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=LONGEST_CRON,
        description="Minute, hour, day of month, month, day of week, as Debian's cron reads them.",
        examples=["30 2 * * MON-FRI"],
    ),
]
_TimeZone = Annotated[Text, Field(min_length=1, max_length=64, description="An IANA name.", examples=["Africa/Maputo"])]
_EverySeconds = Annotated[int, Field(ge=1, le=MOST_EVERY_S, description="In place of `cron`: so many seconds apart.")]
_CATCH_UP = (
    "What becomes of ticks that were missed by more than a minute, because no dispatcher ran: nothing (`skip`), one "
    "job for all of them (`one`), or one for each of the newest hundred (`all`)."
)
_JOB = "As `POST /api/jobs` takes it, with its `kind`; without uploads, times and a secret of its own."


class SchedulePath(Input):
    """Which schedule."""

    schedule_id: str = Field(description="The schedule's id.", json_schema_extra={"format": "uuid"})


class ScheduleQuery(Input):
    """Which schedules, and which page of them."""

    enabled: Annotated[bool, TRUE_OR_FALSE] | None = None
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    cursor: _ID | None = Field(None, description="`next_cursor` of the page before.")


class NewSchedule(Input):
    """A request for a job, and when it comes: `cron` or `every_s`."""

    job: dict[str, Any] = Field(
        description=_JOB,
        examples=[{"kind": "crawling.site", "params": {"url": "https://example.org", "since": "last"}}],
    )
    cron: _Cron | None = None
    time_zone: _TimeZone = "UTC"
    every_s: _EverySeconds | None = None
    catch_up: CatchUp = Field(CatchUp.ONE, description=_CATCH_UP)
    enabled: bool = True
    name: _Name | None = Field(None, description="For people.")


class ScheduleChanges(Input):
    """What is to be otherwise; with another timing, or enabled again, the ticks begin after the present."""

    job: dict[str, Any] | None = Field(None, description=f"The whole request. {_JOB}")
    cron: _Cron | None = None
    time_zone: _TimeZone | None = None
    every_s: _EverySeconds | None = None
    catch_up: CatchUp | None = Field(None, description=_CATCH_UP)
    enabled: bool | None = None
    name: _Name | None = None


class Skipped(BaseModel):
    """Ticks that made no job, because they were missed."""

    first: datetime
    last: datetime


class ScheduleRecord(BaseModel):
    """A schedule as it is now."""

    id: str
    name: str | None
    cron: str | None
    time_zone: str
    every_s: int | None
    catch_up: CatchUp
    enabled: bool
    job: dict[str, Any] = Field(description="As it was sent.")
    next_at: datetime | None = Field(description="The next tick; null while it is disabled.")
    last_at: datetime | None = Field(description="The newest tick, or when a job was asked for beside them.")
    last_outcome: Outcome | None = Field(
        description="`accepted`; `duplicate`: a job with its `unique_key` had not ended; `refused`: see `last_error`."
    )
    last_job_id: str | None = Field(description="The newest job.")
    last_error: JobError | None = Field(description="Why the newest tick made no job.")
    skipped: Skipped | None = Field(description="The newest ticks that were missed and not made up for.")
    jobs_made: int
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class SchedulePage(BaseModel):
    """Schedules, newest first."""

    schedules: list[ScheduleRecord]
    next_cursor: str | None = Field(None, description="Asks for the next page; null on the last one.")


MODELS: tuple[type[BaseModel], ...] = (NewSchedule, ScheduleChanges, ScheduleRecord, SchedulePage)
_UPLOADS = "Uploads do not stay: a schedule cannot name any."
_PATH = "/api/schedules"
_ONE = f"{_PATH}/<schedule:schedule_id>"


@bp.post(
    _PATH,
    responses={
        201: answer(ScheduleRecord, "Its ticks begin now.", headers=("Location",)),
        **problems(400, 401, 409, 413, 415, 422, 503),
    },
)
@checked
def create_schedule(body: NewSchedule) -> Response:
    """Make a schedule; its request is checked as a submission is."""
    at = services()
    refusals = _timing_refusals(body.cron, body.every_s, body.time_zone)
    submission = _checked_job(at, body.job, refusals)
    present = now()
    made = schedules.create(
        at.kernel.ledger,
        Schedule(
            id=new_id(),
            tenant_id=tenant_id(),
            name=body.name,
            cron=body.cron,
            time_zone=body.time_zone,
            every_s=body.every_s,
            anchor=present,
            catch_up=body.catch_up,
            enabled=body.enabled,
            job=body.job,
            submission=submission,
            created_at=present,
            updated_at=present,
        ),
        by=actor(),
    )
    log.info("schedule_created", schedule_id=made.id)
    response = json_answer(_record(made), status=201)
    response.headers["Location"] = f"{_PATH}/{made.id}"
    return response


@bp.get(_PATH, responses={200: answer(SchedulePage, "A page."), **problems(401, 422, 503)})
@checked
def list_schedules(query: ScheduleQuery) -> Response:
    """List your schedules, newest first."""
    ledger = services().kernel.ledger
    found = schedules.page(ledger, tenant_id(), enabled=query.enabled, limit=query.limit, before=query.cursor)
    cursor = found[-1].id if len(found) == query.limit else None
    return json_answer(SchedulePage(schedules=[_record(one) for one in found], next_cursor=cursor))


@bp.get(_ONE, responses={200: answer(ScheduleRecord, "The schedule."), **problems(401, 404, 503)})
@checked
def read_schedule(path: SchedulePath) -> Response:
    """Show a schedule."""
    return json_answer(_record(_found(path)))


@bp.patch(_ONE, responses={200: answer(ScheduleRecord, "As it is now."), **problems(400, 401, 404, 413, 415, 422, 503)})
@checked
def change_schedule(path: SchedulePath, body: ScheduleChanges) -> Response:
    """Change a schedule, or switch it off or on."""
    at = services()
    before = _found(path)
    names = ("name", "time_zone", "catch_up", "enabled", "job")
    changes = {name: value for name in names if (value := getattr(body, name)) is not None}
    if body.cron is not None or body.every_s is not None:
        changes |= {"cron": body.cron, "every_s": body.every_s}
    refusals = _timing_refusals(
        changes.get("cron", before.cron), changes.get("every_s", before.every_s), body.time_zone or before.time_zone
    )
    if body.job is not None:
        changes["submission"] = _checked_job(at, body.job, refusals)
    elif refusals:
        raise FieldsRejected(refusals)
    changed = schedules.change(at.kernel.ledger, tenant_id(), before.id, changes, by=actor())
    log.info("schedule_changed", schedule_id=changed.id, fields=sorted(changes))
    return json_answer(_record(changed))


@bp.delete(_ONE, responses={204: bare_answer("It is gone; its jobs stay."), **problems(401, 404, 503)})
@checked
def delete_schedule(path: SchedulePath) -> Response:
    """Delete a schedule."""
    schedules.delete(services().kernel.ledger, tenant_id(), path.schedule_id, by=actor())
    log.info("schedule_deleted", schedule_id=path.schedule_id, by=actor())
    return Response(status=204)


@bp.post(f"{_ONE}/run", responses=ACCEPTED_ANSWERS)
@checked
def run_schedule(path: SchedulePath, header: SubmitHeaders) -> Response:
    """Submit the schedule's job now, whether or not it is enabled; its ticks stay as they are."""
    at = services()
    schedule = _found(path)
    key = header.idempotency_key
    spec = spec_of(at.specs, schedule)
    for kind in {spec.kind, *kinds_in(submission_for(schedule, tick="now").plan)} & set(at.specs):
        demand_budget(at, at.specs[kind], key=key)
    demand_room(at, 1, key=key)
    accepted = run_now(at.kernel, at.carrier, at.specs, schedule, key=key)
    if accepted.is_new:
        at.quotas.add(schedule.tenant_id, 1)
    (at.metrics.accepted if accepted.is_new else at.metrics.replayed).labels(spec.kind).inc()
    log.info("schedule_run", schedule_id=schedule.id, job_id=accepted.job.id, is_new=accepted.is_new)
    return answer_accepted(at, accepted, header)


def _timing_refusals(cron: str | None, every_s: int | None, time_zone: str) -> list[Refusal]:
    if (cron is None) == (every_s is None):
        return [Refusal(field="cron", message="Give one of `cron` and `every_s`.", value=cron)]
    try:
        check_cron("* * * * *" if cron is None else cron, time_zone, at=now())
    except InputRejected as exc:
        value = time_zone if exc.field == "time_zone" else cron
        return [Refusal(field=exc.field or "cron", message=exc.message, value=value)]
    return []


def _checked_job(at: Services, job: dict[str, Any], refusals: list[Refusal]) -> dict[str, Any]:
    """Check a schedule's request; return what is kept of it.

    Raises:
        FieldsRejected: with ``refusals`` and those of the request, by their paths in the body.
    """
    kept: dict[str, Any] = {}
    rest = dict(job)
    try:
        if len(to_json(job)) > _LARGEST_JOB_BYTES:
            raise FieldsRejected([Refusal(field="", message=f"It is over {_LARGEST_JOB_BYTES} bytes.")])
        spec = named_spec(at, rest)
        unfit = _unfit(read_form(validate_body(at.forms[spec.kind], rest)))
        if unfit:
            raise FieldsRejected(unfit)
        submission = submission_of(at, spec, rest)
        if submission.uploads:  # of what follows
            raise FieldsRejected([Refusal(field="", message=_UPLOADS)])
        kept = stored(submission)
    except InputRejected as exc:
        refusals = [*refusals, *(_inside(one) for one in refusals_of(exc))]
    except NotFound as exc:
        refusals = [*refusals, Refusal(field="job.kind", message=exc.message)]
    if refusals:
        raise FieldsRejected(refusals)
    return kept


def _unfit(form: Form) -> list[Refusal]:
    """Return what a submission may say, and a schedule's request may not."""
    when = "The schedule says when: leave it out; `expires_in_s` counts from each tick."
    refusals = [Refusal(field=name, message=when) for name in ("not_before", "expires_at") if getattr(form, name)]
    refusals += [
        Refusal(field=f"labels.{name}", message="Each job gets this label: call yours otherwise.")
        for name in (SCHEDULE_LABEL, TICK_LABEL)
        if name in form.labels
    ]
    if form.callback is not None and form.callback.secret is not None:
        message = "It would be kept: leave it out, and your tenant's own signs (`GET /api/webhooks/signing-secret`)."
        refusals.append(Refusal(field="callback.secret", message=message))
    return refusals + [
        Refusal(field=".".join(("params", *one.path)), message=_UPLOADS) for one in references(form.params)
    ]


def _inside(refusal: Refusal) -> Refusal:
    return refusal.model_copy(update={"field": f"job.{refusal.field}".removesuffix(".")})


def _found(path: SchedulePath) -> Schedule:
    return schedules.find(services().kernel.ledger, tenant_id(), path.schedule_id)


def _record(schedule: Schedule) -> ScheduleRecord:
    path = f"{_PATH}/{schedule.id}"
    links = {"self": path, "run": f"{path}/run"}
    links["jobs"] = f"/api/jobs?label={quote(f'{SCHEDULE_LABEL}:{schedule.id}')}"
    if schedule.last_job_id is not None:
        links["last_job"] = f"/api/jobs/{schedule.last_job_id}"
    skipped = None
    if schedule.skipped_from is not None and schedule.skipped_until is not None:
        skipped = Skipped(first=schedule.skipped_from, last=schedule.skipped_until)
    shown = set(ScheduleRecord.model_fields) - {"links", "skipped", "last_error"}
    return ScheduleRecord(
        **{name: getattr(schedule, name) for name in shown},
        last_error=None if schedule.last_error is None else JobError(**schedule.last_error),
        skipped=skipped,
        links=links,
    )
