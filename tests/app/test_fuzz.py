"""The interface, fuzzed from its own description: every operation, with what it allows and with what it forbids."""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import schemathesis
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.openapi import from_dict
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from werkzeug.test import stream_encode_multipart

from app.openapi import API
from app.services import Services, services_of
from tasks.core.ids import is_id
from tasks.core.ledger import tenants
from tasks.core.ledger.control_tables import pauses
from tasks.core.ledger.flow_tables import limits
from tests.app.conftest import Caller, add_worker, claim, finish, sign_in

_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
_WHERE, _SUBMISSION = "/openapi/openapi.json", "Submission"
_CONFIG = {
    "seed": 20260101,
    "generation": {
        "max-examples": _EXAMPLES,
        "deterministic": True,
        "database": "none",
    },
    # Else the draw would depend on which modules other tests have loaded.
    "analysis": {"constants": {"enabled": False}},
    # What no schema of a request can say: only operators may (403), there is no such job (404), it has ended (409),
    # the file is shorter (416).
    # Beside what schemathesis takes for a refusal, tus has its own.
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", 401, 403, 404, 409, 416]},
        "negative_data_rejection": {"expected-statuses": ["4xx", "5xx"]},
    },
    "suppress-health-check": ["all"],
    # Each kind's parameters are covered where it has a path of its own.
    "operations": [
        {"include-name": name, "phases": {"coverage": {"enabled": False}}}
        for name in ("POST /api/jobs", "POST /api/jobs/batch")
    ],
}
_OF_OTHER_SCHEMAS = ("/api/uploads", "/mcp", "/api/jobs/batch", "/api/schedules")
# Whether a time has passed, and which goes with which.
_TIMES = ("not_before", "expires_at", "expires_in_s")
# Nor which cursors were given out, which uploads there are, whether a host's name is one, how a kind's parameters go
# together, what a file of matrices holds, and which strings are regular expressions.
# What has several formats, which span of two is one, and what a git address and a folder below another may be.
_OF_SOURCES = ("format", "params.revisit", "params.source.git.git", "params.subfolder")
_JUDGED_BY_MEANING = {"cursor", "params", "params.url", "callback.url", "csv", "file_base64", *_TIMES, *_OF_SOURCES}
# What a tool's step needs depends on what it does; a list without its wrong items may be too short as well.
_STEPS = "params.tool.call.steps"
_REFUSED_BY_MEANING = {"idempotency_key_reused", "confirmation_required"}
# An older dialect's deaths and examples must fit each other, too.
_OF_VA = ("va_data", "age_group", "mmat_type", "data_source", "data_format")
# Another's addresses, goals and domains must be some, and name one place.
_OF_WALT = {"", "url", "params.url", "params.goal", "domain", "domains", "context.domain"}
# A calibration's deaths, matrices, names and draws must fit each other; a preview has them without the prefix.
_OF_A_CALIBRATION = (
    *("va_data", "use_example", "missmat", "donotcalib", "cause_map", "studycause_map"),
    *("draws", "thin", "pshrink_strength", "country", "matrices", "age_group", "missmat_type"),
)

# What an operator sets for all.
_OF_OPERATORS = ("/api/pauses", "/api/queues", "/api/limits", "/api/audit")
_NAMED = {"", "queue", "kind", "tenant", "until", "for_s", "burst"}
# What follows a job is judged by the kinds that it names.
_OF_A_CHAIN = ("on_success", "on_failure")

# How a connector's templates, and the secrets that they name, fit each other.
_OF_A_CONNECTOR = ("service", "secrets")

