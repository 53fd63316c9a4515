"""The body of a submission: one model per kind, made of the kind's own request and of what every job may set."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, Field, create_model

from app.callbacks import ENDS, Callback, CallbackURL, JobEvents
from app.errors import Refusal
from app.inputs import Input, Moment, Text
from tasks.core.clock import now
from tasks.core.matching import Requires
from tasks.core.records import Backend
from tasks.core.spec import HOST_CHARS, JobSpec

LabelKey = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,63}$")]
LabelValue = Annotated[Text, Field(max_length=200)]
Site = Annotated[str, Field(max_length=253, pattern=f"^[A-Z{HOST_CHARS}]+$")]
# A year: whoever means "never" leaves it out.
_LONGEST_EXPIRY_S = 365 * 86400


class FollowUpCallback(Input):
    """Where a follow-up's events go. Its deliveries are signed with the tenant's secret."""

    url: CallbackURL
    events: JobEvents = Field(ENDS, description="Of which events; by default of its end, whatever that is.")


class FollowUp(Input):
    """What is started when a job has ended. What it does not name it has from that job, as its priority and place."""

    kind: Annotated[Text, Field(min_length=1, max_length=100)] = Field(description="As `/api/kinds` lists it.")
    params: dict[str, Any] = Field(
        {},
        description='What that kind takes. Anywhere in it, `{"$from": "/result/url"}` takes a value of the job that '
        "ended, by JSON Pointer: of `/job`, `/request`, `/result` or `/error`, `/parent`; beside it, `default` says "
        "what stands there where there is none.",
    )
    when: Annotated[Text, Field(max_length=500)] | None = Field(
        None,
        description="A JSON Pointer, as in `params`. Only if it leads to something is this started: not where there is "
        "no such value, nor if it is null, false, zero or empty. Absent: always.",
    )
    timeout_s: float | None = Field(None, gt=0, description="The kind's own at most.")
    max_attempts: int | None = Field(None, ge=1, description="At most the kind's own.")
    expires_in_s: float | None = Field(None, gt=0, le=_LONGEST_EXPIRY_S, description="From its own acceptance.")
    reference: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    labels: dict[LabelKey, LabelValue] = Field({}, max_length=16, json_schema_extra={"additionalProperties": False})
    site: Site | None = None
    callback: FollowUpCallback | None = Field(None, description="Instead of that of the job that it follows.")
    concurrency_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    requires: Requires | None = Field(None, description="What its worker must offer, as for any job.")
    same_worker: bool = Field(
        False,
        description="It goes to the worker that ran the job that it follows, which may hold files of it; once that one "
        "has gone, to another on the same host.",
    )
    on_success: dict[str, Any] | None = Field(None, description="What follows this one: again such an object.")
    on_failure: dict[str, Any] | None = Field(None, description="As `on_success`.")


class Options(Input):
    """What every job may set for itself."""

    priority: int = Field(50, ge=0, le=100, description="Higher goes first.")
    timeout_s: float | None = Field(None, gt=0, description="Soft limit of one attempt; the kind's own at most.")
    max_attempts: int | None = Field(None, ge=1, description="At most the kind's own.")
    expires_in_s: float | None = Field(
        None,
        gt=0,
        le=_LONGEST_EXPIRY_S,
        description="A job still queued after so many seconds ends as failed, with the code `expired`.",
    )
    not_before: Moment | None = Field(
        None, description="It waits until then, at most a year; a time that has passed is no wait."
    )
    expires_at: Moment | None = Field(
        None,
        description="As `expires_in_s`, at a time; give one of the two. It must be to come, and after `not_before`.",
    )
    reference: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="A name of yours, to filter by."
    )
    labels: dict[LabelKey, LabelValue] = Field(
        {},
        max_length=16,
        description="At most 16 pairs, to filter by.",
        json_schema_extra={"additionalProperties": False},
    )
    site: Site | None = Field(None, description="The hostname or id that this is about, to filter by.")
    callback: Callback | None = Field(None, description="Tell this job's events to a URL (docs/webhooks.md).")
    concurrency_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Of your jobs with the same one, a single one is under way at a time, by priority, then age."
    )
    unique_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None,
        description="While one of your jobs with it has not ended, you are answered with that one: no other is made.",
    )
    requires: Requires | None = Field(
        None, description="What a worker must offer for it: it goes to one that fits (docs/matching.md)."
    )
    on_success: FollowUp | None = Field(
        None, description="What is started when the job has succeeded (docs/follow-ups.md)."
    )
    on_failure: FollowUp | None = Field(None, description="What is started when the job has failed.")
    backend: Backend = Field(
        Backend.AUTO,
        description="Who may run it: `auto` (whoever is live), `queue` (Celery's workers) or `local` (a local runner); "
        "`GET /api/backends` tells which are.",
    )


class Form(Protocol):
    """What a submission's model has, whatever its kind."""

    params: BaseModel
    priority: int
    timeout_s: float | None
    max_attempts: int | None
    expires_in_s: float | None
    not_before: datetime | None
    expires_at: datetime | None
    reference: str | None
    labels: Mapping[str, str]
    site: str | None
    callback: Callback | None
    concurrency_key: str | None
    unique_key: str | None
    requires: Requires | None
    on_success: FollowUp | None
    on_failure: FollowUp | None
    backend: Backend


