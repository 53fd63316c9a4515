"""Errors as HTTP: RFC 9457 problem documents. Nothing else in the package knows which status an error gets."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, request
from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import HTTPException

from app.aside import AsideFailed
from app.pattern_words import WORDS
from app.routes import misnamed
from app.services import services
from tasks.core import errors
from tasks.publishing.failures import PlaceFailed, PlaceRefused

log = structlog.get_logger()

# The most specific class that an error is an instance of decides; the order is from leaf to root.
_STATUS: tuple[tuple[type[errors.AppError], int], ...] = (
    (errors.IdempotencyKeyReused, 422),
    (errors.UploadLocked, 423),
    (errors.Conflict, 409),
    (errors.NotAuthenticated, 401),
    (errors.BudgetExhausted, 402),
    (errors.OverQuota, 429),
    (errors.NotAllowed, 403),
    (errors.NotFound, 404),
    (errors.TooLarge, 413),
    (errors.StorageFull, 507),
    (errors.ChecksumMismatch, 460),
    (errors.InputRejected, 422),
    (errors.LedgerUnavailable, 503),
    (AsideFailed, 503),
    (PlaceFailed, 503),
    (PlaceRefused, 503),
    (errors.AppError, 500),
)
# Codes that an instance narrows its class's to, where that also changes the status.
_STATUS_OF_CODE = {
    "malformed": 400,
    "unsupported_media_type": 415,
    "not_acceptable": 406,
    "length_required": 411,
    "precondition_failed": 412,
    "model_away": 503,
    "other_model": 409,
}
_CODE_OF_STATUS = {
    400: "malformed",
    404: "no_such_path",
    405: "method_not_allowed",
    406: "not_acceptable",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    426: "upgrade_required",
}
_RETRY_AFTER_S = {"ledger_busy": 2, "ledger_unavailable": 5, "model_away": 10}
_REMEDIES = {"missing": "Required: add it.", "extra_forbidden": "Unknown: remove it or check its spelling."}
_SECRET_WORDS = (
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "credential",
    "api_key",
    "apikey",
    "cookie",
    "localstorage",
)
_VALUE_LIMIT = 200
_MOST_REFUSALS = 50


class Refusal(BaseModel):
    """One thing that was refused."""

    field: str = Field(description="Where: `params.url`, a query parameter or a header.")
    message: str
    value: str | int | float | bool | None = Field(None, description="What was sent, shortened; never a secret.")


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable: match on it.")
    instance: str
    correlation_id: str
    errors: list[Refusal] | None = Field(None, description="For 422: every field that was refused.")


class FieldsRejected(errors.InputRejected):
    """Several fields were refused at once."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        fields = list(dict.fromkeys(refusal.field or "the body" for refusal in refusals))
        more = f" and {len(fields) - 5} more" if len(fields) > 5 else ""
        super().__init__(f"Refused: {', '.join(fields[:5])}{more}. See errors.")
        self.refusals = tuple(refusals[:_MOST_REFUSALS])


def rejected(exc: ValidationError, *, inside: Sequence[str] = (), sent: object = None) -> FieldsRejected:
    """Translate pydantic's refusal; ``inside`` is put before each field's path.

    Args:
        sent: what was checked: pydantic puts the names of a union's members into its paths, and only this tells them
            from the names of fields.
    """
    return FieldsRejected([refusal_of(dict(error), inside, sent) for error in exc.errors(include_url=False)])


def refusal_of(error: dict[str, Any], inside: Sequence[str], sent: object) -> Refusal:
    """Translate one of pydantic's errors, as ``rejected`` does."""
    field = ".".join([*inside, *(str(part) for part in _path_in(sent, error["loc"]))])
    message = _REMEDIES.get(error["type"]) or _in_words(error) or error["msg"].removeprefix("Value error, ")
    return Refusal(field=field[:_VALUE_LIMIT], message=message, value=_shown(field, error.get("input")))


def _in_words(error: dict[str, Any]) -> str | None:
    return WORDS.get(error["ctx"]["pattern"]) if error["type"] == "string_pattern_mismatch" else None


def _path_in(sent: object, path: Sequence[str | int]) -> list[str | int]:
    found: list[str | int] = []
    is_named = False
    for part in path:
        is_named = not is_named and isinstance(sent, dict) and (sent.get("kind") == part or _is_member(part, sent))
        if is_named:
            continue  # a member of a union, by the name that tells it from others
        found.append(part)
        if isinstance(sent, dict):
            sent = sent.get(part)
        else:
            sent = sent[part] if isinstance(sent, list) and isinstance(part, int) and part < len(sent) else None
    return found


