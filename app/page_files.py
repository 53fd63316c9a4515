"""A crawl's pages, given as what the client asks for."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from flask import Response, request
from werkzeug.wsgi import wrap_file

from tasks.core.records import ArtifactRecord
from tasks.crawling.contract import KIND, PAGE_KIND, PAGES_NAME
from tasks.crawling.page_files import MEDIA_TYPES, SUFFIXES, PagesFormat, pages_in, write_database, zipped

_FORMATS = {media_type: form for form, media_type in MEDIA_TYPES.items()}


def are_pages(kind: str, name: str) -> bool:
    """Tell whether an artifact is the pages of a crawl, which are given in several formats."""
    return name == PAGES_NAME and kind in {KIND, PAGE_KIND}


def format_wanted(asked: str | None) -> PagesFormat:
    """Return the format that was asked for by name, else the one that ``Accept`` likes best, else the lines."""
    if asked is not None:
        return PagesFormat(asked)
    best = request.accept_mimetypes.best_match(list(_FORMATS), default=MEDIA_TYPES[PagesFormat.JSONL])
    return _FORMATS[best]


def pages_answer(path: Path, artifact: ArtifactRecord, form: PagesFormat) -> Response:
    """Answer with the pages of ``path`` in another format, streamed; a part of it cannot be asked for."""
    etag = f"{artifact.sha256}-{form}"
    if etag in request.if_none_match:
        response = Response(status=304)
    elif request.method == "HEAD":
        response = Response(mimetype=MEDIA_TYPES[form])
    elif form is PagesFormat.MARKDOWN:
        response = Response(_zip_of(path, artifact), mimetype=MEDIA_TYPES[form])
    else:
        response = _database_of(path)
    response.set_etag(etag)
    name = Path(PAGES_NAME).with_suffix(SUFFIXES[form]).name
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


def _zip_of(path: Path, artifact: ArtifactRecord) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from zipped(pages_in(lines), at=artifact.created_at)


def _database_of(path: Path) -> Response:
    file = _unnamed_database(path)
    size_bytes = file.seek(0, 2)
    file.seek(0)
    response = Response(
        wrap_file(request.environ, file), mimetype=MEDIA_TYPES[PagesFormat.SQLITE], direct_passthrough=True
    )
    response.content_length = size_bytes
    return response


def _unnamed_database(path: Path) -> BinaryIO:
    """Return the database as a file that is gone once it is closed; SQLite writes anywhere, so it is made first."""
    with tempfile.TemporaryDirectory(prefix="switchyard-pages-") as folder, path.open("rb") as lines:
        target = Path(folder) / "pages.sqlite"
        write_database(pages_in(lines), target)
        return target.open("rb")
