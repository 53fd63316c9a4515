"""What the S3 library raises, in our words: what may pass, what an operator has to mend, and what is not there.

No message has an address, a key or what the store said beyond its error's code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.publishing.failures import PlaceFailed, PlaceRefused

_ABSENT = {"404", "NoSuchKey"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"}
_PASSING = {
    *("BadDigest", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown"),
    *("ConditionalRequestConflict", "IncompleteBody", "XAmzContentSHA256Mismatch", "Throttling"),
}
_UNMET = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_SETTING = "SWITCHYARD_PUBLISH_BUCKET"


class Absent(LookupError):
    """There is no object of this key."""


def code_of(exc: Any) -> str:
    """Return the error's code."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def is_unmet(exc: Any, *, names_a_tag: bool) -> bool:
    """Whether the condition of a write did not hold; one that names a tag cannot hold where there is nothing."""
    return code_of(exc) in _UNMET or (names_a_tag and code_of(exc) in _ABSENT)


def status_of(exc: Any) -> int:
    """Return the status of the answer."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def absent(key: str) -> Iterator[None]:
    """Turn what is said of an object that is not there into ``Absent``."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  # loaded when it was opened

    try:
        yield
    except ClientError as exc:
        if code_of(exc) in _ABSENT:
            raise Absent(key) from exc
        raise


@contextmanager
def told(bucket: str) -> Iterator[None]:
    """Turn what the library raises into words, and into what may pass and what may not."""
    from botocore import exceptions as boto  # noqa: PLC0415  # loaded when it was opened

    try:
        yield
    except boto.ClientError as exc:
        raise _failure(bucket, code_of(exc), status_of(exc)) from exc
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as exc:
        raise PlaceRefused(
            f"Workers have no credentials for the bucket {bucket!r}: set {_SETTING}_KEY and {_SETTING}_SECRET, or give "
            "the process those of its machine."
        ) from exc
    except (boto.ParamValidationError, boto.InvalidRegionError, ValueError) as exc:
        raise PlaceRefused(f"The bucket {bucket!r} cannot be asked: mend {_SETTING} and {_SETTING}_URL.") from exc
    except boto.SSLError as exc:
        raise PlaceRefused(f"The store of the bucket {bucket!r} has no certificate that is trusted here.") from exc
    except boto.BotoCoreError as exc:
        raise PlaceFailed(
            f"The store of the bucket {bucket!r} does not answer, or its connections end ({type(exc).__name__})."
        ) from exc


def _failure(bucket: str, code: str, status: int) -> PlaceFailed | PlaceRefused:
    if code in _FULL or status == 507:
        return PlaceFailed(f"The bucket {bucket!r} failed: there is no room left ({code}).")
    if status == 501:
        return PlaceRefused(
            f"The store of the bucket {bucket!r} does not know a request that publishing needs ({code or status}), "
            "such as conditions on writes (If-Match, If-None-Match). An operator has to name a store that does, or a "
            "folder (SWITCHYARD_PUBLISH_BUCKET, or `bucket` of the target in SWITCHYARD_PUBLISH_FILE)."
        )
    if code in _PASSING or status in (408, 429) or status >= 500:
        return PlaceFailed(f"The bucket {bucket!r} failed for now: {code or 'an error'} (status {status}).")
    if code == "NoSuchBucket":
        return PlaceRefused(f"There is no bucket {bucket!r}: an operator has to make it, or to mend {_SETTING}.")
    if status in (401, 403):
        return PlaceRefused(
            f"The bucket {bucket!r} does not let us in ({code or status}): its credentials need to list, read, write "
            "and delete objects."
        )
    return PlaceRefused(f"The bucket {bucket!r} refused a request: {code or 'an error'} (status {status}).")