def _is_member(part: str | int, sent: dict[str, Any]) -> bool:
    # Members that are told from others by no field that must be there have tags that no field has.
    return isinstance(part, str) and part.startswith("@") and part not in sent


def _shown(field: str, value: object) -> str | int | float | bool | None:
    if any(word in field.lower() for word in _SECRET_WORDS):
        return None
    if isinstance(value, str):
        return value if len(value) <= _VALUE_LIMIT else value[:_VALUE_LIMIT] + "…"
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        text = repr(value)
        return value if len(text) <= 20 else text[:_VALUE_LIMIT]
    return None


def register_error_handlers(app: Flask) -> None:
    """Answer every error of ``app`` with a problem document."""
    app.register_error_handler(errors.AppError, _on_app_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_unknown)


def problem(*, status: int, code: str, detail: str, refusals: Sequence[Refusal] | None = None) -> Response:
    """Make the answer that tells of a problem."""
    document = Problem(
        title=phrase(status),
        status=status,
        detail=detail,
        code=code,
        instance=request.path[:_VALUE_LIMIT],
        correlation_id=g.get("correlation_id", ""),
        errors=None if refusals is None else list(refusals),
    )
    response = Response(document.model_dump_json(exclude_none=True), status, mimetype="application/problem+json")
    response.status = f"{status} {document.title}"
    if code in _RETRY_AFTER_S:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S[code])
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    return response


def status_of(exc: errors.AppError) -> int:
    """Return the status that an error gets."""
    return _STATUS_OF_CODE.get(exc.code) or next(status for kind, status in _STATUS if isinstance(exc, kind))


def _on_app_error(exc: errors.AppError) -> Response:
    status = status_of(exc)
    if status == 500:
        return _on_unknown(exc)
    if status == 503:
        # The driver's own words: SQLAlchemy's would repeat the statement and what the caller sent.
        log.warning("request_refused", code=exc.code, reason=str(getattr(exc.__cause__, "orig", exc.__cause__))[:300])
    return problem(status=status, code=exc.code, detail=exc.message, refusals=refusals_of(exc) or None)


def refusals_of(exc: errors.AppError) -> Sequence[Refusal]:
    """Return what was refused, where fields were."""
    if isinstance(exc, FieldsRejected):
        return exc.refusals
    if status_of(exc) == 422:
        return [Refusal(field=exc.field or "", message=exc.message)]
    return ()


def _on_http_exception(exc: HTTPException) -> Response:
    status = exc.code or 500
    original = exc.get_response()
    if status < 400:
        return Response(original.get_data(), status, headers=list(original.headers))
    if status == 404 and (wrong := misnamed(request.method, request.path)) is not None:
        shown = f"{wrong.given[:_VALUE_LIMIT]!r}"
        an_id = "01890000-0000-7000-8000-000000000000"
        detail = f"{shown} is no {wrong.whose}'s id, such as {an_id}: {wrong.found_by}."
        return problem(status=404, code="not_found", detail=detail)
    # Werkzeug knows no route; our own 404s are an ``AppError``.
    code = _CODE_OF_STATUS.get(status, "internal_error" if status >= 500 else "malformed")
    response = problem(status=status, code=code, detail=_detail(status, exc))
    for name in ("Allow", "Content-Range", "Upgrade"):
        if name in original.headers:
            response.headers[name] = original.headers[name]
    return response


def _detail(status: int, exc: HTTPException) -> str:
    if status == 404:
        return f"Nothing is at {request.path[:_VALUE_LIMIT]!r}: see /docs for what there is."
    if status == 413:
        return f"The body is over the limit of {request.max_content_length} bytes."
    return exc.description or phrase(status)


def phrase(status: int) -> str:
    """Return what a status is called; tus has one of its own."""
    return "Checksum Mismatch" if status == 460 else HTTPStatus(status).phrase


def _on_unknown(exc: Exception) -> Response:
    log.error("request_failed", path=request.path, exc_info=exc)
    services().telemetry.capture(exc)
    return problem(
        status=500,
        code="internal_error",
        detail="Something went wrong here. The log has the reason under this correlation id.",
    )
