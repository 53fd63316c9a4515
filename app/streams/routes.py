"""Adds the streams that the settings ask for to an application; what they leave out is not even imported."""

from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from app.streams.services import StreamServices


def register_streams(app: OpenAPI, services: StreamServices) -> tuple[type[BaseModel], ...]:
    """Add the event routes to ``app``, which knows our converters; return the models that they answer with.

    The owner of ``services.hub`` closes it.
    """
    settings = services.kernel.settings
    if settings.serves_sse:
        from app.streams.sse import events_blueprint  # noqa: PLC0415  # only where the mode is on

        app.register_api(events_blueprint(services))
    if settings.serves_websocket:
        from app.streams.websocket import websocket_blueprint  # noqa: PLC0415  # only where the mode is on

        app.register_blueprint(websocket_blueprint(services))
    if not (settings.serves_sse or settings.serves_websocket):
        return ()
    from app.streams.stream_tokens import StreamTokenRecord, tokens_blueprint  # noqa: PLC0415  # only where a mode is on

    app.register_api(tokens_blueprint(services))
    return (StreamTokenRecord,)
