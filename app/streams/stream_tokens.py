"""Where a browser gets what opens a job's streams."""

from datetime import datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from app.answers import json_answer
from app.inputs import checked
from app.jobs import JobPath
from app.openapi import SECURITY, answer, problems
from app.streams.services import StreamServices


class StreamTokenRecord(BaseModel):
    """Opens one job's streams as `?token=`."""

    token: str
    expires_at: datetime


def tokens_blueprint(services: StreamServices) -> APIBlueprint:
    """Return the route that makes tokens."""
    bp = APIBlueprint("stream_tokens", __name__, abp_tags=[Tag(name="streams")], abp_security=SECURITY)

    @bp.post(
        "/api/jobs/<job:job_id>/stream-token",
        responses={201: answer(StreamTokenRecord, "A token."), **problems(401, 404, 503)},
    )
    @checked
    def make_stream_token(path: JobPath) -> Response:
        """Make a short-lived token that opens a job's streams from a browser."""
        tenant = services.tenant_of_request()
        job = services.visible_job(path.job_id, tenant_id=tenant.id)
        issued = services.tokens.issue(job.id, tenant_id=tenant.id)
        response = json_answer(StreamTokenRecord(token=issued.token, expires_at=issued.expires_at), status=201)
        response.headers["Cache-Control"] = "no-store"
        return response

    return bp
