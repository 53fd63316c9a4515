"""What a request to the proxy asks for: read strictly, judged by the guard, never by the request's own ``Host``."""

from http import HTTPStatus

import h11

from tasks.core.egress.guard import Guard
from tasks.core.egress.proxy.client_side import Refused
from tasks.core.egress.proxy.passes import Pass
from tasks.core.egress.refusals import without_secrets
from tasks.core.egress.targets import Target, read_target
from tasks.core.errors import EgressRefused


def target_of(request: h11.Request, guard: Guard, holder: Pass) -> Target:
    """Return where ``request`` wants to go, if it may as far as its name, port or literal address tell.

    Raises:
        Refused: it may not, which is noted on the pass of its ``holder``; or it names nothing that a proxy can reach.
    """
    if has_two_lengths(request):
        raise Refused(HTTPStatus.BAD_REQUEST)
    asked = request.target.decode("ascii", "replace")
    url = f"http://{asked}" if request.method == b"CONNECT" else asked
    try:
        target = guard.check(url)
    except EgressRefused:
        holder.note_refusal(_name_of(url))
        raise Refused(HTTPStatus.FORBIDDEN) from None
    # A tunnel's name must be written as a URL would be normalised, so that no part of it was read away.
    if request.method == b"CONNECT" and asked != target.endpoint:
        raise Refused(HTTPStatus.BAD_REQUEST)
    if request.method != b"CONNECT" and not asked.startswith("http://"):
        raise Refused(HTTPStatus.BAD_REQUEST)
    return target


def has_two_lengths(request: h11.Request) -> bool:
    """Whether the head says twice where its body ends, which two readers may take differently."""
    names = {name for name, _ in request.headers}
    return {b"content-length", b"transfer-encoding"} <= names


def _name_of(url: str) -> str:
    try:
        return read_target(url).endpoint
    except ValueError:
        return without_secrets(url)
