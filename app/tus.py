"""The headers of resumable uploads: tus resumable upload protocol 1.0.0 (2016-03-25), https://tus.io/protocols/resumable-upload.

Served: the core protocol and the extensions in ``EXTENSIONS``. How a section is kept stands where it is kept.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import new

from flask import Response, request
from werkzeug.http import http_date

from app.services import Services
from tasks.core.errors import InputRejected
from tasks.core.records import Upload
from tasks.core.uploads.files import Checksum
from tasks.core.uploads.store import Announced

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
# "The Server MUST support at least the SHA1 checksum algorithm" (Checksum, Headers).
ALGORITHMS = ("sha1", "sha256")
PIECE = "application/offset+octet-stream"

_NUMBER = re.compile(r"[0-9]{1,18}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,39}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_METADATA = 4096
_LONGEST_NAME = 255


def speaks_tus() -> bool:
    """Tell whether this request is one of the protocol's."""
    return any(name in request.headers for name in ("Tus-Resumable", "Upload-Length", "Upload-Defer-Length"))


def check_version(*, required: bool = True) -> None:
    """Refuse a request of another version (Core Protocol, Tus-Resumable).

    Raises:
        InputRejected: 412; the answer names the versions there are.
    """
    sent = request.headers.get("Tus-Resumable")
    if sent != VERSION and (required or sent is not None):
        raise InputRejected(
            f"Tus-Resumable is {(sent or 'missing')[:20]!r}: send {VERSION}.", code="precondition_failed"
        )


def number(name: str) -> int:
    """Return a header that is a whole number of bytes.

    Raises:
        InputRejected: 400; it is missing, or no such number.
    """
    sent = request.headers.get(name, "")
    if not _NUMBER.fullmatch(sent):
        raise InputRejected(f"{name} is {sent[:40]!r}: send a whole number of bytes.", field=name, code="malformed")
    return int(sent)


def checksum() -> Checksum | None:
    """Return what the body must have (extension Checksum).

    Raises:
        InputRejected: 400; the algorithm is not among ``ALGORITHMS``, or the digest is none.
    """
    sent = request.headers.get("Upload-Checksum")
    if sent is None:
        return None
    algorithm, _, encoded = sent.partition(" ")
    if algorithm not in ALGORITHMS:
        raise _malformed("Upload-Checksum", f"knows {' and '.join(ALGORITHMS)}, not {algorithm[:40]!r}")
    digest = _decoded(encoded, header="Upload-Checksum")
    if len(digest) != new(algorithm, usedforsecurity=False).digest_size:
        raise _malformed("Upload-Checksum", f"has {len(digest)} bytes after {algorithm}: send the whole digest")
    return Checksum(algorithm, digest)


def announced(size_bytes: int) -> Announced:
    """Read ``Upload-Metadata`` (extension Creation): of its keys, ``filename``, ``filetype`` and ``sha256`` are known.

    Raises:
        InputRejected: 400; it is not pairs of a key and base64, or too long.
    """
    sent = request.headers.get("Upload-Metadata", "")
    if len(sent) > _LONGEST_METADATA:
        raise _malformed("Upload-Metadata", f"has over {_LONGEST_METADATA} characters")
    values = _metadata(sent)
    return Announced(
        size_bytes,
        name=name_of(values.get("filename")),
        media_type=media_type_of(values.get("filetype")),
        sha256=sha256_of(values.get("sha256")),
        metadata=sent,
    )


def _metadata(sent: str) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for pair in filter(None, (part.strip(" ") for part in sent.split(","))):
        key, _, encoded = pair.partition(" ")
        if key in values or not key.isascii():
            raise _malformed("Upload-Metadata", f"names {key[:40]!r} twice, or not in ASCII")
        values[key] = _decoded(encoded, header="Upload-Metadata").decode("utf-8", "replace")
    return values


def name_of(sent: str | None) -> str | None:
    """Return a file's name as it is kept: without folders and control characters."""
    name = _CONTROL.sub("", (sent or "").replace("\\", "/").rpartition("/")[2]).strip()
    return name[:_LONGEST_NAME] or None


def media_type_of(sent: str | None) -> str:
    """Return a media type as it is kept: without parameters, and the one of any bytes where none was said."""
    media_type = (sent or "").partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"


def sha256_of(sent: str | None) -> str | None:
    """Return an announced SHA-256.

    Raises:
        InputRejected: 400; it is not 64 hexadecimal digits.
    """
    if not sent:
        return None
    if not _SHA256.fullmatch(sent.lower()):
        raise _malformed("sha256", f"is {sent[:70]!r}: send 64 hexadecimal digits")
    return sent.lower()


def described(response: Response, at: Services, upload: Upload, offset: int) -> Response:
    """Say in ``response`` how far the upload is, and when it goes (extension Expiration)."""
    response.headers["Upload-Offset"] = str(offset)
    response.headers["Upload-Length"] = str(upload.size_bytes)
    if upload.metadata:
        response.headers["Upload-Metadata"] = upload.metadata
    if not upload.is_complete:
        response.headers["Upload-Expires"] = http_date(upload.used_at + timedelta(seconds=at.settings.upload_keep_s))
    return response


def add_headers(response: Response, at: Services) -> Response:
    """Say which versions there are (Core Protocol, OPTIONS), or which one this is."""
    if request.method == "OPTIONS":
        response.headers["Tus-Version"] = VERSION
        response.headers["Tus-Extension"] = EXTENSIONS
        response.headers["Tus-Max-Size"] = str(at.settings.upload_limit_bytes)
        response.headers["Tus-Checksum-Algorithm"] = ",".join(ALGORITHMS)
        response.status_code = 204
        return response
    response.headers["Tus-Resumable"] = VERSION
    if response.status_code == 412:
        response.headers["Tus-Version"] = VERSION
    return response


def _decoded(encoded: str, *, header: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _malformed(header, f"holds {encoded[:40]!r}, which is not base64") from exc


def _malformed(header: str, problem: str) -> InputRejected:
    return InputRejected(f"{header} {problem}.", field=header, code="malformed")
