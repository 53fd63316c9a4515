"""How often calibrations were answered from earlier ones, and a way to forget those."""

from datetime import datetime
from typing import Annotated

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import TRUE_OR_FALSE, Input, checked
from app.openapi import SECURITY, answer, problems
from app.services import services
from tasks.calibration.terms import KIND
from tasks.core.errors import InputRejected
from tasks.core.ledger import cached_results

bp = APIBlueprint("calibration_cache", __name__, abp_tags=[Tag(name="calibration")], abp_security=SECURITY)


class ForgetQuery(Input):
    """That this is meant."""

    confirm: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Without `true` nothing is done.")


class CacheStanding(BaseModel):
    """How this tenant's cache stands."""

    entries: int = Field(description="Earlier calibrations that could answer.")
    hits: int = Field(description="Calibrations that were answered so.")
    misses: int = Field(description="Calibrations that looked and were computed.")
    hit_rate: float | None = Field(description="Hits among both, 0 to 1; null before the first.")
    oldest: datetime | None
    newest: datetime | None


class Forgotten(BaseModel):
    """What was done."""

    forgotten: int = Field(description="Entries that answer nothing any more; their jobs stay.")


MODELS: tuple[type[BaseModel], ...] = (CacheStanding, Forgotten)


@bp.get("/api/calibration/cache", responses={200: answer(CacheStanding, "Now."), **problems(401, 503)})
@checked
def read_cache() -> Response:
    """Tell how often this tenant's calibrations were answered from earlier ones."""
    return json_answer(standing())


@bp.delete("/api/calibration/cache", responses={200: answer(Forgotten, "Done."), **problems(401, 422, 503)})
@checked
def forget_cache(query: ForgetQuery) -> Response:
    """Let every calibration be computed again; the earlier jobs stay."""
    at = services()
    if not query.confirm:
        raise InputRejected(
            f"This would forget {standing().entries} earlier calibrations: repeat it with confirm=true.",
            field="confirm",
            code="confirmation_required",
        )
    return json_answer(Forgotten(forgotten=cached_results.forget(at.kernel.ledger, tenant_id=tenant_id(), kind=KIND)))


def standing() -> CacheStanding:
    """Return how the cache of the tenant that asks stands."""
    found = cached_results.standing(services().kernel.ledger, tenant_id=tenant_id(), kind=KIND)
    lookups = found.hits + found.misses
    return CacheStanding(
        entries=found.entries,
        hits=found.hits,
        misses=found.misses,
        hit_rate=round(found.hits / lookups, 4) if lookups else None,
        oldest=found.oldest,
        newest=found.newest,
    )
