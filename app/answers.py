"""Models and records as HTTP answers."""

from flask import Response
from pydantic import BaseModel

from app.record import etag_of, record_of
from app.services import Services
from tasks.core.records import Job, JobRecord


def json_answer(model: BaseModel, *, status: int = 200) -> Response:
    """Answer with a model."""
    return Response(model.model_dump_json(), status, mimetype="application/json")


def record_answer(record: JobRecord, *, status: int = 200) -> Response:
    """Answer with a record and its ETag (weak: the passing of time shows in its timings)."""
    response = json_answer(record, status=status)
    response.set_etag(etag_of(record), weak=True)
    return response


def job_answer(services: Services, job: Job, *, status: int = 200) -> Response:
    """Answer with the job's record."""
    return record_answer(record_of(services, job), status=status)
