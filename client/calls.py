"""Each call of the HTTP interface as a value: what to send, and how to read the answer. No I/O."""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from client.errors import ConnectionFailed, error_from
from client.models import (
    Advice,
    Artifact,
    BackendInfo,
    Chain,
    Change,
    Job,
    Kind,
    LogPage,
    Page,
    Presets,
    QueueInfo,
    WorkerInfo,
)
from client.steps import Answer, Request

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class SubmitOptions(TypedDict, total=False):
    """What a submit may set besides the kind and its params; what is left out, the kind's own defaults decide."""

    priority: int
    """0 to 100, higher first."""
    timeout_s: float
    max_attempts: int
    expires_in_s: float
    """A job still queued after so long ends as failed, with the code ``expired``."""
    not_before: datetime | str
    """It waits until then; a ``datetime`` has a time zone."""
    expires_at: datetime | str
    """As ``expires_in_s``, at a time."""
    reference: str
    labels: Mapping[str, str]
    site: str
    unique_key: str
    """While a job of yours with this key has not ended, it is the answer (``job.duplicate``), and none is made."""
    concurrency_key: str
    """Of your jobs with the same key one is under way at a time; the others wait."""
    backend: Literal["auto", "queue", "local"]
    """Who may run it: whoever is live, Celery's workers, or a local runner of the server."""
    requires: Mapping[str, Any]
    """What a worker must offer for it, such as ``{"chromium": True, "labels": ["gpu"]}`` (docs/matching.md)."""
    callback: Mapping[str, Any]
    """Where the job's events go: ``{"url", "events"?, "secret"?}`` (docs/webhooks.md)."""
    on_success: Mapping[str, Any]
    """What is started when the job has succeeded: ``{"kind", "params", "on_success"?, …}`` (docs/follow-ups.md)."""
    on_failure: Mapping[str, Any]
    """What is started when it has failed."""
    idempotency_key: str
    """Your own name for this request, kept 24 h; one is made when none is given."""
    correlation_id: str
    wait_s: float
    """Ask the server to answer only when the job has ended, or after this long (``Prefer: wait``)."""


class Needs(TypedDict, total=False):
    """What it is for; what is left out or None was not said."""

    sites: int | None
    """Sites whose tools are to be known."""
    jobs_per_day: int | None
    """Discoveries and runs of tools."""
    job_s: float | None
    """How long one takes."""
    people: int | None
    """Who rely on it."""
    must_survive: bool
    """Jobs are to go on at once when a machine dies."""
    has_redis: bool
    """Whether Redis may be run."""
    measured: bool
    """Take ``jobs_per_day`` and ``job_s`` from what the server measured in the last hour, unless they are said."""


