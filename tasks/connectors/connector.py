"""A tenant's configuration of a service with its secrets open, as engines get it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.connectors.service import HTTPService
from tasks.connectors.socket_service import WebSocketService
from tasks.core.errors import InputRejected
from tasks.core.hidden import Hidden


@dataclass(frozen=True, slots=True)
class Connector:
    """A configuration and its secrets, which no ``repr`` shows."""

    name: str
    service: HTTPService | WebSocketService
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)

    def over_http(self) -> HTTPService:
        """Return how it is called over HTTP.

        Raises:
            InputRejected: it is spoken to otherwise.
        """
        if not isinstance(self.service, HTTPService):
            raise self._is_other("connectors.websocket")
        return self.service

    def over_websocket(self) -> WebSocketService:
        """Return how it is spoken to over a WebSocket.

        Raises:
            InputRejected: it is called otherwise.
        """
        if not isinstance(self.service, WebSocketService):
            raise self._is_other("connectors.http")
        return self.service

    def _is_other(self, kind: str) -> InputRejected:
        return InputRejected(
            f"The connector {self.name} is of type {self.service.type}: submit a {kind}.", field="connector"
        )

    def hidden(self) -> Hidden:
        """Return what must be struck from all that is told of this connector's work."""
        return Hidden.of(self.secrets.values())
