"""What to run: for a purpose (``app.sizing``), and for what was measured (``app.staffing``), over HTTP."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import NUMBER, TRUE_OR_FALSE, WHOLE_NUMBER, Input, checked
from app.openapi import SECURITY, answer, problems
from app.services import services
from app.sizing import Needs, sizing
from app.standing import Standing, standings
from tasks.core.clock import now
from tasks.core.records import RanIn
from tasks.core.spec import Queue

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
    measured: Annotated[bool, TRUE_OR_FALSE] = Field(
        False,
        description="Take `jobs_per_day` and `job_s` from the last hour of the queue `crawler`, eight hours a day.",
    )


class QueueAdvice(BaseModel):
    """How many workers a queue needs, by what was measured of it, and why."""

    queue: Queue
    workers: int = Field(description="Live ones.")
    advised_workers: int
    change: Literal["more", "fewer", "none"]
    arrived_per_s: float = Field(description="In the last five minutes or in the last hour, whichever is more.")
    job_s: float | None = Field(description="How long one ran on the average; null: none ended within the hour.")
    waiting: int
    running: int
    reasons: tuple[str, ...]
    command: str = Field(description="What sets so many on this machine.")


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
    queues: tuple[QueueAdvice, ...] = Field(description="By what was measured, whatever was said.")


MODELS: tuple[type[BaseModel], ...] = (Advice,)


@bp.get("/api/advice", responses={200: answer(Advice, "What to run."), **problems(401, 422, 503)})
@checked
def advise(query: AdviceQuery) -> Response:
    """Tell which backend, how many workers and which ledger a purpose needs; and how many each queue needs now."""
    house = services()
    found = standings(house.kernel.ledger, house.workers, at=now())
    said = query.model_dump()
    reasons: tuple[str, ...] = ()
    if said.pop("measured"):
        (crawler,) = [one for one in found if one.queue == Queue.CRAWLER]
        measured, reasons = _measured(crawler)
        said = measured | {name: value for name, value in said.items() if name in query.model_fields_set}
    advised = sizing(Needs(**said))
    advised = replace(advised, reasons=reasons + advised.reasons)
    return json_answer(Advice(**asdict(advised), queues=_of_queues(found)))


def _measured(crawler: Standing) -> tuple[dict[str, float | int], tuple[str, ...]]:
    """Return what an hour tells of a day, with words; nothing where nothing was measured."""
    hour = crawler.last_hour
    job_s = hour.ran.mean_s
    if job_s is None:
        return {}, ("Measured: no job of the queue crawler has ended within the hour.",)
    said = f"Measured: {hour.arrived} jobs came to the queue crawler within the hour, and one ran {job_s:.3g} s."
    # As many bounds as a stated need has.
    return {"jobs_per_day": min(hour.arrived * 8, 1_000_000), "job_s": min(max(job_s, 0.001), 3600.0)}, (said,)


def _of_queues(found: Sequence[Standing]) -> tuple[QueueAdvice, ...]:
    return tuple(
        QueueAdvice(
            queue=one.queue,
            workers=one.workers,
            advised_workers=one.staffing.workers,
            change=_change(one.workers, one.staffing.workers),
            arrived_per_s=round(one.demand.arrivals_per_s, 4),
            job_s=None if one.demand.job_s is None else round(one.demand.job_s, 3),
            waiting=one.demand.waiting,
            running=one.demand.running,
            reasons=one.staffing.reasons,
            command=f"switchyard workers scale {one.queue}={one.staffing.workers}",
        )
        for one in found
    )


def _change(workers: int, advised: int) -> Literal["more", "fewer", "none"]:
    if advised == workers:
        return "none"
    return "more" if advised > workers else "fewer"
