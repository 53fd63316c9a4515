"""A failed or cancelled job again: the same job, a new attempt."""

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from app.auth import tenant_id
from app.discovery import demand_budget
from app.inputs import checked
from app.jobs import JobPath
from app.openapi import SECURITY, answer, problems
from app.services import services
from app.submissions import WaitHeaders, answer_queued
from tasks.core.ledger import queries
from tasks.core.records import JobRecord
from tasks.dispatch import retry

log = structlog.get_logger()

bp = APIBlueprint("retries", __name__, abp_tags=[Tag(name="jobs")], abp_security=SECURITY)
MODELS: tuple[type[BaseModel], ...] = (JobRecord,)

_HEADERS = ("Location", "Preference-Applied")


@bp.post(
    "/api/jobs/<job:job_id>/retry",
    responses={
        200: answer(JobRecord, "It ended again within `Prefer: wait`, whatever its end.", headers=_HEADERS),
        202: answer(JobRecord, "It is queued again.", headers=_HEADERS),
        **problems(401, 402, 404, 409, 422, 503),
    },
)
@checked
def retry_job(path: JobPath, header: WaitHeaders) -> Response:
    """Run a failed or cancelled job again, with as many attempts as it had at first."""
    at = services()
    found = queries.job(at.kernel.ledger, path.job_id, tenant_id=tenant_id())
    if found is not None and found.kind in at.specs:
        demand_budget(at, at.specs[found.kind])
    job = retry(at.kernel, at.carrier, path.job_id, tenant_id=tenant_id())
    log.info("job_replayed", job_id=job.id, kind=job.kind, attempts_used=job.attempt)
    return answer_queued(at, job, header)
