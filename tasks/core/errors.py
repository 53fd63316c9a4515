"""Every error Switchyard raises on purpose.

::

    AppError
    ├── InputRejected            the caller sent something we cannot accept
    │   └── ChecksumMismatch     the bytes are not those that the caller meant
    ├── NotAuthenticated         no key, or one we do not know
    ├── NotAllowed               known caller, forbidden act
    │   ├── EgressRefused        an outgoing request aimed where it must not go
    │   ├── BudgetExhausted      a tenant has spent what it may in a month
    │   └── OverQuota            a tenant has as many jobs as it may
    ├── NotFound                 no such thing for this tenant
    ├── Conflict                 the thing's state does not permit it
    │   ├── IdempotencyKeyReused the key stands for another request
    │   ├── OffsetMismatch       an upload goes on elsewhere
    │   └── UploadLocked         somebody else is sending this upload
    ├── TooLarge                 over a size cap
    │   └── QuotaExceeded        over what a tenant may keep
    ├── StorageFull              no room for files
    ├── LedgerUnavailable        the ledger cannot be reached
    │   └── LedgerBusy           the ledger is locked by another writer
    ├── DispatchFailed           the broker did not take a message
    ├── ConfigurationRefused     unsafe or invalid settings; the process must not start
    ├── EngineUnavailable        this image lacks what the kind needs
    └── EngineFailed             the work itself failed
        ├── Transient            trying again may help
        │   └── SoftLimitReached the attempt used up its soft time limit
        └── Permanent            trying again cannot help

Control flow, not errors (engines never catch them): ``JobInterrupted`` with ``JobCancelled`` and ``JobSuperseded``;
``AttemptEnded`` tells Celery what the ledger knows already.
"""

from typing import ClassVar


class AppError(Exception):
    """Root of the tree. ``code`` is stable: clients and dashboards may match on it."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code  # type: ignore[misc]  # an instance may narrow its class's code

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the pipe between a pool child and its parent."""
        return (_rebuild, (type(self), self.message, self.field, self.code))


def _rebuild(cls: type[AppError], message: str, field: str | None, code: str) -> AppError:
    return cls(message, field=field, code=code)


class InputRejected(AppError):
    """The request is malformed or out of bounds; names the field, the value and the remedy."""

    code = "input_rejected"


class ChecksumMismatch(InputRejected):
    """What arrived does not have the checksum that was sent with it; it was discarded."""

    code = "checksum_mismatch"


class NotAuthenticated(AppError):
    """No credentials were sent, or none that we know."""

    code = "not_authenticated"


class NotAllowed(AppError):
    """The caller is known and may not do this."""

    code = "not_allowed"


class EgressRefused(NotAllowed):
    """An outgoing request was refused. The message is opaque on purpose; the reason is in the log."""

    code = "egress_refused"


class BudgetExhausted(NotAllowed):
    """The tenant's budget of this month is used up, and the operator wants no more of such jobs."""

    code = "budget_exhausted"


class OverQuota(NotAllowed):
    """The tenant has as many jobs, or keeps as much, as its quotas let it; nothing was accepted."""

    code = "over_quota"


class NotFound(AppError):
    """No such thing, or none that this tenant may know of."""

    code = "not_found"


class Conflict(AppError):
    """The state of the thing does not permit the act, such as cancelling a finished job."""

    code = "conflict"


class IdempotencyKeyReused(Conflict):
    """The same idempotency key came with another body."""

    code = "idempotency_key_reused"


class OffsetMismatch(Conflict):
    """The piece of an upload does not begin where the upload ends."""

    code = "offset_mismatch"


class UploadLocked(Conflict):
    """Another request is sending to the same upload."""

    code = "upload_locked"


class TooLarge(AppError):
    """The body, result or file is over its cap."""

    code = "too_large"


class QuotaExceeded(TooLarge):
    """The tenant's uploads together would be over what it may keep."""

    code = "quota_exceeded"


class StorageFull(AppError):
    """The disk that files are kept on has no room."""

    code = "storage_full"


class LedgerUnavailable(AppError):
    """The ledger cannot be reached, or did not answer in time; try again.

    Nothing was accepted, unless what was lost, or came too late, is the answer to the commit itself: that cannot be
    called back. Who sends again under the same idempotency key gets the job that was made then, or makes it.
    """

    code = "ledger_unavailable"


class LedgerBusy(LedgerUnavailable):
    """The ledger is held by another writer for longer than the busy timeout; nothing was accepted."""

    code = "ledger_busy"


class DispatchFailed(AppError):
    """The broker did not take the message. The job stays in the ledger and is carried again."""

    code = "dispatch_failed"


class ConfigurationRefused(AppError):
    """Settings are invalid or unsafe; all reasons are listed at once and the process stops."""

    code = "configuration_refused"


class EngineUnavailable(AppError):
    """An engine, browser or language runtime is missing in this image. Permanent."""

    code = "engine_unavailable"


class EngineFailed(AppError):
    """The work failed."""

    code = "engine_failed"


class Transient(EngineFailed):
    """The work failed in a way that another try may mend: a timeout, a 503, a lost connection."""

    code = "transient"


class SoftLimitReached(Transient):
    """The attempt ran into its soft time limit."""

    code = "timeout"


class Permanent(EngineFailed):
    """The work failed in a way that another try cannot mend."""

    code = "permanent"


class JobInterrupted(BaseException):
    """Control flow: this attempt must stop now. Engines never catch it."""


class JobCancelled(JobInterrupted):
    """Someone asked for the job to be cancelled."""


class JobSuperseded(JobInterrupted):
    """Another claim owns the job now; whatever this attempt writes would be refused."""


class AttemptEnded(Exception):
    """The attempt did not succeed, and the ledger knows. Raised to Celery, whose own views then tell the same."""