def form_of(spec: JobSpec) -> type[BaseModel]:
    """Make the model of a submission to ``/api/jobs/{kind}``."""
    needs_params = any(field.is_required() for field in spec.request.model_fields.values())
    params: Any = Field(description=spec.summary) if needs_params else Field({}, validate_default=True)
    fields: dict[str, Any] = {
        "params": (spec.request, params),
        "timeout_s": (
            float | None,
            Field(None, gt=0, le=spec.soft_limit_s, description="Soft limit of one attempt, in seconds."),
        ),
        "max_attempts": (
            int | None,
            Field(None, ge=1, le=spec.retry.max_attempts, description="Tries before the job is given up."),
        ),
    }
    return create_model(_name(spec), __base__=Options, __doc__=f"{spec.kind}: {spec.summary}", **fields)


def named_form_of(spec: JobSpec, form: type[BaseModel]) -> type[BaseModel]:
    """Make the model of a submission to ``/api/jobs``, which names its kind."""
    fields: dict[str, Any] = {"kind": (Literal[spec.kind], ...)}
    return create_model(f"{_name(spec)}Named", __base__=form, __doc__=form.__doc__, **fields)


def read_form(form: BaseModel) -> Form:
    """Return ``form``, which ``form_of``'s model made, with the fields it is known to have."""
    return cast("Form", form)


def refused_times(form: Form) -> list[Refusal]:
    """Return what is wrong with a form's times, as they relate to each other and to the present."""
    at, year = now(), timedelta(seconds=_LONGEST_EXPIRY_S)
    begin, end, end_field = form.not_before, form.expires_at, "expires_at"
    refusals: list[Refusal] = []

    def refuse(field: str, message: str) -> None:
        value: datetime | float | None = getattr(form, field)
        refusals.append(
            Refusal(field=field, message=message, value=value.isoformat() if isinstance(value, datetime) else value)
        )

    if form.expires_in_s is not None:
        if end is not None:
            refuse("expires_at", "Give one of `expires_in_s` and `expires_at`.")
            return refusals
        end, end_field = at + timedelta(seconds=form.expires_in_s), "expires_in_s"
    if begin is not None and begin > at + year:
        refuse("not_before", "It is more than a year from now.")
    if end is not None and end > at + year:
        refuse(end_field, "It is more than a year from now: leave it out if the job need not expire.")
    if end is not None and end <= at:
        refuse(end_field, f"It has passed: it is {at:%Y-%m-%dT%H:%M:%SZ} now.")
    elif end is not None and begin is not None and end <= begin:
        refuse(end_field, "The job would expire before its `not_before`.")
    return refusals


def _name(spec: JobSpec) -> str:
    words = spec.kind.replace(".", "_").split("_")
    return "".join(word.title() for word in words) + "Submission"
