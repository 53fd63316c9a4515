"""Every way in which a service can be spoken to. Light to import: the web process loads this."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from tasks.connectors.service import HTTPService
from tasks.connectors.socket_service import WebSocketService


def _type(service: object) -> str:
    """Return the type of a configuration; those that say none are called over HTTP."""
    found = service.get("type", "http") if isinstance(service, Mapping) else getattr(service, "type", "http")
    return found if found == "websocket" else "http"


Service = Annotated[
    Annotated[HTTPService, Tag("http")] | Annotated[WebSocketService, Tag("websocket")], Discriminator(_type)
]
_SERVICE: TypeAdapter[HTTPService | WebSocketService] = TypeAdapter(Service)


def service_of(document: Mapping[str, Any]) -> HTTPService | WebSocketService:
    """Return a configuration that was stored."""
    return _SERVICE.validate_python(document)