class JobFilters(TypedDict, total=False):
    """Which jobs a list shows; all given ones must hold."""

    state: str | Iterable[str]
    kind: str
    queue: str
    site: str
    reference: str
    batch: str
    """A batch's id."""
    parent: str
    """The job that they follow."""
    chain: str
    """The first job of their chain."""
    labels: Mapping[str, str]
    created_from: datetime | str
    created_to: datetime | str
    dead: bool
    text: str


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, the reading of its answer, which limit it falls under, and whether it may be sent again."""

    request: Request
    read: Callable[[Answer], T]
    limit: Literal["status", "submit"] = "status"
    extra_s: float = 0.0
    repeatable: bool = True


def checked(answer: Answer) -> Answer:
    """Return a good answer; raise the typed error of any other."""
    if answer.status >= 300 and answer.status != 304:
        raise error_from(answer.status, answer.headers, answer.body)
    return answer


def parsed(model: type[M], payload: object) -> M:
    """Read one record of an answer."""
    try:
        return model.model_validate(payload)
    except ValidationError as exc:
        raise ConnectionFailed(f"the answer is not a {model.__name__}: {exc.errors()[0]['msg']}") from exc


def submit(kind: str, params: Mapping[str, Any] | BaseModel | None, options: SubmitOptions) -> Call[Job]:
    """Submit a job. Always under an idempotency key: so a repeat after a lost answer cannot make a second job."""
    body = {name: options[name] for name in _BODY_OPTIONS if options.get(name) is not None}  # type: ignore[literal-required]  # _BODY_OPTIONS names keys of SubmitOptions
    body["params"] = params.model_dump(mode="json") if isinstance(params, BaseModel) else dict(params or {})
    headers = {
        "content-type": "application/json",
        "idempotency-key": options.get("idempotency_key") or uuid.uuid4().hex,
    }
    wait_s = options.get("wait_s") or 0.0
    if wait_s:
        headers["prefer"] = f"wait={wait_s:g}"
    if correlation_id := options.get("correlation_id"):
        headers["x-correlation-id"] = correlation_id
    request = Request(
        "POST", f"/api/jobs/{_segment(kind)}", headers=headers, body=json.dumps(body, default=_plain).encode()
    )
    return Call(request, accepted, limit="submit", extra_s=wait_s)


_BODY_OPTIONS = (
    *("priority", "timeout_s", "max_attempts", "expires_in_s", "reference", "labels", "site", "backend", "callback"),
    *("unique_key", "concurrency_key", "requires", "not_before", "expires_at", "on_success", "on_failure"),
)


def accepted(answer: Answer) -> Job:
    """Read the job that answers a submit."""
    job = parsed(Job, answer.json())
    told = {"replayed": "idempotency-replayed", "duplicate": "job-duplicate"}
    return job.model_copy(update={name: answer.headers.get(header) == "true" for name, header in told.items()})


def preview_calibration(params: Mapping[str, Any]) -> Call[dict[str, Any]]:
    """Ask what a calibration would do."""
    headers = {"content-type": "application/json"}
    body = json.dumps(dict(params), default=_plain).encode()
    request = Request("POST", "/api/calibration/preview", headers=headers, body=body)
    return Call(request, lambda answer: dict(answer.json()), limit="submit")


def job(job_id: str) -> Call[Job]:
    """Read one record."""
    return Call(Request("GET", job_path(job_id)), _job)


def page(filters: JobFilters, *, limit: int | None = None, cursor: str | None = None) -> Call[Page]:
    """Read one page of the list."""
    params = filter_pairs(filters)
    params += [(name, str(value)) for name, value in (("limit", limit), ("cursor", cursor)) if value is not None]
    return Call(Request("GET", "/api/jobs", params=tuple(params)), lambda answer: parsed(Page, answer.json()))


def filter_pairs(filters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the parameters of a query; what is None does not filter."""
    return [pair for name, value in filters.items() for pair in _filter(name, value)]


def _filter(name: str, value: object) -> list[tuple[str, str]]:
    if value is None:
        return []
    if name == "labels" and isinstance(value, Mapping):
        return [("label", f"{key}:{text}") for key, text in value.items()]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [(name, value.isoformat() if isinstance(value, datetime) else str(value))]
    return [(name, str(one)) for one in value]


def cancel(job_id: str) -> Call[Job]:
    """Ask for a job to be cancelled; asking twice is asking once."""
    return Call(Request("POST", f"{job_path(job_id)}/cancel"), _job)


def chain(job_id: str) -> Call[Chain]:
    """Read the chain that a job is part of."""
    return Call(Request("GET", f"{job_path(job_id)}/chain"), lambda answer: parsed(Chain, answer.json()))


def cancel_chain(job_id: str) -> Call[Chain]:
    """Ask for a whole chain to be cancelled; asking twice is asking once."""
    return Call(Request("POST", f"{job_path(job_id)}/chain/cancel"), lambda answer: parsed(Chain, answer.json()))


def retry(job_id: str) -> Call[Job]:
    """Run a failed or cancelled job again. Not repeated by itself: the first try may have been heard."""
    return Call(Request("POST", f"{job_path(job_id)}/retry"), _job, repeatable=False)


def change(
    act: Literal["retry", "cancel", "erase"], filters: JobFilters, *, limit: int | None, confirm: bool
) -> Call[Change]:
    """Retry, cancel or erase many jobs. Not repeated by itself: the count would be that of the repeat."""
    params = [*filter_pairs(filters), ("confirm", "true" if confirm else "false")]
    if limit is not None:
        params.append(("limit", str(limit)))
    method, path = ("DELETE", "/api/jobs") if act == "erase" else ("POST", f"/api/jobs/{act}")
    request = Request(method, path, params=tuple(params))
    return Call(request, lambda answer: parsed(Change, answer.json()), limit="submit", repeatable=False)


