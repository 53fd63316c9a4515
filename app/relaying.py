"""Which requests are a lot of work, and how they are answered by the process beside this one."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Response, g, request
from flask.typing import ResponseReturnValue

from app.aside import Asked
from app.services import Services, services

P = ParamSpec("P")

# From this size on a body of rows holds the interpreter for over 20 ms at a time.
MUCH_BYTES = 2**20
_PASSED_ON = (
    *("Content-Type", "Location", "ETag", "Idempotency-Replayed", "Job-Duplicate", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "WWW-Authenticate"),
)


class MuchWork(Exception):  # control flow: no error
    """What this request names is a lot of work; whoever serves it has it answered elsewhere."""


def leave_much_work(at: Services, size_bytes: int) -> None:
    """Leave the work on so many bytes of rows to the process beside this one, if there is one.

    Raises:
        MuchWork: it is a lot, and there is.
    """
    if at.aside is not None and size_bytes > MUCH_BYTES:
        raise MuchWork


def aside_if_large(
    view: Callable[P, ResponseReturnValue], *, then: Callable[[Response], Response] = lambda response: response
) -> Callable[P, ResponseReturnValue]:
    """Have a large JSON body, or ``MuchWork``, answered by the process beside this one; ``then`` sees its answer."""

    @wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        at = services()
        if at.aside is None or request.mimetype != "application/json":
            return view(*args, **kwargs)
        if request.content_length is None:
            request.get_data()
        try:
            leave_much_work(at, request.content_length or len(request.get_data()))
            return view(*args, **kwargs)
        except MuchWork:
            return then(answered_aside(at, request.get_data()))

    return wrapper


def answered_aside(at: Services, body: bytes) -> Response:
    """Have this request answered, with ``body`` as JSON in place of its own, but without waiting for a job's end.

    Raises:
        AsideFailed: the process died or took too long.
    """
    assert at.aside is not None  # noqa: S101  # whoever calls has looked
    environ = {name: value for name, value in request.environ.items() if isinstance(value, str)}
    for name in ("HTTP_PREFER", "HTTP_TRANSFER_ENCODING"):
        environ.pop(name, None)
    environ |= {
        "CONTENT_TYPE": "application/json",
        "HTTP_X_CORRELATION_ID": g.correlation_id,
        **({"HTTP_TRACEPARENT": g.span.traceparent} if g.span.traceparent else {}),
    }
    answered = at.aside.answer(Asked(environ, body))
    at.metrics.add_submissions(answered.accepted, answered.replayed)
    headers = [(name, value) for name, value in answered.headers if name in _PASSED_ON]
    return Response(answered.body, answered.status, headers)
