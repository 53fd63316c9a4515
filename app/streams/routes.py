"""Adds the streams to an application."""

from flask_openapi3.openapi import OpenAPI

from app.streams.services import StreamServices
from app.streams.sse import events_blueprint
from app.streams.websocket import websocket_blueprint


def register_streams(app: OpenAPI, services: StreamServices) -> None:
    """Add the event routes to ``app``, which knows our converters; the owner of ``services.hub`` closes it."""
    app.register_api(events_blueprint(services))
    app.register_blueprint(websocket_blueprint(services))
