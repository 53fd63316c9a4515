"""A tenant's configuration of a service with its secrets open, as engines get it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.connectors.service import HTTPService
from tasks.core.hidden import Hidden


@dataclass(frozen=True, slots=True)
class Connector:
    """A configuration and its secrets, which no ``repr`` shows."""

    name: str
    service: HTTPService
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)

    def hidden(self) -> Hidden:
        """Return what must be struck from all that is told of this connector's work."""
        return Hidden.of(self.secrets.values())
