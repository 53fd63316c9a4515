"""Every error the client raises on purpose.

::

    SwitchyardError
    ├── ConfigurationRefused     the address or a setting makes no sense
    ├── ConnectionFailed         no connection, or it broke
    │   ├── AnswerTimedOut       connected, but no answer within the limit
    │   └── TransportRefused     this way of following events does not work here
    ├── InputRejected            422 input_rejected: names each field
    │   ├── Malformed            400 malformed
    │   └── ChecksumMismatch     460 checksum_mismatch
    ├── NotSupported             405, 406, 411, 412, 415, 404 no_such_path
    ├── NotAuthenticated         401 not_authenticated
    ├── NotAllowed               403 not_allowed
    │   ├── EgressRefused        403 egress_refused
    │   └── BudgetExhausted      402 budget_exhausted
    ├── NotFound                 404 not_found
    │   └── UnknownKind          404 unknown_kind
    ├── Conflict                 409 conflict
    │   ├── IdempotencyKeyReused 422 idempotency_key_reused
    │   ├── OffsetMismatch       409 offset_mismatch
    │   └── UploadLocked         423 upload_locked
    ├── TooLarge                 413 too_large
    │   └── QuotaExceeded        413 quota_exceeded
    ├── ServerFailed             500 internal_error
    │   └── StorageFull          507 storage_full
    ├── Unavailable              503; retry_after_s says when to come back
    │   ├── LedgerUnavailable    ledger_unavailable
    │   │   └── LedgerBusy       ledger_busy
    │   ├── OverQuota            429 over_quota
    │   └── Draining             draining
    ├── WaitTimedOut             the job goes on; only the waiting ended
    ├── BatchTimedOut            the same of a batch
    └── JobEnded                 the job ended, and not well
        ├── JobFailed
        └── JobCancelled
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from client.models import Job


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was refused, and why."""

    field: str
    message: str
    value: Any = None


class SwitchyardError(Exception):
    """Root of the tree. ``code`` is the server's stable code, or the client's own for what never reached it."""

    code: str = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        errors: tuple[FieldError, ...] = (),
        correlation_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.status = status
        self.errors = errors
        self.correlation_id = correlation_id
        self.retry_after_s = retry_after_s


class ConfigurationRefused(SwitchyardError):
    """The server's address or another setting of the client makes no sense."""

    code = "configuration_refused"


class ConnectionFailed(SwitchyardError):
    """The server could not be reached, or the connection broke."""

    code = "connection_failed"


class AnswerTimedOut(ConnectionFailed):
    """The server was reached and did not answer within the limit."""

    code = "answer_timed_out"


class TransportRefused(ConnectionFailed):
    """Something between here and the server does not let this kind of event stream through."""

    code = "transport_refused"


class InputRejected(SwitchyardError):
    """The request was refused; ``errors`` names each field."""

    code = "input_rejected"


class ConfirmationRequired(InputRejected):
    """The call would touch many jobs and did not say ``confirm``; the message says how many."""

    code = "confirmation_required"


class Malformed(InputRejected):
    """The server could not read the request."""

    code = "malformed"


class ChecksumMismatch(InputRejected):
    """What arrived is not what was announced; the server discarded it."""

    code = "checksum_mismatch"


class NotSupported(SwitchyardError):
    """The server does not serve this call in this form: it is older or newer than the client, or a mode is off."""

    code = "not_supported"


class NotAuthenticated(SwitchyardError):
    """No key was sent, or none that the server knows."""

    code = "not_authenticated"


class NotAllowed(SwitchyardError):
    """The key is known and may not do this."""

    code = "not_allowed"


class EgressRefused(NotAllowed):
    """The request names an address that the server must not visit."""

    code = "egress_refused"


class BudgetExhausted(NotAllowed):
    """The tenant has spent this month what such jobs may cost."""

    code = "budget_exhausted"


class NotFound(SwitchyardError):
    """No such thing, or none that this key may know of."""

    code = "not_found"


class UnknownKind(NotFound):
    """The server has no such kind of job."""

    code = "unknown_kind"


class Conflict(SwitchyardError):
    """The job's state does not permit it, such as cancelling what has ended."""

    code = "conflict"


class IdempotencyKeyReused(Conflict):
    """The idempotency key stands for another request already."""

    code = "idempotency_key_reused"


class OffsetMismatch(Conflict):
    """A piece of an upload does not begin where the server's copy ends."""

    code = "offset_mismatch"


class UploadLocked(Conflict):
    """Somebody else is sending the same upload just now."""

    code = "upload_locked"


class TooLarge(SwitchyardError):
    """The request is over a size cap."""

    code = "too_large"


class QuotaExceeded(TooLarge):
    """Your uploads together would be over what you may keep."""

    code = "quota_exceeded"


class ServerFailed(SwitchyardError):
    """The server met a fault of its own; ``correlation_id`` finds it in its log."""

    code = "internal_error"


class StorageFull(ServerFailed):
    """The server has no room for more files."""

    code = "storage_full"


