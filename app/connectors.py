"""Connectors: how a tenant's services are spoken to. Stored, listed, deleted; their secrets are never given out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.inputs import Input, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.services import Services, services
from tasks.connectors.configured import seal_secrets
from tasks.connectors.contract import ConnectorName
from tasks.connectors.service import ShortName
from tasks.connectors.services import Service
from tasks.connectors.store import records
from tasks.core.errors import InputRejected

log = structlog.get_logger()

bp = APIBlueprint("connectors", __name__, abp_tags=[Tag(name="connectors")], abp_security=SECURITY)

# What is shorter would be struck from where it means something else.
_Secret = Annotated[str, Field(min_length=8, max_length=10_000)]


class ConnectorPath(Input):
    """Which connector."""

    name: ConnectorName


class ConnectorConfiguration(Input):
    """How a service is spoken to, and what only it may know."""

    service: Service
    secrets: Annotated[dict[ShortName, _Secret], Field(max_length=50)] | None = Field(
        None, description="For `{{secret.NAME}}`; sealed, and shown nowhere. If absent: as they are."
    )


class ConnectorRecord(BaseModel):
    """A stored configuration, without its secrets."""

    name: str
    service: dict[str, Any]
    secrets: list[str] = Field(description="Their names.")
    created_at: datetime
    updated_at: datetime


class ConnectorList(BaseModel):
    """A tenant's connectors."""

    connectors: list[ConnectorRecord]


MODELS: tuple[type[BaseModel], ...] = (ConnectorConfiguration, ConnectorRecord, ConnectorList)


@bp.get("/api/connectors", responses={200: answer(ConnectorList, "By name."), **problems(401, 503)})
@checked
def list_connectors() -> Response:
    """List the connectors."""
    found = records.list_connectors(services().kernel.ledger, tenant_id())
    return json_answer(ConnectorList(connectors=[_record(one) for one in found]))


@bp.get(
    "/api/connectors/<name>",
    responses={200: answer(ConnectorRecord, "The connector."), **problems(401, 404, 422, 503)},
)
@checked
def show_connector(path: ConnectorPath) -> Response:
    """Show a connector."""
    return json_answer(_record(records.kept_connector(services().kernel.ledger, tenant_id(), path.name)))


@bp.put(
    "/api/connectors/<name>",
    responses={
        200: answer(ConnectorRecord, "Stored in place of an earlier one."),
        201: answer(ConnectorRecord, "Stored."),
        **problems(400, 401, 413, 415, 422, 503),
    },
)
@checked
def store_connector(path: ConnectorPath, body: ConnectorConfiguration) -> Response:
    """Store how a service is spoken to; jobs name it as their `connector`."""
    at = services()
    secrets = _secrets(at, path.name, body.secrets)
    lacking = sorted(body.service.secrets() - set(secrets.names))
    if lacking:
        raise InputRejected(f"The service needs secrets that were not given: {', '.join(lacking)}.", field="secrets")
    service = body.service.model_dump(mode="json")
    is_new = records.keep_connector(
        at.kernel.ledger, tenant_id(), path.name, service=service, secrets=secrets, by=actor()
    )
    log.info("connector_stored", connector=path.name, is_new=is_new)
    found = records.kept_connector(at.kernel.ledger, tenant_id(), path.name)
    return json_answer(_record(found), status=201 if is_new else 200)


@bp.delete("/api/connectors/<name>", responses={204: bare_answer("It is gone."), **problems(401, 404, 422, 503)})
@checked
def delete_connector(path: ConnectorPath) -> Response:
    """Delete a connector with its secrets; jobs that need it fail from then on."""
    records.forget_connector(services().kernel.ledger, tenant_id(), path.name, by=actor())
    log.info("connector_deleted", connector=path.name)
    return Response(status=204)


def _secrets(at: Services, name: str, given: Mapping[str, str] | None) -> records.SealedSecrets:
    kept = records.sealed_secrets(at.kernel.ledger, tenant_id(), name) if given is None else None
    if kept is not None:
        return kept
    sealed = seal_secrets(at.settings, tenant_id(), name, given or {})
    return records.SealedSecrets(tuple(sorted(given or {})), sealed)


def _record(found: records.KeptConnector) -> ConnectorRecord:
    return ConnectorRecord(
        name=found.name,
        service=found.service,
        secrets=list(found.secret_names),
        created_at=found.created_at,
        updated_at=found.updated_at,
    )
