"""Connectors: how services of others are spoken to, and whether they are well."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from client.calls import Call, parsed
from client.matrices import Perform
from client.models import Job, Record
from client.steps import Answer, Request

T = TypeVar("T")

_PATH = "/api/connectors"
_JSON = {"content-type": "application/json"}
_CHECK = "connectors.check"


class Connector(Record):
    """A stored configuration, without its secrets."""

    name: str
    service: dict[str, Any]
    secrets: tuple[str, ...] = ()
    """Their names."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class ConnectorList(Record):
    """Connectors by name."""

    connectors: tuple[Connector, ...]


class ConnectorCheck(Record):
    """What a check found."""

    connector: str
    healthy: bool | None = None
    """None: that could not be asked."""
    can_process: bool | None = None
    """None: no input was given."""
    reasons: tuple[str, ...] = ()
    took_s: float = 0.0

    @property
    def is_fine(self) -> bool:
        """Whether nothing speaks against it."""
        return self.healthy is not False and self.can_process is not False


class Connectors:
    """Your connectors; ``Switchyard.connectors`` is one."""

    def __init__(self, perform: Perform, run: Callable[..., Job]) -> None:
        self._perform = perform
        self._run = run

    def list(self) -> Sequence[Connector]:
        """List them by name."""
        return self._perform(all_connectors())

    def get(self, name: str) -> Connector:
        """Return one."""
        return self._perform(one_connector(name))

    def create(self, name: str, service: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Connector:
        """Store how a service is spoken to, in place of an earlier connector of this name.

        Args:
            service: as docs/connectors.md describes it.
            secrets: for ``{{secret.NAME}}``, and shown nowhere; without them an earlier connector's stay.
        Raises:
            InputRejected: a field was refused; ``errors`` names each.
        """
        return self._perform(stored(name, service, secrets))

    def edit(self, name: str, *, secrets: Mapping[str, str] | None = None, **changes: Any) -> Connector:
        """Change fields of a connector's service, such as ``timeout_s=60``; with ``secrets``, all of them.

        Raises:
            NotFound: there is none of this name.
            InputRejected: as ``create``.
        """
        return self._perform(stored(name, {**self.get(name).service, **changes}, secrets))

    def delete(self, name: str) -> None:
        """Delete one with its secrets; jobs that need it fail from then on."""
        self._perform(deleted(name))

    def check(
        self, name: str, input: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> ConnectorCheck:
        """Let a worker find out whether the service is well and, with an ``input``, whether that fits.

        Raises:
            WaitTimedOut: the time is over; the check goes on.
            JobFailed: there is none of this name.
        """
        return found_by(self._run(_CHECK, asked(name, input), run_timeout_s=timeout_s))


def all_connectors() -> Call[Sequence[Connector]]:
    """List connectors."""
    return Call(Request("GET", _PATH), lambda answer: parsed(ConnectorList, answer.json()).connectors)


def one_connector(name: str) -> Call[Connector]:
    """Read a connector."""
    return Call(Request("GET", _path(name)), _connector)


def stored(name: str, service: Mapping[str, Any], secrets: Mapping[str, str] | None) -> Call[Connector]:
    """Store a connector."""
    body = {"service": dict(service)} | ({} if secrets is None else {"secrets": dict(secrets)})
    return Call(Request("PUT", _path(name), headers=_JSON, body=json.dumps(body).encode()), _connector)


def deleted(name: str) -> Call[None]:
    """Delete a connector. Not repeated: the second answer would be that there is none."""
    return Call(Request("DELETE", _path(name)), lambda _: None, repeatable=False)


def asked(name: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the input of a check."""
    return {"connector": name, "input": None if given is None else dict(given)}


def found_by(job: Job) -> ConnectorCheck:
    """Return what a check found."""
    return job.result_as(ConnectorCheck)


def _path(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


def _connector(answer: Answer) -> Connector:
    return parsed(Connector, answer.json())
