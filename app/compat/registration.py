"""Adds the dialects that the settings ask for to an application; what they leave out is not even imported."""

from pydantic import BaseModel

from app.openapi import API
from app.services import Services
from app.streams.services import StreamServices

Models = tuple[type[BaseModel], ...]


def register_dialects(app: API, services: Services, streams: StreamServices) -> tuple[Models, Models]:
    """Add the older services' paths to ``app``; return the models that they answer with, and those that they read."""
    models: Models = ()
    requests: Models = ()
    if services.settings.dialect_va:
        models, requests = _register_va(app, services, streams)
    if services.settings.dialect_walt:
        from app.compat import walt, walt_app  # noqa: PLC0415  # only where the dialect is on

        for concern in (walt, walt_app):
            app.register_api(concern.bp)
        models = (*models, *walt.MODELS, *walt_app.MODELS)
        requests = (*requests, *walt.REQUESTS, *walt_app.REQUESTS)
    if services.settings.dialect_direct:
        from app.compat import direct, direct_hub  # noqa: PLC0415  # only where the dialect is on

        direct.share_paths(app, streams)
        app.register_api(direct_hub.bp)
        if services.settings.serves_sse:
            app.register_api(direct_hub.stream_aliases.blueprint)
        models = (*models, *direct.MODELS, *direct_hub.MODELS)
        if services.settings.serves_websocket:
            from app.compat.direct_client import client_blueprint  # noqa: PLC0415  # only where sockets are served
            from app.compat.direct_monitor import monitor_blueprint  # noqa: PLC0415  # as above

            app.register_blueprint(client_blueprint(services, streams))
            app.register_blueprint(monitor_blueprint(services, streams))
    return models, requests


def _register_va(app: API, services: Services, streams: StreamServices) -> tuple[Models, Models]:
    from app.compat import va, va_batches, va_data, va_service, va_v1  # noqa: PLC0415  # only where the dialect is on

    for concern in (va, va_v1, va_batches, va_service, va_data):
        app.register_api(concern.bp)
    models, requests = (
        (*va.MODELS, *va_v1.MODELS, *va_batches.MODELS, *va_service.MODELS, *va_data.MODELS),
        (*va.REQUESTS, *va_batches.REQUESTS, *va_data.REQUESTS),
    )
    if services.settings.serves_websocket:
        from app.compat import va_realtime  # noqa: PLC0415

        aliases, socket = va_realtime.realtime_paths(services, streams)
        app.register_api(aliases.blueprint)
        app.register_blueprint(socket)
        models = (*models, *va_realtime.MODELS)
    return models, requests
