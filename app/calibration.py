"""What a calibration would do, before anybody submits it."""

from functools import partial

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from app.answers import json_answer
from app.attachments import named_uploads
from app.auth import tenant_id
from app.inputs import checked
from app.openapi import SECURITY, answer, problems
from app.relaying import aside_if_large
from app.services import services
from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.preview import AlgorithmPreview, CalibrationPreview, preview
from tasks.calibration.terms import KIND

bp = APIBlueprint("calibration", __name__, abp_tags=[Tag(name="calibration")], abp_security=SECURITY)
MODELS: tuple[type[BaseModel], ...] = (CalibrationPreview, AlgorithmPreview)


@bp.post(
    "/api/calibration/preview",
    responses={
        200: answer(CalibrationPreview, "What the job would do."),
        **problems(400, 401, 413, 415, 422, 503),
    },
)
@aside_if_large
@checked
def preview_calibration(body: CalibrationRequest) -> Response:
    """Tell what a calibration with these parameters would do, without queueing it."""
    at = services()
    named_uploads(at, at.specs[KIND], body, inside=())
    return json_answer(preview(body, partial(at.uploads.open, tenant_id())))
