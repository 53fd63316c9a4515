"""The OpenAPI document and the page that shows it."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from app.openapi import API


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """The document as a client gets it."""
    found: dict[str, Any] = client.get("/openapi/openapi.json").json
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """List ``(path, method, operation)``."""
    return [(path, method, one) for path, item in document["paths"].items() for method, one in item.items()]


def test_document_is_valid_openapi_31(document: dict[str, Any]) -> None:
    """Any tool can read it."""
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_route_is_documented(app: API, document: dict[str, Any]) -> None:
    """What can be called is described."""
    # OpenAPI has no words for a WebSocket; each kind has a path of its own.
    hidden = {"/docs", "/docs/scalar.js", "/openapi", "/openapi/openapi.json", "/api/jobs/{kind}"}
    hidden |= {
        "/ws/jobs/{job_id}",
        "/ws/calibrate/{job_id}/logs",
        "/",
        "/ws/client/{client_id}",
        "/ws/monitor/{monitor_id}",
    }
    routes = {re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    assert routes - hidden <= set(document["paths"])


def test_every_api_operation_asks_for_a_key_and_describes_401(document: dict[str, Any]) -> None:
    """A generated client knows how to sign in."""
    for path, _, operation in operations(document):
        if path.startswith("/api/"):
            assert operation["security"] == [{"bearer": []}]
            # An older dialect has errors of its own.
            form = "application/json" if operation.get("deprecated") else "application/problem+json"
            assert form in operation["responses"]["401"]["content"]


def test_every_operation_has_its_own_id_and_a_summary(document: dict[str, Any]) -> None:
    """Generated clients name their methods after these."""
    found = [(operation["operationId"], operation["summary"]) for _, _, operation in operations(document)]
    assert len({name for name, _ in found}) == len(found)
    assert all(summary for _, summary in found)


def test_parameters_have_no_null(document: dict[str, Any]) -> None:
    """An optional one is left out; `?wait=null` would be a text."""
    schemas = [one["schema"] for _, _, operation in operations(document) for one in operation.get("parameters", ())]
    assert schemas
    assert not [schema for schema in schemas if "'null'" in str(schema) or schema.get("default", "") is None]


def test_streams_are_documented_with_their_problems(document: dict[str, Any]) -> None:
    """Like every other operation; the token's record is among the components."""
    paths = document["paths"]
    assert set(paths["/api/jobs/{job_id}/events"]["get"]["responses"]) == {"200", "204", "401", "404", "422", "503"}
    token = paths["/api/jobs/{job_id}/stream-token"]["post"]["responses"]["201"]["content"]["application/json"]
    assert token["schema"]["$ref"].rpartition("/")[2] in document["components"]["schemas"]


def test_each_kind_has_a_path_with_schema_and_example(document: dict[str, Any]) -> None:
    """A kind's own parameters are part of the interface."""
    content = document["paths"]["/api/jobs/maintenance.ping"]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]["maintenance.ping"]["value"] == {"params": {"message": "hello"}}
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    assert schema["properties"]["params"]["$ref"].endswith("/PingRequest")
    assert schema["additionalProperties"] is False


def test_headers_of_a_submission_are_described(document: dict[str, Any]) -> None:
    """Idempotency is no secret."""
    parameters = document["paths"]["/api/jobs"]["post"]["parameters"]
    assert {one["name"] for one in parameters if one["in"] == "header"} == {"Prefer", "Idempotency-Key"}


def test_docs_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    """The page works on a machine without the internet."""
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    assert "//" not in page.text.replace("<!doctype", "")
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]


def test_docs_script_is_served_from_here(client: FlaskClient) -> None:
    """The viewer comes with a dependency of ours."""
    with client.get("/docs/scalar.js") as script:
        assert (script.status_code, script.mimetype) == (200, "text/javascript")
        assert len(script.data) > 100_000
