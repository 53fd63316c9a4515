"""``maintenance.sweep`` and uploads: unused for a day they go, finished or not, unless a job needs them."""

import os
from collections.abc import Callable

import pytest

from tasks.core.ids import new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, accepting, tenants, uploads
from tasks.core.ledger.schema import uploads as table
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Upload
from tasks.core.uploads.store import Announced
from tasks.maintenance.contract import Freed, SweepResult
from tests.core.uploads.test_files import source
from tests.maintenance.test_sweep import age, ended
from tests.maintenance.test_sweep import clear as clear  # noqa: PLC0414  # fixtures of that module
from tests.maintenance.test_sweep import system as system  # noqa: PLC0414  # a fixture
from tests.samples import a_job, ago

DAY_S = 24 * 3600


def kept(kernel: Kernel, tenant: Tenant, *, days: float, sent: int = 10) -> Upload:
    """An upload of ten bytes, last used so many days ago."""
    store = kernel.uploads
    upload = store.create(tenant.id, Announced(10))
    upload, _ = store.append(tenant.id, upload.id, offset=0, source=source(b"x" * sent), length=sent)
    with kernel.ledger.write() as connection:
        connection.execute(table.update().where(table.c.id == upload.id).values(used_at=ago(days * DAY_S)))
    return upload


def left(kernel: Kernel, *made: Upload) -> list[bool]:
    rows = uploads.known_among(kernel.ledger, [one.id for one in made])
    folders = set(kernel.uploads.files.ids())
    assert rows == folders & {one.id for one in made}
    return [one.id in rows for one in made]


def test_unused_uploads_go_after_a_day(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """Rows and files, and what was sent of half an upload."""
    old, half, young = (
        kept(kernel, tenant, days=1.1),
        kept(kernel, tenant, days=2, sent=4),
        kept(kernel, tenant, days=0.9),
    )
    assert Freed(rows=2, files=2, size_bytes=20) == clear(dry_run=True).freed["uploads"]
    assert [True, True, True] == left(kernel, old, half, young)
    assert Freed(rows=2, files=2, size_bytes=14) == clear().freed["uploads"]
    assert [False, False, True] == left(kernel, old, half, young)
    assert Freed() == clear().freed["uploads"]


def test_upload_goes_with_the_last_job_that_needs_it(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """The same sweep that erases an old job frees what only it needed."""
    needed, freed = kept(kernel, tenant, days=50), kept(kernel, tenant, days=50)
    accepting.accept(kernel.ledger, a_job(tenant), uploads=[needed.id])
    done = ended(kernel, tenant, days_ago=0)
    with kernel.ledger.write() as connection:
        uploads.keep_for(connection, done.id, tenant_id=tenant.id, upload_ids=[freed.id])
        connection.execute(table.update().values(used_at=ago(50 * DAY_S)))
    clear()
    assert [True, True] == left(kernel, needed, freed)
    age(kernel, done, 31)
    clear()
    assert [True, False] == left(kernel, needed, freed)


def test_tenant_sweeps_its_own(
    kernel: Kernel, ledger: Ledger, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """Another's stay, whatever their age."""
    other = tenants.named(ledger, "other")
    mine, foreign = kept(kernel, tenant, days=2), kept(kernel, other, days=2)
    clear(by=tenant)
    assert [False, True] == left(kernel, mine, foreign)


@pytest.mark.parametrize(("days", "stays"), [(0.5, True), (1.5, False)])
def test_files_without_a_row_go_after_a_day(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult], days: float, stays: bool
) -> None:
    """Their process died between deleting the row and the files."""
    upload_id = new_id()
    with kernel.uploads.files.writing(upload_id) as writing:
        writing.append(source(b"x" * 7), at_most=7)
    then = ago(days * DAY_S).timestamp()
    os.utime(kernel.uploads.files._root / upload_id, (then, then))
    result = clear()
    assert ([upload_id] if stays else []) == list(kernel.uploads.files.ids())
    assert (
        Freed(rows=0 if stays else 1, files=0 if stays else 1, size_bytes=0 if stays else 7)
        == result.freed["lost_uploads"]
    )
