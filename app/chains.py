"""Chains: a job, what followed it, what followed that, seen and cancelled as one."""

from contextlib import suppress

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import checked
from app.jobs import JobPath, find_job
from app.openapi import SECURITY, answer, problems
from app.services import Services, services
from tasks.core.errors import Conflict
from tasks.core.follow_ups.plans import record_of_link
from tasks.core.ledger import follow_ups, queries
from tasks.core.records import FollowUpRecord, Job, JobState
from tasks.dispatch import cancel, cancel_chain

log = structlog.get_logger()

bp = APIBlueprint("chains", __name__, abp_tags=[Tag(name="jobs")], abp_security=SECURITY)


class ChainJob(BaseModel):
    """One job of a chain."""

    model_config = ConfigDict(use_enum_values=True)

    id: str
    kind: str
    state: JobState
    depth: int = Field(description="0 for the first one.")
    parent_job_id: str | None
    follow_up: FollowUpRecord | None = Field(description="What it starts when it has ended; null: nothing.")
    href: str


class Chain(BaseModel):
    """A job and what followed it."""

    chain_id: str = Field(description="The id of its first job.")
    jobs: list[ChainJob] = Field(description="Each before those that follow it; what was erased is not here.")


MODELS: tuple[type[BaseModel], ...] = (Chain, ChainJob)


@bp.get("/api/jobs/<job:job_id>/chain", responses={200: answer(Chain, "The chain."), **problems(401, 404, 503)})
@checked
def read_chain(path: JobPath) -> Response:
    """Read the whole chain that a job is part of; that of a job without follow-ups is the job alone."""
    at = services()
    return json_answer(_chain_of(at, find_job(at, path.job_id)))


@bp.post(
    "/api/jobs/<job:job_id>/chain/cancel",
    responses={202: answer(Chain, "Nothing more begins in it."), **problems(401, 404, 503)},
)
@checked
def cancel_jobs_of_chain(path: JobPath) -> Response:
    """Cancel the chain that a job is part of: what waits ends now, what runs within seconds, nothing follows."""
    at = services()
    job = find_job(at, path.job_id)
    link = follow_ups.link_of(at.kernel.ledger, job.id)
    if link is None:
        with suppress(Conflict):  # it has ended
            cancel(at.kernel, job.id, tenant_id=tenant_id())
    else:
        changed = cancel_chain(at.kernel, at.carrier, link.chain_id, tenant_id=tenant_id())
        log.info("chain_cancelled", chain_id=link.chain_id, changed=changed)
    return json_answer(_chain_of(at, find_job(at, path.job_id)), status=202)


def _chain_of(at: Services, job: Job) -> Chain:
    link = follow_ups.link_of(at.kernel.ledger, job.id)
    if link is None:
        alone = ChainJob(
            id=job.id,
            kind=job.kind,
            state=job.state,
            depth=0,
            parent_job_id=None,
            follow_up=None,
            href=f"/api/jobs/{job.id}",
        )
        return Chain(chain_id=job.id, jobs=[alone])
    links = follow_ups.links_of_chain(at.kernel.ledger, link.chain_id)
    states = {one.job_id: queries.job(at.kernel.ledger, one.job_id) for one in links}
    jobs = [
        ChainJob(
            id=one.job_id,
            kind=found.kind,
            state=found.state,
            depth=one.depth,
            parent_job_id=one.parent_id,
            follow_up=record_of_link(one),
            href=f"/api/jobs/{one.job_id}",
        )
        for one in links
        if (found := states[one.job_id]) is not None
    ]
    return Chain(chain_id=link.chain_id, jobs=jobs)
