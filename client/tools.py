"""Tools that were found on websites: listed, shown, run, exported, deleted."""

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack
from urllib.parse import quote

from pydantic import Field

from client.calls import Call, parsed
from client.matrices import Perform
from client.models import Job, Record
from client.steps import Answer, Request

_PATH = "/api/tools"
_JSON = {"content-type": "application/json"}


class ToolFilters(TypedDict, total=False):
    """Which tools; all that is given must hold."""

    site: str
    """The origin: ``https://example.org``."""
    status: str
    source: str
    effect: Literal["read", "write", "destroy"]
    min_confidence: float


class ToolStatistics(Record):
    """What the run log of the last 30 days says; None where it says nothing. Latencies of runs that succeeded."""

    ok: int = 0
    failed: int = 0
    success_rate: float | None = None
    min_ms: float | None = None
    mean_ms: float | None = None
    max_ms: float | None = None
    p95_ms: float | None = None
    total_cost_usd: float | None = None
    mean_cost_usd: float | None = None


class Tool(Record):
    """A tool of the registry."""

    id: str
    site: str
    name: str
    exported_name: str = ""
    version: int = 1
    status: str = ""
    rediscover: dict[str, Any] | None = None
    """What to submit so that a tool that is not to be relied on is looked for anew: ``kind`` and ``params``."""
    source: str = ""
    effect: str = ""
    purpose: str = ""
    confidence: float | None = None
    created_at: datetime | None = None
    seen_at: datetime | None = None
    used_at: datetime | None = None
    uses: int = 0
    statistics: ToolStatistics = Field(default_factory=ToolStatistics)
    notes: tuple[dict[str, Any], ...] = ()
    tool: dict[str, Any] = Field(default_factory=dict)
    """As an MCP tool."""
    score: float | None = None
    """Only where it was recommended."""


class ToolPage(Record):
    """A page of tools."""

    tools: tuple[Tool, ...]
    total: int = 0
    next_cursor: str | None = None


class RunOptions(TypedDict):
    """How a tool is run."""

    confirm: bool
    prefer: str
    use_session: bool
    backend: str


class Tools:
    """Your tools; ``Switchyard.tools`` is one. ``wait`` waits for a job's end, ``backend`` goes with every run."""

    def __init__(self, perform: Perform, wait: Callable[..., Job], *, backend: str = "auto") -> None:
        self._perform = perform
        self._wait = wait
        self._backend = backend

    def page(
        self, text: str | None = None, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[ToolFilters]
    ) -> ToolPage:
        """Read one page: newest first, or with a text those that its words find, best fitting first."""
        return self._perform(listed(text, limit=limit, cursor=cursor, filters=filters))

    def recommended(self, query: str | None = None, *, limit: int = 5, **filters: Unpack[ToolFilters]) -> list[Tool]:
        """List the active tools that are best by confidence, success and use."""
        return self._perform(best(query, limit=limit, filters=filters))

    def show(self, tool_id: str) -> Tool:
        """Read one tool."""
        return self._perform(shown(tool_id))

    def submit(
        self,
        tool_id: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        confirm: bool = False,
        prefer: str = "auto",
        use_session: bool = False,
    ) -> Job:
        """Submit a run; return its job.

        Args:
            arguments: what the tool's input schema asks for.
            confirm: required for a tool that deletes, or changes an account.
            prefer: ``auto``, ``http`` or ``browser``.
            use_session: with the sign-in state that is stored for the site.
        Raises:
            InputRejected: an argument does not fit; ``errors`` names each. Nothing was sent to the site.
        """
        how: RunOptions = {"confirm": confirm, "prefer": prefer, "use_session": use_session, "backend": self._backend}
        return self._perform(submitted(tool_id, arguments or {}, how))

    def run(
        self,
        tool_id: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        confirm: bool = False,
        prefer: str = "auto",
        use_session: bool = False,
        timeout_s: float | None = None,
    ) -> Any:
        """Run a tool; return what it answered.

        Raises:
            InputRejected: see ``submit``.
            WaitTimedOut: the time is over; the run goes on.
            JobFailed, JobCancelled: it ended so.
        """
        job = self.submit(tool_id, arguments, confirm=confirm, prefer=prefer, use_session=use_session)
        return value_of(self._wait(job.id, timeout_s))

    def export(self, format: Literal["mcp", "openapi", "functions", "python"], **filters: Unpack[ToolFilters]) -> str:
        """Export active tools, or those of another status, as text."""
        return self._perform(exported(format, filters))

    def delete(self, tool_id: str) -> None:
        """Delete a tool with its versions, runs and notes."""
        self._perform(deleted(tool_id))

    def delete_site(self, site: str, *, confirm: bool = False) -> int:
        """Delete every tool of a site and the sign-in state kept for it; return how many tools.

        Raises:
            ConfirmationRequired: ``confirm`` is false.
        """
        return self._perform(deleted_site(site, confirm=confirm))


def listed(text: str | None, *, limit: int, cursor: str | None, filters: ToolFilters) -> Call[ToolPage]:
    """Read one page of tools."""
    return Call(Request("GET", _PATH, _params(q=text, limit=limit, cursor=cursor, **filters)), _page)


def best(query: str | None, *, limit: int, filters: ToolFilters) -> Call[list[Tool]]:
    """Read the tools that are recommended."""
    request = Request("GET", f"{_PATH}/recommended", _params(query=query, limit=limit, **filters))
    return Call(request, lambda answer: list(_page(answer).tools))


def shown(tool_id: str) -> Call[Tool]:
    """Read one tool."""
    return Call(Request("GET", _path(tool_id)), lambda answer: parsed(Tool, answer.json()))


def exported(form: str, filters: ToolFilters) -> Call[str]:
    """Export tools as text."""
    return Call(Request("GET", f"{_PATH}/export", _params(format=form, **filters)), lambda answer: answer.body.decode())


def deleted(tool_id: str) -> Call[None]:
    """Delete a tool."""
    return Call(Request("DELETE", _path(tool_id)), lambda _: None, repeatable=False)


def deleted_site(site: str, *, confirm: bool) -> Call[int]:
    """Delete the tools of a site."""
    request = Request("DELETE", _PATH, (("site", site), ("confirm", "true" if confirm else "false")))
    return Call(request, lambda answer: int(answer.json()["deleted"]), repeatable=False)


def submitted(tool_id: str, arguments: Mapping[str, Any], how: RunOptions) -> Call[Job]:
    """Submit a run, under an idempotency key: a repeat after a lost answer makes no second run."""
    body: dict[str, Any] = {"arguments": dict(arguments), **how}
    headers = _JSON | {"idempotency-key": uuid.uuid4().hex}
    request = Request("POST", f"{_path(tool_id)}/run", headers=headers, body=json.dumps(body).encode())
    return Call(request, lambda answer: parsed(Job, answer.json()), limit="submit")


def value_of(job: Job) -> Any:
    """Return what a run answered; a large answer is the job's artifact ``value.json``, and here None."""
    return (job.result or {}).get("value")


def _path(tool_id: str) -> str:
    return f"{_PATH}/{quote(tool_id, safe='')}"


def _params(**values: object) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in values.items() if value is not None)


def _page(answer: Answer) -> ToolPage:
    return parsed(ToolPage, answer.json())