class Unavailable(SwitchyardError):
    """The server cannot serve now. Sending again is safe: every submission has its idempotency key."""

    code = "unavailable"


class LedgerUnavailable(Unavailable):
    """The server's ledger cannot be reached, or did not answer in time; a job may have been accepted all the same."""

    code = "ledger_unavailable"


class LedgerBusy(LedgerUnavailable):
    """The server's ledger is held by another writer."""

    code = "ledger_busy"


class Draining(Unavailable):
    """The server is about to stop."""

    code = "draining"


class OverQuota(Unavailable):
    """You have as many jobs, or bytes of their files, as your quotas let you; ``retry_after_s`` says when to come."""

    code = "over_quota"


class WaitTimedOut(SwitchyardError):
    """The time to wait is over. The job goes on; ``job`` is what was last seen of it."""

    code = "wait_timed_out"

    def __init__(self, job_id: str, timeout_s: float, *, job: "Job | None" = None) -> None:
        state = f"is still {job.state}" if job else "did not show its record"
        super().__init__(f"job {job_id} {state} after {timeout_s:g} s")
        self.job_id = job_id
        self.timeout_s = timeout_s
        self.job = job


class BatchTimedOut(SwitchyardError):
    """The time to wait for a batch is over. The batch goes on."""

    code = "batch_timed_out"

    def __init__(self, batch_id: str, timeout_s: float) -> None:
        super().__init__(f"batch {batch_id} has jobs that have not ended after {timeout_s:g} s")
        self.batch_id = batch_id
        self.timeout_s = timeout_s


class EventNotSeen(SwitchyardError):
    """The time to wait for an event is over. ``cursor`` is up to where was looked: wait on from there."""

    code = "event_not_seen"

    def __init__(self, timeout_s: float, *, cursor: str | None = None) -> None:
        super().__init__(f"no such event within {timeout_s:g} s")
        self.timeout_s = timeout_s
        self.cursor = cursor


class JobEnded(SwitchyardError):
    """The job ended without a result; ``job`` is its final record."""

    verb: ClassVar[str] = "ended"

    def __init__(self, job: "Job") -> None:
        reason = f": {job.error.code}: {job.error.message}" if job.error else ""
        super().__init__(f"job {job.id} {self.verb}{reason}", code=job.error.code if job.error else job.cause or None)
        self.job = job


class JobFailed(JobEnded):
    """The job failed; ``code`` is the job's own error code."""

    code = "failed"
    verb = "failed"


class JobCancelled(JobEnded):
    """Someone cancelled the job."""

    code = "cancelled"
    verb = "was cancelled"


BY_CODE: dict[str, type[SwitchyardError]] = {
    cls.code: cls
    for cls in (
        Malformed,
        ConfirmationRequired,
        NotAuthenticated,
        NotAllowed,
        EgressRefused,
        BudgetExhausted,
        NotFound,
        UnknownKind,
        Conflict,
        OffsetMismatch,
        UploadLocked,
        TooLarge,
        QuotaExceeded,
        InputRejected,
        ChecksumMismatch,
        IdempotencyKeyReused,
        ServerFailed,
        StorageFull,
        LedgerUnavailable,
        LedgerBusy,
        OverQuota,
        Draining,
    )
} | dict.fromkeys(
    (
        "method_not_allowed",
        "not_acceptable",
        "unsupported_media_type",
        "length_required",
        "precondition_failed",
        "range_not_satisfiable",
        "upgrade_required",
        "no_such_path",
    ),
    NotSupported,
)

BY_STATUS: dict[int, type[SwitchyardError]] = {
    400: Malformed,
    401: NotAuthenticated,
    402: BudgetExhausted,
    403: NotAllowed,
    404: NotFound,
    405: NotSupported,
    406: NotSupported,
    409: Conflict,
    411: NotSupported,
    412: NotSupported,
    413: TooLarge,
    415: NotSupported,
    422: InputRejected,
    423: UploadLocked,
    460: ChecksumMismatch,
    507: StorageFull,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_from(status: int, headers: Mapping[str, str], body: bytes) -> SwitchyardError:
    """Make the typed error of an answer: by its ``code``, and by its status where the code is new or missing."""
    problem = _problem(body)
    code = problem.get("code") if isinstance(problem.get("code"), str) else None
    cls = BY_CODE.get(code or "") or BY_STATUS.get(status) or (ServerFailed if status >= 500 else SwitchyardError)
    detail = problem.get("detail") or problem.get("title") or f"the server answered {status}"
    return cls(
        str(detail),
        code=code,
        status=status,
        errors=tuple(_field_errors(problem.get("errors"))),
        correlation_id=problem.get("correlation_id") or headers.get("x-correlation-id"),
        retry_after_s=_seconds(headers.get("retry-after")),
    )


def _problem(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _field_errors(errors: object) -> Iterator[FieldError]:
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            yield FieldError(str(error.get("field", "")), str(error.get("message", "")), error.get("value"))


def _seconds(header: str | None) -> float | None:
    # Retry-After may be a date too (RFC 9110, 10.2.3); ours never is, and a proxy's date is not worth a clock compare.
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
