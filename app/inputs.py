"""Requests, checked at the edge: path, query, headers and JSON bodies become models, or a problem document.

flask-openapi3 reads the same annotations for the documentation, but its own checking builds a JSON Schema at every
request and cannot tell 400, 415 and 422 apart.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from threading import RLock
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json
from werkzeug.datastructures import Headers, MultiDict

from app.errors import FieldsRejected, Refusal, rejected
from app.lookups import lookups
from tasks.core.errors import InputRejected

ModelT = TypeVar("ModelT", bound=BaseModel)

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.]\d+)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?(e-[0-9]{1,3})?")
# Below this every whole number has a float of its own.
_EXACT_FLOATS = 2**53
# A NUL can only come as its escape, and only such numbers may be whole ones in disguise, or too large. A body of
# hundreds of thousands of parts without them need not be walked through, which takes half a second.
_WORTH_A_WALK = re.compile(rb"\\u0000|[0-9][.eE]")
# Over this size a body takes long to work through, and the interpreter's threads take turns: two at a time would
# leave half as much to everybody else.
_LARGE_BYTES = 256 * 1024
_large_body = RLock()
_NUL_REFUSED = "must not contain NUL characters: remove them"


class Input(BaseModel):
    """Base of what is read of a request: frozen, and refusing what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError(_NUL_REFUSED)
    return text


def _matching(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(f"must be {what}")
        return value

    return BeforeValidator(check)


def _boolean(value: object) -> object:
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("must be true or false")
    return value == "true" if isinstance(value, str) else value


def _rfc3339(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be RFC 3339, such as 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(value)


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as exc:  # at either end of the calendar
        raise ValueError("is not a time that UTC has") from exc


# Constraints such as `Field(ge=1)` must stand before these: pydantic leaves out of the schema what follows them.
WHOLE_NUMBER = _matching(_INTEGER, "a whole number")
TRUE_OR_FALSE = BeforeValidator(_boolean)
NUMBER = _matching(_NUMBER, "a number, such as 0.5")
SECONDS = _matching(_NUMBER, "a number of seconds, such as 30")

Text = Annotated[str, AfterValidator(_without_nul), Field(json_schema_extra={"pattern": r"^[^\x00]*$"})]
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_in_utc)]


def checked(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Call ``view`` with its ``path``, ``query``, ``header`` and ``body`` arguments read and checked."""
    hints = get_type_hints(view)
    path, query, header, body = hints.get("path"), hints.get("query"), hints.get("header"), hints.get("body")

    @wraps(view)
    def wrapper(**path_values: object) -> ResponseReturnValue:
        arguments: dict[str, BaseModel] = {}
        if path is not None:
            arguments["path"] = _validated(path, dict(path_values))
        if query is not None:
            arguments["query"] = _validated(query, _query_values(query, request.args))
        if header is not None:
            arguments["header"] = _validated(header, _header_values(header, request.headers))
        if body is not None:
            with one_if_large():
                arguments["body"] = validate_body(body, read_json())
        return view(**arguments)

    wrapper.__delay_validate_request__ = True  # type: ignore[attr-defined]  # tells flask-openapi3 to leave it to us
    return wrapper


def _validated(model: type[BaseModel], values: dict[str, object]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        raise rejected(exc) from exc


def _query_values(model: type[BaseModel], args: MultiDict[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, sent in args.lists():
        field = model.model_fields.get(name)
        repeats = field is not None and get_origin(field.annotation) is list
        values[name] = sent if repeats or len(sent) > 1 else sent[0]
    return values


def _header_values(model: type[BaseModel], headers: Headers) -> dict[str, object]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name: headers[name] for name in names if name in headers}


@contextmanager
def one_if_large() -> Iterator[None]:
    """Work through this request's body alone, if it is large: others of its size wait, small requests do not."""
    size_bytes = request.content_length
    if request.mimetype != "application/json" or (size_bytes is not None and size_bytes <= _LARGE_BYTES):
        yield
        return
    request.get_data()  # received first: a slow client must not make others wait
    with _large_body:
        yield


def read_json() -> dict[str, Any]:
    """Return the body's JSON object.

    Raises:
        InputRejected: it is not JSON (``unsupported_media_type``, ``malformed``), not an object, or holds what the
            ledger cannot keep: NUL characters and numbers without a value.
    """
    if request.mimetype != "application/json":
        raise InputRejected(
            f"Content-Type is {request.mimetype[:100]!r}: send application/json.", code="unsupported_media_type"
        )
    return read_object(request.get_data())


def read_object(sent: bytes) -> dict[str, Any]:
    """Return the JSON object that was sent as ``sent``.

    Raises:
        InputRejected: it is not JSON (``malformed``), not an object, or holds what the ledger cannot keep: NUL
            characters and numbers without a value.
    """
    try:
        # Values are each sender's own: 16,384 of them would be kept for nobody to ask for again.
        value = from_json(sent, allow_inf_nan=False, cache_strings="keys")
    except ValueError as exc:
        raise InputRejected(f"The body is not JSON: {exc}.", code="malformed") from exc
    if not isinstance(value, dict):
        raise FieldsRejected([Refusal(field="", message="The body must be a JSON object.")])
    if not _WORTH_A_WALK.search(sent):
        return value
    refusals: list[Refusal] = []
    kept = {key: _kept(item, key, refusals) for key, item in value.items()}
    if refusals:
        raise FieldsRejected(refusals)
    return kept


def _kept(value: object, path: str, refusals: list[Refusal]) -> object:
    if isinstance(value, str) and "\0" in value:
        refusals.append(Refusal(field=path, message=_NUL_REFUSED))
    elif isinstance(value, float):
        if not math.isfinite(value):
            refusals.append(Refusal(field=path, message="is too large a number"))
        elif value.is_integer() and abs(value) < _EXACT_FLOATS:
            return int(value)  # JSON knows one kind of number: 5.0 is a whole one
    elif isinstance(value, list):
        return [_kept(item, f"{path}.{index}", refusals) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        refusals += [
            Refusal(field=f"{path}.{key}".replace("\0", "\\0"), message=_NUL_REFUSED) for key in value if "\0" in key
        ]
        return {key: _kept(item, f"{path}.{key}", refusals) for key, item in value.items()}
    return value


def validate_body(model: type[ModelT], body: dict[str, Any]) -> ModelT:
    """Check the body as JSON: a number is never taken for a text, nor the other way round.

    What the body refers to, and the model can look up, is filled in: see ``app.lookups``.

    Raises:
        FieldsRejected: with the path of each field that was refused.
    """
    try:
        return model.model_validate_json(to_json(body), strict=True, context=lookups())
    except ValidationError as exc:
        raise rejected(exc, sent=body) from exc
