"""Live events: one hub per web process, and what clients see of it: SSE, WebSocket, long-polls, stream tokens.

``hub`` (with ``reader``, ``watchlist``, ``feed``) brings events into the process; ``subscription`` (with ``snapshots``,
``cursor``) is one viewer; ``sse`` and ``websocket`` are its two dialects; ``waiter`` serves long-polls.
"""

from flask import Flask

from app.streams.hub import Hub
from app.streams.services import StreamServices
from app.streams.sse import events_blueprint, register_blueprint
from app.streams.tokens import StreamTokens, signing_key
from app.streams.waiter import HubWaiter
from app.streams.websocket import websocket_blueprint


def register_streams(app: Flask, services: StreamServices) -> None:
    """Add the event routes to ``app``; the owner of ``services.hub`` closes it."""
    register_blueprint(app, events_blueprint(services))
    app.register_blueprint(websocket_blueprint(services))


__all__ = ["Hub", "HubWaiter", "StreamServices", "StreamTokens", "register_streams", "signing_key"]
