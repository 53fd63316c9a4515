"""Uploads as tenants see them: rows and bytes agree, whoever died in between."""

import hashlib
from pathlib import Path

import pytest

from tasks.core.errors import (
    ChecksumMismatch,
    InputRejected,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    TooLarge,
    UploadLocked,
)
from tasks.core.ledger import Ledger, accepting, uploads
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Upload
from tasks.core.uploads.files import Source
from tasks.core.uploads.store import Announced, UploadLimits, Uploads
from tests.core.uploads.test_files import source
from tests.samples import a_job

CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(ledger: Ledger, tmp_path: Path) -> Uploads:
    return Uploads(ledger, tmp_path, UploadLimits(upload_bytes=100, tenant_bytes=150))


def begin(store: Uploads, tenant: Tenant, **announced: object) -> Upload:
    return store.create(tenant.id, Announced(**({"size_bytes": len(CONTENT)} | announced)))  # type: ignore[arg-type]


def piece(store: Uploads, upload: Upload, offset: int, data: bytes) -> tuple[Upload, int]:
    return store.append(upload.tenant_id, upload.id, offset=offset, source=source(data), length=len(data))


def read(store: Uploads, upload: Upload) -> bytes:
    with store.open(upload.tenant_id, upload.id) as file:
        return file.read()


def test_last_piece_completes_it(store: Uploads, tenant: Tenant) -> None:
    """With the digest of what is there, announced or not."""
    upload = begin(store, tenant)
    assert (False, 4) == ((half := piece(store, upload, 0, CONTENT[:4]))[0].is_complete, half[1])
    with pytest.raises(NotFound, match="not complete"):
        store.open(tenant.id, upload.id)
    done, reached = piece(store, upload, 4, CONTENT[4:])
    assert (True, SHA256, 10) == (done.is_complete, done.sha256, reached)
    assert CONTENT == read(store, done)
    assert (done, 10) == store.state(tenant.id, upload.id)
    assert (done, 10) == piece(store, done, 10, b"")


def test_offset_must_be_where_it_ends(store: Uploads, tenant: Tenant) -> None:
    """Before and behind are refused alike, and nothing is written."""
    upload = begin(store, tenant)
    piece(store, upload, 0, CONTENT[:4])
    for offset in (0, 3, 5):
        with pytest.raises(OffsetMismatch, match="has 4 bytes"):
            piece(store, upload, offset, CONTENT[offset:])
    with pytest.raises(TooLarge):
        piece(store, upload, 4, CONTENT[4:] + b"!")
    with pytest.raises(TooLarge):
        store.append(tenant.id, upload.id, offset=4, source=source(CONTENT[4:] + b"!"))
    assert 4 == store.offset(upload)


def test_body_of_unknown_length_is_taken_to_its_end(store: Uploads, tenant: Tenant) -> None:
    """Chunked transfer says no length."""
    upload = begin(store, tenant)
    done, _ = store.append(tenant.id, upload.id, offset=0, source=source(CONTENT, step=3))
    assert done.is_complete
    with pytest.raises(TooLarge):
        store.append(tenant.id, upload.id, offset=10, source=source(b"!"))
    assert CONTENT == read(store, done)


def test_empty_file_is_complete_at_once(store: Uploads, tenant: Tenant) -> None:
    """There is no piece to send."""
    upload = begin(store, tenant, size_bytes=0)
    assert (True, hashlib.sha256(b"").hexdigest()) == (upload.is_complete, upload.sha256)
    assert b"" == read(store, upload)


def test_what_is_not_as_announced_begins_again(store: Uploads, tenant: Tenant) -> None:
    """The row stays, so that the client can go on."""
    upload = begin(store, tenant, sha256=SHA256)
    with pytest.raises(ChecksumMismatch):
        piece(store, upload, 0, CONTENT[::-1])
    assert (upload.is_complete, 0) == (False, store.state(tenant.id, upload.id)[1])
    assert piece(store, upload, 0, CONTENT)[0].is_complete


