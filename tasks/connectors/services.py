"""Every way in which a service can be spoken to. Light to import: the web process loads this."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from tasks.connectors.service import HTTPService
from tasks.connectors.socket_service import WebSocketService

# Members of the union by name. No field has such a name, so paths of errors can leave it out.
_HTTP, _WEBSOCKET = "@http", "@websocket"


def _type(service: object) -> str:
    """Return the tag of a configuration's type; those that say none are called over HTTP."""
    found = service.get("type") if isinstance(service, Mapping) else getattr(service, "type", None)
    return _WEBSOCKET if found == "websocket" else _HTTP


Service = Annotated[
    Annotated[HTTPService, Tag(_HTTP)] | Annotated[WebSocketService, Tag(_WEBSOCKET)], Discriminator(_type)
]
_SERVICE: TypeAdapter[HTTPService | WebSocketService] = TypeAdapter(Service)


def service_of(document: Mapping[str, Any]) -> HTTPService | WebSocketService:
    """Return a configuration that was stored."""
    return _SERVICE.validate_python(document)
