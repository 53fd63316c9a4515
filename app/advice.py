"""What to run for a purpose: ``app.sizing`` over HTTP."""

from dataclasses import asdict
from typing import Annotated, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import NUMBER, TRUE_OR_FALSE, WHOLE_NUMBER, Input, checked
from app.openapi import SECURITY, answer, problems
from app.sizing import Needs, sizing
from tasks.core.records import RanIn

bp = APIBlueprint("advice", __name__, abp_tags=[Tag(name="fleet")], abp_security=SECURITY)

_Count = Annotated[int, Field(ge=0, le=1_000_000), WHOLE_NUMBER]


class AdviceQuery(Input):
    """What it is for; leave out what you cannot say."""

    sites: _Count | None = Field(None, description="Sites whose tools are to be known.")
    jobs_per_day: _Count | None = Field(None, description="Discoveries and runs of tools.")
    job_s: Annotated[float, Field(gt=0, le=3600), NUMBER] = Field(30.0, description="How long one takes, in seconds.")
    people: _Count | None = Field(None, description="Who rely on it.")
    must_survive: Annotated[bool, TRUE_OR_FALSE] = Field(
        False, description="Jobs are to go on at once when a machine dies."
    )
    has_redis: Annotated[bool, TRUE_OR_FALSE] = Field(True, description="Whether Redis may be run.")


class Advice(BaseModel):
    """What to run, and why."""

    backend: RanIn
    least_workers: int = Field(description="Workers for the queue `crawler`; of `local`, the one runner.")
    most_workers: int = Field(description="What to grow to while jobs wait.")
    slots: int = Field(description="Jobs that the least of them run at a time.")
    ledger: Literal["sqlite", "postgresql"]
    web_servers: int = Field(description="As many dispatchers, of which one acts.")
    commands: tuple[str, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = Field(description="What cannot be had so.")


MODELS: tuple[type[BaseModel], ...] = (Advice,)


@bp.get("/api/advice", responses={200: answer(Advice, "What to run."), **problems(401, 422)})
@checked
def advise(query: AdviceQuery) -> Response:
    """Tell which backend, how many workers and which ledger a purpose needs."""
    return json_answer(Advice(**asdict(sizing(Needs(**query.model_dump())))))