def delete(job_id: str) -> Call[Job | None]:
    """Cancel an active job (its record) or erase a finished one (None)."""
    request = Request("DELETE", job_path(job_id))
    return Call(request, lambda answer: _job(answer) if answer.body else None, repeatable=False)


def log_page(job_id: str, *, level: str | None, offset: int, limit: int = 1000) -> Call[LogPage]:
    """Read one page of a job's log lines."""
    params = [("offset", str(offset)), ("limit", str(limit))]
    if level:
        params.append(("level", level))
    return Call(Request("GET", f"{job_path(job_id)}/logs", tuple(params)), lambda a: parsed(LogPage, a.json()))


def artifacts(job_id: str) -> Call[list[Artifact]]:
    """List a job's files."""
    return Call(Request("GET", f"{job_path(job_id)}/artifacts"), _listed(Artifact, "artifacts"))


def artifact(job_id: str, name: str, form: str | None = None) -> Request:
    """Ask for one file's bytes, as they are or in another format."""
    headers = {"accept-encoding": "identity"}
    params = () if form in {None, "jsonl"} else (("format", str(form)),)
    return Request("GET", f"{job_path(job_id)}/artifacts/{quote(name, safe='/')}", params, headers)


def kinds() -> Call[list[Kind]]:
    """List the kinds."""
    return Call(Request("GET", "/api/kinds"), _listed(Kind, "kinds"))


def kind(name: str) -> Call[Kind]:
    """Read one kind."""
    return Call(Request("GET", f"/api/kinds/{_segment(name)}"), lambda answer: parsed(Kind, answer.json()))


def queues() -> Call[list[QueueInfo]]:
    """List the queues."""
    return Call(Request("GET", "/api/queues"), _listed(QueueInfo, "queues"))


def backends() -> Call[list[BackendInfo]]:
    """List the backends."""
    return Call(Request("GET", "/api/backends"), _listed(BackendInfo, "backends"))


def advice(needs: Needs) -> Call[Advice]:
    """Ask what to run for a purpose."""
    query = tuple((name, str(value).lower()) for name, value in needs.items() if value is not None)
    return Call(Request("GET", "/api/advice", query), lambda answer: parsed(Advice, checked(answer).json()))


def workers() -> Call[list[WorkerInfo]]:
    """List the workers."""
    return Call(Request("GET", "/api/workers"), _listed(WorkerInfo, "workers"))


def presets(*, force: bool) -> Call[Presets]:
    """List the domains of sites that can be discovered."""
    request = Request("GET", "/api/discovery/presets", (("force", "true" if force else "false"),))
    return Call(request, lambda answer: parsed(Presets, checked(answer).json()))


def poll(job_id: str, *, wait_s: int, etag: str | None = None) -> Request:
    """Long-poll a record: for its end, or with an ETag for any change."""
    headers = {"if-none-match": etag} if etag else {}
    return Request("GET", job_path(job_id), params=(("wait", str(wait_s)),) if wait_s else (), headers=headers)


def job_path(job_id: str) -> str:
    """Return the path of a job."""
    return f"/api/jobs/{_segment(job_id)}"


def socket_path(job_id: str) -> str:
    """Return the path of a job's WebSocket."""
    return f"/ws/jobs/{_segment(job_id)}"


def _job(answer: Answer) -> Job:
    return parsed(Job, answer.json())


def _listed(model: type[M], key: str) -> Callable[[Answer], list[M]]:
    def read(answer: Answer) -> list[M]:
        payload = answer.json()
        rows = payload.get(key) if isinstance(payload, dict) else None
        if not isinstance(rows, list):
            raise ConnectionFailed(f"the answer holds no list of {key}: is this the address of a Switchyard server?")
        return [parsed(model, row) for row in rows]

    return read


def _segment(value: str) -> str:
    return quote(value, safe="")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