@pytest.mark.parametrize("died", ["before the rename", "before the row"])
def test_whole_upload_of_a_process_that_died_is_finished(store: Uploads, tenant: Tenant, died: str) -> None:
    """All bytes are there and nobody said so: the next look says so, and never before it has checked."""
    upload = begin(store, tenant, sha256=SHA256)
    with store.files.writing(upload.id) as writing:
        writing.append(source(CONTENT), at_most=10)
        if died == "before the row":
            writing.finish(announced=SHA256)
    with store.files.writing(upload.id), pytest.raises(UploadLocked):
        store.state(tenant.id, upload.id)
    done, reached = store.state(tenant.id, upload.id)
    assert (True, 10, CONTENT) == (done.is_complete, reached, read(store, done))


def test_file_in_one_piece_is_all_or_nothing(store: Uploads, tenant: Tenant) -> None:
    """What breaks off, or is wrong, leaves neither row nor file."""
    done = store.whole(tenant.id, Announced(10, sha256=SHA256), source(CONTENT))
    assert (CONTENT, True) == (read(store, done), done.is_complete)
    cases: list[tuple[Source, type[Exception]]] = [
        (source(CONTENT[:9]), InputRejected),
        (source(CONTENT[::-1]), ChecksumMismatch),
    ]
    for sent, error in cases:
        with pytest.raises(error):
            store.whole(tenant.id, Announced(10, sha256=SHA256), sent)
    assert [done.id] == list(store.files.ids())
    assert 10 == store.kept_bytes(tenant.id)


def test_limits_are_of_one_and_of_all(store: Uploads, tenant: Tenant) -> None:
    """An unfinished one counts as what it announced."""
    with pytest.raises(TooLarge, match="101 bytes are over the limit of one upload, 100"):
        begin(store, tenant, size_bytes=101)
    begin(store, tenant, size_bytes=100)
    with pytest.raises(QuotaExceeded):
        begin(store, tenant, size_bytes=51)


def test_removed_upload_is_gone(store: Uploads, tenant: Tenant) -> None:
    """Row and files; not while somebody sends it."""
    upload = begin(store, tenant)
    piece(store, upload, 0, CONTENT[:4])
    with store.files.writing(upload.id), pytest.raises(UploadLocked):
        store.remove(tenant.id, upload.id)
    store.remove(tenant.id, upload.id)
    assert [] == list(store.files.ids())
    for act in (store.remove, store.state, store.open):
        with pytest.raises(NotFound):
            act(tenant.id, upload.id)
    assert [] == list(store.files.ids())


def test_upload_that_goes_while_it_comes_is_not_found(store: Uploads, ledger: Ledger, tenant: Tenant) -> None:
    """The sweep takes no lock; what it took while a piece came leaves no file behind."""
    upload = begin(store, tenant)

    def swept(size: int) -> bytes:
        if not uploads.known_among(ledger, [upload.id]):
            return b""
        uploads.delete(ledger, upload.id, tenant_id=tenant.id)
        return CONTENT

    with pytest.raises(NotFound):
        store.append(tenant.id, upload.id, offset=0, source=swept, length=10)
    assert [] == list(store.files.ids())


def test_asking_for_a_digest_counts_as_using(store: Uploads, ledger: Ledger, tenant: Tenant) -> None:
    """Who was told that a content is there has a day to submit."""
    from tasks.core.ledger.schema import uploads as table
    from tests.samples import ago

    done = store.whole(tenant.id, Announced(10), source(CONTENT))
    with ledger.write() as connection:
        connection.execute(table.update().values(used_at=ago(3600)))
    listed = store.listing(tenant.id, sha256=None, complete=True, before=None, limit=5)
    assert listed[0].used_at < ago(3000)
    (found,) = store.listing(tenant.id, sha256=SHA256, complete=True, before=None, limit=5)
    assert (done.id, True) == (found.id, found.used_at > ago(60))


def test_lost_content_of_an_accepted_job_is_told(store: Uploads, ledger: Ledger, tenant: Tenant) -> None:
    """The storage was tampered with: no half answer."""
    done = store.whole(tenant.id, Announced(10), source(CONTENT))
    accepting.accept(ledger, a_job(tenant), uploads=[done.id])
    store.files.erase(done.id)
    with pytest.raises(NotFound, match="gone from the storage"):
        store.open(tenant.id, done.id)
