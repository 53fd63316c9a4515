"""Files that are sent before the jobs that need them: whole, or resumably by tus 1.0.0."""

from datetime import timedelta
from typing import Annotated, Any

import structlog
from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app import tus
from app.answers import json_answer
from app.attachments import size_of
from app.auth import tenant_id
from app.inputs import TRUE_OR_FALSE, WHOLE_NUMBER, Input, Text, checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.receiving import Body, multipart_parts, takes_files
from app.services import Services, services
from tasks.core.errors import AppError, InputRejected, NotFound
from tasks.core.records import Upload, UploadRecord
from tasks.core.uploads.store import Announced

log = structlog.get_logger()

bp = APIBlueprint("uploads", __name__, abp_tags=[Tag(name="uploads")], abp_security=SECURITY)

_Header = Annotated[str, Field(max_length=5000)]
_TUS_HEADERS = ("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Expires", "Upload-Metadata")
_SHA256 = r"^[0-9a-fA-F]{64}$"


class UploadPath(Input):
    """Which upload."""

    upload_id: str = Field(description="The upload's id.", json_schema_extra={"format": "uuid"})


class SendQuery(Input):
    """What to say of a file that is sent whole."""

    name: Annotated[Text, Field(max_length=255)] | None = Field(None, description="The file's name.")
    sha256: str | None = Field(None, pattern=_SHA256, description="What the content must have, in hexadecimal.")


class SendHeaders(Input):
    """What tus sends beside the body of a POST; a file that is sent whole needs none of it."""

    tus_resumable: _Header | None = Field(None, alias="Tus-Resumable", description="`1.0.0`, for tus.")
    upload_length: _Header | None = Field(None, alias="Upload-Length", description="Bytes of the whole file, for tus.")
    upload_metadata: _Header | None = Field(
        None,
        alias="Upload-Metadata",
        description="Pairs of a key and base64; `filename`, `filetype` and `sha256` (of the whole) are known.",
    )
    upload_checksum: _Header | None = Field(
        None, alias="Upload-Checksum", description="`sha256 <base64>` or `sha1 <base64>` of this request's bytes."
    )


class PieceHeaders(Input):
    """What tus sends beside a piece."""

    tus_resumable: _Header | None = Field(None, alias="Tus-Resumable", description="`1.0.0`.")
    upload_offset: _Header | None = Field(None, alias="Upload-Offset", description="Where the piece begins.")
    upload_checksum: _Header | None = Field(
        None, alias="Upload-Checksum", description="`sha256 <base64>` or `sha1 <base64>` of the piece."
    )


class OverrideHeaders(PieceHeaders):
    """What tus sends where a proxy lets only GET and POST through."""

    method: _Header | None = Field(None, alias="X-HTTP-Method-Override", description="`PATCH`, `DELETE` or `HEAD`.")


class ListQuery(Input):
    """Which uploads, and which page of them."""

    sha256: str | None = Field(
        None, pattern=_SHA256, description="Of the content. Asks whether it is there: 404 when it is not."
    )
    complete: Annotated[bool, TRUE_OR_FALSE] | None = Field(
        None, description="Only complete ones, or only others. With `sha256` only complete ones, unless this is false."
    )
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    cursor: Annotated[Text, Field(max_length=200)] | None = Field(None, description="`next_cursor` of the page before.")


class UploadPage(BaseModel):
    """Uploads, newest first."""

    uploads: list[UploadRecord]
    kept_bytes: int = Field(description="What all of the tenant's have together, as announced.")
    quota_bytes: int = Field(description="What they may have.")
    next_cursor: str | None = Field(None, description="Asks for the next page; null on the last one.")


MODELS: tuple[type[BaseModel], ...] = (UploadRecord, UploadPage)

_ANY_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_ONE_FILE: dict[str, Any] = {
    "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
}


@bp.after_request
def _speak_tus(response: Response) -> Response:
    return tus.add_headers(response, services())


