"""The body of a submission: one model per kind, made of the kind's own request and of what every job may set."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, Field, create_model

from app.callbacks import Callback
from app.inputs import Input, Text
from tasks.core.matching import Requires
from tasks.core.records import Backend
from tasks.core.spec import JobSpec

LabelKey = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,63}$")]
LabelValue = Annotated[Text, Field(max_length=200)]
Site = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
# A year: whoever means "never" leaves it out.
_LONGEST_EXPIRY_S = 365 * 86400


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
    reference: str | None
    labels: Mapping[str, str]
    site: str | None
    callback: Callback | None
    concurrency_key: str | None
    unique_key: str | None
    requires: Requires | None
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


def _name(spec: JobSpec) -> str:
    words = spec.kind.replace(".", "_").split("_")
    return "".join(word.title() for word in words) + "Submission"
