"""Sets of matrices in the ledger, on SQLite and PostgreSQL: kept once, found by name, nobody else's."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tasks.calibration import store
from tasks.calibration.importing import ImportRequest
from tasks.calibration.shelf import MatrixSet, find_set
from tasks.core.errors import Conflict, InputRejected, NotAllowed, NotFound
from tasks.core.ledger import Ledger, accepting, tenants
from tasks.core.ledger.tenants import Tenant
from tests.calibration.matrices import inventory
from tests.samples import a_job


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    """A prepared and empty ledger, on each database."""
    return either_ledger


@pytest.fixture
def alice(ledger: Ledger) -> Tenant:
    """A tenant."""
    return tenants.named(ledger, "alice")


def keep(
    ledger: Ledger, tenant: Tenant, *, name: str = "a", version: str | None = None, **options: object
) -> MatrixSet:
    found, _ = store.keep(ledger, tenant.id, inventory(**options), name=name, version=version, source="a.csv")
    return found


def titles(sets: Sequence[MatrixSet]) -> list[str]:
    return [one.title for one in sets]


def test_what_is_kept_comes_back(ledger: Ledger, alice: Tenant) -> None:
    """Number for number, samples only where they are asked for."""
    given = inventory()
    square = given.matrices[0].fixed
    given = replace(given, matrices=(replace(given.matrices[0], samples=(square, square)), *given.matrices[1:]))
    found, is_new = store.keep(ledger, alice.id, given, name="a", version=None, source="a.csv")
    assert is_new
    assert ("a@1", given.sha256, "a.csv", False) == (found.title, found.sha256, found.source, found.is_shared)
    assert (4, 4, 1) == (len(found.keys), found.with_prior, found.with_samples)
    assert given.matrices == tuple(store.matrices_of(ledger, found.id, with_samples=True))
    (one,) = store.matrices_of(ledger, found.id, age_group="neonate", algorithm="eava", country="Kenya")
    assert replace(given.matrices[0], samples=None) == one


def test_the_same_numbers_are_kept_once(ledger: Ledger, alice: Tenant) -> None:
    """Whatever they are called the second time."""
    first = keep(ledger, alice)
    again, is_new = store.keep(ledger, alice.id, inventory(), name="b", version="7", source="b.csv")
    assert (first, False) == (again, is_new)
    assert 1 == len(store.list_sets(ledger, alice.id))


def test_versions_count_up_where_none_is_given(ledger: Ledger, alice: Tenant) -> None:
    """The source's own goes before that, and one that was asked for before both."""
    keep(ledger, alice)
    keep(ledger, alice, own=21.0)
    keep(ledger, alice, own=22.0, version="2030-01")
    named = replace(inventory(own=23.0), version="20300101")
    store.keep(ledger, alice.id, named, name="a", version=None, source="")
    keep(ledger, alice, own=24.0, name="b")
    assert ["b@1", "a@20300101", "a@2030-01", "a@2", "a@1"] == titles(store.list_sets(ledger, alice.id))


def test_other_numbers_under_a_taken_name_are_a_conflict(ledger: Ledger, alice: Tenant) -> None:
    """What a version says never changes."""
    keep(ledger, alice, version="x")
    with pytest.raises(Conflict, match="a@x is there with other numbers"):
        keep(ledger, alice, version="x", own=21.0)


@pytest.mark.parametrize(
    ("name", "version"), [("", None), ("a b", None), ("a@1", None), ("a", "1/2"), ("a", "x" * 101)]
)
def test_names_must_be_plain(ledger: Ledger, alice: Tenant, name: str, version: str | None) -> None:
    """They stand in paths and in requests."""
    with pytest.raises(InputRejected, match="letters, digits"):
        keep(ledger, alice, name=name, version=version)


def test_sets_are_found_by_each_name(ledger: Ledger, alice: Tenant) -> None:
    """Id, hash, name and version; of several versions the newest."""
    old, new = keep(ledger, alice), keep(ledger, alice, own=21.0)
    sets = store.list_sets(ledger, alice.id)
    for reference in (old.id, old.sha256, "a@1"):
        assert old == find_set(sets, reference)
    for reference in (None, "a", "a@2", new.id):
        assert new == find_set(sets, reference)
    assert find_set(sets, "b") is None


def test_a_set_is_nobody_elses(ledger: Ledger, alice: Tenant) -> None:
    """But those of the system's tenant are everybody's, after one's own."""
    bob, system = tenants.named(ledger, "bob"), tenants.named(ledger, tenants.SYSTEM)
    keep(ledger, alice)
    assert [] == store.list_sets(ledger, bob.id)
    shared = keep(ledger, system, name="all", own=21.0)
    assert shared.is_shared
    assert ["all@1"] == titles(store.list_sets(ledger, bob.id))
    assert ["a@1", "all@1"] == titles(store.list_sets(ledger, alice.id))
    with pytest.raises(NotAllowed, match="everybody's"):
        store.remove(ledger, bob.id, shared)
    store.remove(ledger, system.id, shared)
    assert [] == store.list_sets(ledger, bob.id)


def test_a_deleted_set_is_gone_with_its_matrices(ledger: Ledger, alice: Tenant) -> None:
    """Deleting it again finds nothing; the same numbers can be imported anew."""
    found = keep(ledger, alice)
    store.remove(ledger, alice.id, found)
    assert [] == store.matrices_of(ledger, found.id)
    with pytest.raises(NotFound):
        store.remove(ledger, alice.id, found)
    assert keep(ledger, alice).id != found.id


def test_imports_at_the_same_moment_make_one_set(ledger: Ledger, alice: Tenant) -> None:
    """Whoever comes second gets the first one's."""
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: keep(ledger, alice), range(8)))
    assert 1 == len({one.id for one in found}) == len(store.list_sets(ledger, alice.id))
    assert 4 == len(store.matrices_of(ledger, found[0].id))


def test_a_jobs_import_belongs_to_its_tenant(ledger: Ledger, alice: Tenant) -> None:
    """The job's record says whose it is."""
    job = a_job(alice)
    accepting.accept(ledger, job, idempotency=None)
    answer = store.keep_for_job(ledger, job.id, inventory(), ImportRequest(name="r"), "R package vacalibration 2.2")
    assert (True, "r", "R package vacalibration 2.2") == (answer.created, answer.name, answer.source)
    assert ["r@1"] == titles(store.list_sets(ledger, alice.id))
    with pytest.raises(NotFound):
        store.keep_for_job(ledger, "none", inventory(), ImportRequest(), "")
