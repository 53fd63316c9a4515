"""The uploads of a submission: those that it names, and files that come with it, which is sugar for the same."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import FileStorage, MultiDict

from app import tus
from app.auth import tenant_id
from app.errors import FieldsRejected, Refusal, rejected
from app.inputs import read_object
from app.receiving import multipart_parts
from app.relaying import leave_much_work
from app.services import Services
from tasks.core.errors import Conflict, InputRejected, NotFound, UploadLocked
from tasks.core.records import Upload
from tasks.core.spec import JobSpec
from tasks.core.uploads.references import Reference, holds_uploads, references
from tasks.core.uploads.store import Announced

_REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Attached:
    """A submission that came as a form: its body as if it had come as JSON, and the uploads made for it."""

    spec: JobSpec
    body: dict[str, Any]
    uploads: list[Upload] = field(default_factory=list)

    def discard(self, at: Services) -> None:
        """Remove the uploads, which nobody needs after all."""
        for upload in self.uploads:
            with suppress(NotFound, Conflict):
                at.uploads.remove(tenant_id(), upload.id)


def named_uploads(
    at: Services, spec: JobSpec, params: BaseModel, *, inside: Sequence[str] = ("params",)
) -> dict[str, str]:
    """Return the SHA-256 of each upload that ``params`` names, by id, once their content was checked, too.

    Raises:
        FieldsRejected: one is not there or not complete, or does not fit; with the path of each such field.
        MuchWork: they are so large that another process should check them.
    """
    named = references(params)
    if not named:
        return {}
    found = at.uploads.find_all(tenant_id(), [one.upload_id for one in named])
    refusals = [
        Refusal(field=".".join((*inside, *one.path)), message=problem, value=one.upload_id)
        for one in named
        if (problem := _problem(at, one, found.get(one.upload_id)))
    ]
    if refusals:
        raise FieldsRejected(refusals)
    if spec.check_uploads is not None:
        leave_much_work(at, sum(one.size_bytes for one in found.values()))
        try:
            spec.check_uploads(params, partial(at.uploads.open, tenant_id()))
        except ValidationError as exc:
            raise rejected(exc, inside=inside) from exc
    return {one.id: one.sha256 or "" for one in found.values()}


def _problem(at: Services, named: Reference, upload: Upload | None) -> str | None:
    if upload is None:
        return "There is no such upload: send the file with `POST /api/uploads`, and name the id that it answers."
    if upload.is_complete:
        return None
    with suppress(UploadLocked):
        upload, offset = at.uploads.state(tenant_id(), named.upload_id)
        if not upload.is_complete:
            return f"It has {offset} of {upload.size_bytes} bytes: send the rest with `PATCH /api/uploads/{upload.id}`."
        return None
    return "Somebody is still sending it: wait until it is complete."


def check_takes_files(spec: JobSpec) -> None:
    """Check that jobs of this kind can be sent with files.

    Raises:
        InputRejected: they cannot (``unsupported_media_type``).
    """
    if not holds_uploads(spec.request):
        raise InputRejected(f"{spec.kind} takes no files: send application/json.", code="unsupported_media_type")


@contextmanager
def attached(at: Services, find: Callable[[dict[str, Any]], JobSpec]) -> Iterator[Attached]:
    """Store the files of this request's form and build the body that names them; all of them, or none if it fails.

    ``find`` tells the kind by the body, before any file is stored.

    Raises:
        InputRejected: the kind takes no files, the form cannot be read, or a part's name leads nowhere.
        TooLarge, QuotaExceeded, StorageFull: the files may not, or cannot, be kept.
    """
    with multipart_parts(at.settings, at.uploads.scratch) as (texts, files):
        body = _request_of(texts, files)
        spec = find(body)
        check_takes_files(spec)
        made = Attached(spec, body)
        params = made.body.setdefault("params", {})
        try:
            for name, file in files.items(multi=True):
                upload = _store(at, file)
                made.uploads.append(upload)
                _put(params, name, {"upload": upload.id})
        except BaseException:
            made.discard(at)
            raise
    try:
        yield made
    except BaseException:
        made.discard(at)
        raise


def _request_of(texts: MultiDict[str, str], files: MultiDict[str, FileStorage]) -> dict[str, Any]:
    other = [name or "" for name in texts if name != _REQUEST]  # a part may have none
    if other or len(texts.getlist(_REQUEST)) + len(files.getlist(_REQUEST)) > 1:
        wrong = other[0] if other else _REQUEST
        raise InputRejected(
            f"The form's part {wrong[:100]!r} is not expected: one part `request` holds JSON, every other is a file.",
            field=wrong[:100],
        )
    sent = files.poplist(_REQUEST)
    if sent:
        return read_object(sent[0].stream.read())
    return read_object(texts[_REQUEST].encode()) if _REQUEST in texts else {}


def _store(at: Services, file: FileStorage) -> Upload:
    announced = Announced(
        size_of(file.stream), name=tus.name_of(file.filename), media_type=tus.media_type_of(file.mimetype)
    )
    return at.uploads.whole(tenant_id(), announced, file.stream.read)


def size_of(file: IO[bytes]) -> int:
    """Return how many bytes a file has, and go to its beginning."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _put(params: Any, name: str, value: dict[str, str]) -> None:
    *parents, last = name.split(".")
    place = params
    for parent in parents:
        place = place.setdefault(parent, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last in place or not all((*parents, last)):
        raise InputRejected(
            f"The form's part {name[:100]!r} names no free place in params: use a path such as `va_data.insilicova`.",
            field=name[:100],
        )
    place[last] = value
