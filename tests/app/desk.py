"""The front door on a server, with a Redis, and the hands that emit and relay domain events behind it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from app.services import Services
from tasks.core.domain_events import Emission
from tasks.core.outbox_relay import OutboxRelay
from tests.app.conftest import Caller, claim, finish
from tests.app.streams.house import EventSource, event_source


@dataclass
class Desk:
    """The front door on a server, two tenants, and the dispatcher's hand."""

    address: str
    services: Services
    alice: Caller
    bob: Caller
    relay: OutboxRelay

    def emit(self, *types: str, by: Caller | None = None) -> str:
        """Let a job emit these, and the dispatcher relay them; return the job's id."""
        job = claim(self.services.kernel, (by or self.alice).submit()["id"])
        finish(self.services.kernel, job, emitted=[Emission(type_, {"of": type_}) for type_ in types])
        self.relay.tick()
        return job.id

    def follow(self, query: str = "", *, last: str | None = None, by: Caller | None = None) -> Any:
        """Open the stream."""
        headers = {"Authorization": f"Bearer {(by or self.alice).key}"}
        if last is not None:
            headers["Last-Event-ID"] = last
        source: AbstractContextManager[EventSource] = event_source(
            f"http://{self.address}/api/events{query}", headers=headers
        )
        return source

    def page(self, query: str = "", *, by: Caller | None = None) -> dict[str, Any]:
        """Read a page."""
        response = (by or self.alice).get(f"/api/events{query}", headers={"Accept": "application/json"})
        assert response.status_code == 200, response.text
        page: dict[str, Any] = response.json
        return page
