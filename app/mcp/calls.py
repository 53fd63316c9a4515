"""``tools/call``: a call is a ``discovery.run`` job; its end is the answer, its reports are progress notifications."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types.jsonrpc import JSONRPCRequest

from app.errors import FieldsRejected
from app.mcp import offers
from app.services import Services
from app.streams.event_stream import HEARTBEAT
from app.tool_records import RunTool
from app.tools import submit_run
from tasks.core.errors import Conflict, LedgerUnavailable, NotFound
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import Job, JobState
from tasks.discovery.exports.exported import output_of, output_schema_of, split_confirmation
from tasks.discovery.store import tools
from tasks.discovery.store.records import StoredTool
from tasks.dispatch import cancel as cancel_job

# A run ends within its own limit; one that waits for a worker for so long is answered as still running.
_LONGEST_CALL_S = 300.0
_CANCELLABLE = (JobState.QUEUED, JobState.RUNNING)

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a message: a tenant, in what the client takes for a session, by a revision of the protocol."""

    tenant_id: str
    session: str
    version: str

    def reference(self, request_id: int | str) -> str:
        """Return what a call's job is referred to by, so that whichever process hears of its cancelling finds it."""
        return f"mcp:{self.session}:{json.dumps(request_id)}"[:200]


@dataclass(frozen=True, slots=True)
class Running:
    """A call whose job was accepted.

    Args:
        token: the client's, for progress; None where it wants none.
        answer: makes the JSON-RPC message of a result.
    """

    at: Services
    job: Job
    stored: StoredTool
    token: int | str | None
    answer: Callable[[Result], dict[str, Any]]

    def wait(self) -> dict[str, Any]:
        """Return the answer, when the job has ended."""
        for _ in self._looks(heartbeat_s=_LONGEST_CALL_S):
            pass
        return self._ended()

    def events(self, heartbeat_s: float) -> Iterator[bytes]:
        """Give progress notifications as server-sent events while the job runs, then the answer."""
        told = -1.0
        try:
            for percent, message in self._looks(heartbeat_s=heartbeat_s):
                if percent is not None and percent > told:
                    told = percent
                    yield _event(_progress(self.token, percent, message))
                else:
                    yield HEARTBEAT
            yield _event(self._ended())
        except LedgerUnavailable as exc:
            yield _event(self.answer(_failed(exc.code, exc.message)))

    def _looks(self, *, heartbeat_s: float) -> Iterator[tuple[float | None, str]]:
        deadline = time.monotonic() + _LONGEST_CALL_S
        while (job := self._now()) is not None and not job.state.is_terminal:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self.at.is_draining:
                return
            report = self.at.kernel.events.progress([job.id]).get(job.id)
            yield (None, "") if report is None else (report[1].get("percent"), _said(report[1]))
            self.at.waiter.wait(job.id, job.version, min(heartbeat_s, left_s))

    def _now(self) -> Job | None:
        return queries.job(self.at.kernel.ledger, self.job.id)

    def _ended(self) -> dict[str, Any]:
        job = self._now()
        has_failed = job is not None and job.state is JobState.FAILED
        return self.answer(_result_of(job, self._stored_now() if has_failed else self.stored, self.job.id))

    def _stored_now(self) -> StoredTool:
        """Return the tool as the run has left it: one failure too many makes it stale."""
        try:
            return tools.find(self.at.kernel.ledger, self.stored.tenant_id, self.stored.id)
        except NotFound:
            return self.stored


def begin(
    at: Services, asker: Asker, message: JSONRPCRequest, answer: Callable[[Result], dict[str, Any]]
) -> Running | Result:
    """Submit the run that a ``tools/call`` asks for; return the refusal as a result where its arguments do not fit.

    Raises:
        Refused: no tool that is offered has this name.
    """
    params = message.params or {}
    stored = offers.find(at, asker.tenant_id, params["name"])
    arguments, is_confirmed = split_confirmation(stored.tool, params.get("arguments") or {})
    body = RunTool(arguments=arguments, confirm=is_confirmed, reference=asker.reference(message.id))
    try:
        accepted = submit_run(stored, body, key=None)
    except FieldsRejected as exc:
        faults = "; ".join(f"{one.field.removeprefix('arguments.')}: {one.message}" for one in exc.refusals)
        return _failed(exc.code, f"Nothing was sent to the site. {faults}")
    token = (params.get("_meta") or {}).get("progressToken")
    return Running(at, accepted.job, stored, token, answer)


def cancel(at: Services, asker: Asker, request_id: int | str) -> None:
    """Cancel the job of a call that is still going on; any other is left alone."""
    mine = Filter(tenant_id=asker.tenant_id, states=_CANCELLABLE, reference=asker.reference(request_id))
    for job in queries.listing(at.kernel.ledger, mine, limit=10).jobs:
        try:
            cancel_job(at.kernel, job.id, tenant_id=asker.tenant_id)
        except (Conflict, NotFound):
            continue  # it has just ended


def _result_of(job: Job | None, stored: StoredTool, job_id: str) -> Result:
    if job is None:
        return _failed("not_found", f"The job {job_id} was deleted.")
    if not job.state.is_terminal:
        return _failed("still_running", f"The run goes on: read /api/jobs/{job.id} later.")
    if job.state is not JobState.SUCCEEDED:
        error = job.error or {"code": job.cause, "message": f"The run was {job.state}."}
        return _failed(str(error["code"]), str(error["message"]) + offers.how_to_get_back(stored))
    return _output(job.result or {}, stored, job.id)


def _output(result: Mapping[str, Any], stored: StoredTool, job_id: str) -> Result:
    schema = output_schema_of(stored.tool)
    if result.get("artifact"):
        where = f"/api/jobs/{job_id}/artifacts/{result['artifact']}"
        return _failed("too_large", f"The output is too large for an answer: it is at {where}.")
    value = output_of(stored.tool, result.get("value"))
    is_misfit = result.get("fits_output_schema") is False or not isinstance(value, dict)
    if schema is not None and is_misfit:
        return _failed("unexpected_output", f"The site's answer does not fit the tool's output schema: {_text(value)}")
    answered: Result = {"content": [{"type": "text", "text": _text(value)}], "isError": False}
    return answered if schema is None else answered | {"structuredContent": value}


def _failed(code: str, message: str) -> Result:
    return {"content": [{"type": "text", "text": f"{code}: {message}"}], "isError": True}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _said(report: Mapping[str, Any]) -> str:
    return str(report.get("message") or report.get("stage") or "")


def _progress(token: int | str | None, percent: float, message: str) -> dict[str, Any]:
    params = {"progressToken": token, "progress": percent, "total": 100.0}
    return {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": params | ({"message": message} if message else {}),
    }


def _event(message: Mapping[str, Any]) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()
