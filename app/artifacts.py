"""The files that a job's last attempt left."""

import re
from pathlib import Path
from typing import Literal

from flask import Response, request, send_file
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import Input, checked
from app.jobs import JobPath, find_job
from app.openapi import SECURITY, answer, bare_answer, problems, raw_answer
from app.page_files import are_pages, format_wanted, pages_answer
from app.services import services
from tasks.core.artifacts import LOG_NAME
from tasks.core.errors import InputRejected, NotFound
from tasks.core.records import ArtifactRecord
from tasks.crawling.page_files import PagesFormat

bp = APIBlueprint("artifacts", __name__, abp_tags=[Tag(name="output")], abp_security=SECURITY)

# What a browser may show: plain data that runs nothing. Everything else is a download.
_INLINE = frozenset({"application/json", "application/x-ndjson", "text/csv", "text/plain", "image/png"})

_ONE_RANGE = re.compile(r"bytes=([0-9]+-[0-9]*|-[0-9]+)", re.IGNORECASE)


class ArtifactPath(JobPath):
    """Which file of which job."""

    name: str = Field(description="The artifact's name.")


class ArtifactQuery(Input):
    """What it is to be given as."""

    format: Literal["jsonl", "markdown", "sqlite"] | None = Field(
        None,
        description="Of `pages.jsonl` of a crawl: the lines, a zip of Markdown files, or a database of SQLite. Without "
        "it `Accept` decides: `application/x-ndjson`, `application/zip` or `application/vnd.sqlite3`.",
    )


class ArtifactHeaders(Input):
    """What the client has, or wants."""

    range: str | None = Field(
        None, alias="Range", description="`bytes=0-99`; several parts, or another unit, are ignored."
    )
    if_none_match: str | None = Field(None, alias="If-None-Match", description="The ETag that the client has.")


class ArtifactList(BaseModel):
    """Files, by name."""

    artifacts: list[ArtifactRecord]


MODELS: tuple[type[BaseModel], ...] = (ArtifactList,)


@bp.get(
    "/api/jobs/<job:job_id>/artifacts",
    responses={200: answer(ArtifactList, "All of them."), **problems(401, 404, 503)},
)
@checked
def list_artifacts(path: JobPath) -> Response:
    """List the files that the job's last attempt left."""
    at = services()
    job = find_job(at, path.job_id)
    return json_answer(ArtifactList(artifacts=at.kernel.artifacts.list(job.id, job.fence, job.attempt)))


@bp.get(
    "/api/jobs/<job:job_id>/artifacts/<artifact:name>",
    responses={
        200: raw_answer("The file.", "*/*"),
        206: raw_answer("The part that was asked for.", "*/*"),
        304: bare_answer("The client has it."),
        **problems(401, 404, 416, 422, 503),
    },
)
@checked
def read_artifact(path: ArtifactPath, query: ArtifactQuery, header: ArtifactHeaders) -> Response:  # noqa: ARG001  # werkzeug reads the headers
    """Fetch a file; `Range` and `ETag` work."""
    at = services()
    job = find_job(at, path.job_id)
    found = {one.name: one for one in at.kernel.artifacts.list(job.id, job.fence, job.attempt)}.get(path.name)
    if found is None and path.name != LOG_NAME:
        raise NotFound(f"Job {job.id} has no artifact {path.name!r}.")
    pages = found if are_pages(job.kind, path.name) else None
    if query.format is not None and pages is None:
        raise InputRejected(f"{path.name!r} has one format: only a crawl's pages have several.", field="format")
    file = at.kernel.artifacts.path(job.id, job.fence, path.name)
    if pages is not None and (form := format_wanted(query.format)) is not PagesFormat.JSONL:
        response = pages_answer(file, pages, form)
    else:
        response = _file(file, path.name, found)
    response.headers["Cache-Control"] = "private, no-cache"
    if pages is not None:
        response.headers.add("Vary", "Accept")
    if request.method == "HEAD" or response.status_code == 304:
        response.close()  # werkzeug closes the file with the body, and these have none
    return response


def _file(path: Path, name: str, found: ArtifactRecord | None) -> Response:
    if not _ONE_RANGE.fullmatch(request.headers.get("Range", "")):
        request.environ.pop("HTTP_RANGE", None)  # RFC 9110, 14.2; werkzeug would refuse it with 416
    media_type = "application/x-ndjson" if found is None else found.media_type
    return send_file(
        path,
        mimetype=media_type,
        conditional=True,
        etag=True if found is None else found.sha256,
        as_attachment=media_type.partition(";")[0] not in _INLINE,
        download_name=name.rpartition("/")[2],
        max_age=0,
    )
