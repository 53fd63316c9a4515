"""A job's events as WebSocket text frames."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from flask import Blueprint, Response, request

from app.streams.conversation import RESTARTING, UpgradeRequired, converse, is_ping, refuse, require_socket
from app.streams.cursor import parse_cursor
from app.streams.feed import Frame
from app.streams.services import StreamServices
from app.streams.subscription import Draining
from tasks.core.errors import NotAuthenticated

_PONG = '{"type":"pong"}'


class _AsTheyAre:
    """The events' own JSON."""

    def opening(self) -> Iterable[str]:
        """Say nothing: the first frame is a snapshot."""
        return ()

    def told(self, frames: Sequence[Frame]) -> Iterable[str]:
        """Return each event."""
        return (frame.text for frame in frames)

    def reply(self, message: str | bytes) -> str | None:
        """Answer a ping."""
        return _PONG if is_ping(message) else None

    def idle(self) -> str | None:
        """Leave it to the protocol's own pings."""
        return None


def websocket_blueprint(services: StreamServices) -> Blueprint:
    """Return the WebSocket's route."""
    blueprint = Blueprint("websocket", __name__)

    # Werkzeug routes upgrades and plain requests apart.
    @blueprint.get("/ws/jobs/<job:job_id>")
    def refuse_plain(job_id: str) -> Response:  # noqa: ARG001  # part of the route
        """Tell a client that came in plain HTTP."""
        raise UpgradeRequired

    @blueprint.get("/ws/jobs/<job:job_id>", websocket=True)
    def watch(job_id: str) -> Response:
        """Stream the job's events as JSON text frames."""
        require_socket()
        try:
            tenant_id = services.viewer_of(job_id)
        except NotAuthenticated as exc:
            if "token" not in request.args:
                raise
            return refuse(exc.message)
        job = services.visible_job(job_id, tenant_id=tenant_id)
        after = parse_cursor(request.args.get("after"), field="after")
        try:
            subscription = services.subscribe(job, after=after)
        except Draining:
            return refuse("This server is restarting.", code=RESTARTING)
        with ExitStack() as closing:
            if subscription is not None:
                closing.callback(subscription.close)
            closing.enter_context(services.counted("websocket"))
            return converse(subscription, _AsTheyAre(), heartbeat_s=services.kernel.settings.heartbeat_s)

    return blueprint