@bp.post(
    "/api/uploads",
    responses={
        201: answer(UploadRecord, "It is there, or has begun.", headers=("Location", *_TUS_HEADERS)),
        **problems(400, 401, 411, 412, 413, 415, 422, 460, 503, 507),
    },
    openapi_extensions={
        "requestBody": {"content": {"application/octet-stream": _ANY_BYTES, "multipart/form-data": _ONE_FILE}}
    },
)
@takes_files
@checked
def send_upload(query: SendQuery, header: SendHeaders) -> Response:  # noqa: ARG001  # tus reads the headers
    """Send a file: whole, as the body or as the one file of a form; or begin a resumable upload (tus `creation`)."""
    at = services()
    if tus.speaks_tus():
        upload = _begin(at)
    elif request.mimetype == "multipart/form-data":
        upload = _take_form(at, query)
    else:
        upload = _take_body(at, query)
    log.info("upload_begun", upload_id=upload.id, size_bytes=upload.size_bytes, complete=upload.is_complete)
    offset = at.uploads.offset(upload)
    response = tus.described(json_answer(record_of(at, upload, offset), status=201), at, upload, offset)
    response.headers["Location"] = f"/api/uploads/{upload.id}"
    return response


def _begin(at: Services) -> Upload:
    """Tus, extensions Creation and Creation With Upload."""
    tus.check_version()
    if "Upload-Length" not in request.headers:
        raise InputRejected(
            "Upload-Length is missing: it must be known at the beginning.", field="Upload-Length", code="malformed"
        )
    announced, checksum = tus.announced(tus.number("Upload-Length")), tus.checksum()
    if request.content_length and request.mimetype != tus.PIECE:
        raise _not_a_piece()
    upload = at.uploads.create(tenant_id(), announced)
    if request.mimetype == tus.PIECE and not upload.is_complete:
        source, length = Body.of_request(at.settings).read, request.content_length
        try:
            upload, _ = at.uploads.append(
                tenant_id(), upload.id, offset=0, source=source, length=length, checksum=checksum
            )
        except AppError:
            at.uploads.remove(tenant_id(), upload.id)  # its client will never hear of it
            raise
    return upload


def _take_body(at: Services, query: SendQuery) -> Upload:
    size_bytes = request.content_length
    if size_bytes is None:
        raise InputRejected("Content-Length is missing: say how large the file is.", code="length_required")
    announced = Announced(
        size_bytes,
        name=tus.name_of(query.name),
        media_type=tus.media_type_of(request.mimetype),
        sha256=tus.sha256_of(query.sha256),
    )
    return at.uploads.whole(tenant_id(), announced, Body.of_request(at.settings).read)


def _take_form(at: Services, query: SendQuery) -> Upload:
    uploads = at.uploads
    with multipart_parts(at.settings, uploads.scratch) as (texts, files):
        sent = [file for _, file in files.items(multi=True)]
        if len(sent) != 1 or texts:
            raise InputRejected(
                f"The form has {len(sent)} files and {len(texts)} other fields: send one file.", field="file"
            )
        announced = Announced(
            size_of(sent[0].stream),
            name=tus.name_of(query.name or sent[0].filename),
            media_type=tus.media_type_of(sent[0].mimetype),
            sha256=tus.sha256_of(query.sha256),
        )
        return uploads.whole(tenant_id(), announced, sent[0].stream.read)


@bp.get(
    "/api/uploads",
    responses={200: answer(UploadPage, "A page; or those with this content."), **problems(401, 404, 422, 503)},
)
@checked
def list_uploads(query: ListQuery) -> Response:
    """List uploads, newest first; or ask with `sha256` (HEAD will do) whether a content is there already."""
    at = services()
    complete = query.complete if query.sha256 is None or query.complete is not None else True
    found = at.uploads.listing(
        tenant_id(),
        sha256=tus.sha256_of(query.sha256),
        complete=complete,
        before=query.cursor,
        limit=query.limit + 1,
    )
    if query.sha256 is not None and not found:
        raise NotFound(f"No upload with the SHA-256 {query.sha256}: send it.")
    shown = [record_of(at, upload, at.uploads.offset(upload)) for upload in found[: query.limit]]
    return json_answer(
        UploadPage(
            uploads=shown,
            kept_bytes=at.uploads.kept_bytes(tenant_id()),
            quota_bytes=at.settings.upload_quota_bytes,
            next_cursor=shown[-1].id if len(found) > query.limit else None,
        )
    )