# What a piece of an upload is sent as: any bytes.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@pytest.fixture
def door(make_app: Callable[..., API], redis_server: str, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """The operator of the whole application, where nobody waits for long."""
    monkeypatch.setattr("app.waiting.LONGEST_WAIT_S", 0.02)
    # Werkzeug's client leaves the file open in which it builds a large form.
    monkeypatch.setattr("werkzeug.test.stream_encode_multipart", partial(stream_encode_multipart, use_tempfile=False))
    app = make_app(redis_url=redis_server)
    add_worker(services_of(app).kernel)
    services_of(app).monitor.is_draining = True  # else its stream would not end
    return sign_in(app, tenants.SYSTEM)


@pytest.fixture
def described(door: Caller) -> BaseSchema:
    """The application's own OpenAPI document; what is said around a kind's parameters is varied with one kind only."""
    document: dict[str, Any] = door.client.get(_WHERE).json
    submissions = {name: schema for name, schema in document["components"]["schemas"].items() if _SUBMISSION in name}
    around = submissions[f"MaintenancePing{_SUBMISSION}"]["properties"]
    for name, schema in submissions.items():
        if name.endswith(_SUBMISSION) and schema["properties"] is not around:
            own = {one: said for one, said in schema["properties"].items() if said != around.get(one)}
            assert {"params"} <= {*own} < {*schema["properties"]}, name
            schema["properties"] = own
    loaded = from_dict(document, config=SchemathesisConfig.from_dict(_CONFIG))
    loaded.app, loaded.location = door.client.application, _WHERE
    return loaded


operations = schemathesis.pytest.from_fixture("described")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # all operations are one test
@pytest.mark.no_cover  # measuring costs much time here, and other tests run these lines, too
@operations.parametrize()
def test_every_operation_keeps_to_its_description(case: Case, door: Caller) -> None:
    """No 500, no undocumented status, type or shape; what the schema forbids is refused, what it allows is taken."""
    _aim(case, door)
    headers = {"Authorization": f"Bearer {door.key}"}
    response = case.call(headers=headers, buffered=True)
    case.validate_response(
        response,
        headers=headers,
        transport_kwargs={"headers": headers, "buffered": True},
        excluded_checks=[
            *([positive_data_acceptance] if _is_refused_for_its_meaning(case, response) else []),
            *([negative_data_rejection] if _leaves_something_out(case) else []),
        ],
    )
    if case.method != "GET" and case.path.startswith(_OF_OPERATORS):
        with services_of(door.client.application).kernel.ledger.write() as connection:
            # Else the jobs that others need would not begin.
            connection.execute(pauses.delete())
            connection.execute(limits.delete())


def _aim(case: Case, door: Caller) -> None:
    """Point most cases at jobs and files that are there; the id that was drawn decides, so that a case repeats."""
    if case.path == "/api/events" and (case.query or {}).get("format", "sse") == "sse":
        case.query = {**(case.query or {}), "format": "json"}  # as a stream it would not end, either
    if case.path == "/mcp":
        case.headers = {**(case.headers or {}), "Accept": "application/json"}  # nor would that
    if "reference" in case.path_parameters:
        case.path_parameters["reference"] = "some"
    if "upload_id" in case.path_parameters:
        _aim_at_upload(case, door)
    drawn = case.path_parameters.get("job_id")
    if not isinstance(drawn, str) or not is_id(drawn) or drawn[-1] in "cdef":
        return
    at = services_of(door.client.application)
    # The stream of a job that goes on would not end within the request.
    makers = [_finished] if case.path.endswith(("/events", "/progress")) else [_queued, _running, _finished]
    case.path_parameters["job_id"] = makers[int(drawn[-1], 16) % len(makers)](door, at)
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "a.txt"


def _aim_at_upload(case: Case, door: Caller) -> None:
    drawn = case.path_parameters["upload_id"]
    if isinstance(drawn, str) and is_id(drawn) and drawn[-1] not in "cdef":
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
        case.path_parameters["upload_id"] = door.post("/api/uploads", headers=headers).json["id"]


def _queued(door: Caller, _: Services) -> str:
    return str(door.submit()["id"])


def _running(door: Caller, at: Services) -> str:
    return claim(at.kernel, _queued(door, at)).id


def _finished(door: Caller, at: Services) -> str:
    job = claim(at.kernel, _queued(door, at))
    at.kernel.artifacts.save(job.id, "a.txt", b"0123456789", fence=job.fence, attempt=1, media_type="text/plain")
    return finish(at.kernel, job).id


def _leaves_something_out(case: Case) -> bool:
    """Whether the query as sent lacks what was drawn to make it wrong: an empty list is no parameter at all."""
    return any(value in ([], {}) for value in (case.query or {}).values())


def _is_refused_for_its_meaning(case: Case, response: Response) -> bool:
    # What tus's headers must be depends on each other, and where the files of a form go on the kind. MCP's messages
    # have a schema of their own, and the jobs of a batch and of a schedule that of their kinds.
    if (
        case.path.startswith(("/api/uploads", "/mcp", "/api/jobs/batch", "/api/schedules"))
        or case.media_type == "multipart/form-data"
    ):
        return True
    problem = response.json() if response.status_code in {400, 422} else {}
    if "success" in problem:  # the older tool discovery service's errors
        names = [one["field"] for one in problem["errors"] if "NUL" not in one["message"]]
        return bool(problem["errors"]) and all(name in _OF_WALT for name in names)
    if response.status_code != 422:
        return False
    if "error_code" in problem:
        names = [one["field"] for one in problem["errors"]]
        names = [re.sub(r"^jobs\.\d+\.", "", name) for name in names]  # as a batch has them
        return problem["error_code"] in _REFUSED_BY_MEANING or all(name.startswith(_OF_VA) for name in names)
    if case.path.startswith((*_OF_OPERATORS, "/api/jobs/purge")) and problem.get("code") == "input_rejected":
        # Which tenants and kinds there are, what of a limit goes together, and whether a time has passed.
        return all(one["field"] in _NAMED or "NUL" in one["message"] for one in problem["errors"])
    refusals = [one for one in problem["errors"] if "NUL" not in one["message"]]  # said once, in docs/api.md
    return problem["code"] in _REFUSED_BY_MEANING or all(
        one["field"] in _JUDGED_BY_MEANING
        or (one["field"] == "url" and case.path.startswith("/api/webhooks"))  # where nothing of ours may go
        or one["field"].endswith(".upload")
        or one["field"].startswith((_STEPS, *_OF_A_CONNECTOR, *_OF_A_CHAIN, "requires."))
        or one["field"].removeprefix("params.").startswith(_OF_A_CALIBRATION)
        or one["field"].startswith(("params.include_regex", "params.exclude_regex", "params.urls."))
        for one in refusals
    )