@bp.get(
    "/api/uploads/<upload:upload_id>",
    responses={
        200: answer(UploadRecord, "How far it is.", headers=_TUS_HEADERS),
        **problems(401, 404, 412, 423, 460, 503),
    },
)
@checked
def read_upload(path: UploadPath) -> Response:
    """Read how far an upload is; HEAD is tus's."""
    return _read(services(), path.upload_id)


@bp.patch(
    "/api/uploads/<upload:upload_id>",
    responses={
        204: bare_answer("The piece is kept.", headers=_TUS_HEADERS),
        **problems(400, 401, 404, 409, 412, 413, 415, 422, 423, 460, 503, 507),
    },
    openapi_extensions={"requestBody": {"content": {tus.PIECE: _ANY_BYTES}}},
)
@takes_files
@checked
def send_piece(path: UploadPath, header: PieceHeaders) -> Response:  # noqa: ARG001  # tus reads the headers
    """Send the next piece of a resumable upload (tus)."""
    return _append(services(), path.upload_id)


@bp.delete(
    "/api/uploads/<upload:upload_id>",
    responses={204: bare_answer("It is gone."), **problems(401, 404, 409, 412, 423, 503)},
)
@checked
def delete_upload(path: UploadPath) -> Response:
    """Delete an upload that no job needs, complete or not (tus `termination`)."""
    return _remove(services(), path.upload_id)


@bp.post(
    "/api/uploads/<upload:upload_id>",
    responses={
        200: answer(UploadRecord, "What GET answers.", headers=_TUS_HEADERS),
        204: bare_answer("What PATCH or DELETE answers.", headers=_TUS_HEADERS),
        **problems(400, 401, 404, 409, 412, 413, 415, 422, 423, 460, 503, 507),
    },
    openapi_extensions={"requestBody": {"content": {tus.PIECE: _ANY_BYTES}}},
)
@takes_files
@checked
def override_method(path: UploadPath, header: OverrideHeaders) -> Response:
    """Do what `X-HTTP-Method-Override` says, for clients behind proxies that know only GET and POST (tus)."""
    act = {"PATCH": _append, "DELETE": _remove, "HEAD": _read}.get(header.method or "")
    if act is None:
        raise InputRejected(
            "X-HTTP-Method-Override must be PATCH, DELETE or HEAD: a file is sent to /api/uploads.",
            field="X-HTTP-Method-Override",
            code="malformed",
        )
    return act(services(), path.upload_id)


def _read(at: Services, upload_id: str) -> Response:
    tus.check_version(required=False)
    upload, offset = at.uploads.state(tenant_id(), upload_id)
    return tus.described(json_answer(record_of(at, upload, offset)), at, upload, offset)


def _append(at: Services, upload_id: str) -> Response:
    tus.check_version()
    if request.mimetype != tus.PIECE:
        raise _not_a_piece()
    body, length = Body.of_request(at.settings), request.content_length
    offset = tus.number("Upload-Offset")
    upload, reached = at.uploads.append(
        tenant_id(), upload_id, offset=offset, source=body.read, length=length, checksum=tus.checksum()
    )
    if body.broke_off or (length is not None and reached < offset + length):
        raise InputRejected(f"The body broke off: {reached} bytes are there, go on from that offset.", code="malformed")
    if upload.is_complete:
        log.info("upload_completed", upload_id=upload.id, size_bytes=upload.size_bytes)
    return tus.described(Response(status=204), at, upload, reached)


def _remove(at: Services, upload_id: str) -> Response:
    tus.check_version(required=False)
    at.uploads.remove(tenant_id(), upload_id)
    return Response(status=204)


def _not_a_piece() -> InputRejected:
    return InputRejected(
        f"Content-Type is {request.mimetype[:100]!r}: send {tus.PIECE}.", code="unsupported_media_type"
    )


def record_of(at: Services, upload: Upload, offset: int) -> UploadRecord:
    """Return what a client sees of an upload."""
    return UploadRecord(
        id=upload.id,
        size_bytes=upload.size_bytes,
        offset_bytes=offset,
        complete=upload.is_complete,
        sha256=upload.sha256,
        name=upload.name,
        media_type=upload.media_type,
        created_at=upload.created_at,
        expires_at=upload.used_at + timedelta(seconds=at.settings.upload_keep_s),
        href=f"/api/uploads/{upload.id}",
    )
