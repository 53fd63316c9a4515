"""The lease: of those who want it one gets it, and who lost it hears so."""

from concurrent.futures import ThreadPoolExecutor

from tasks.core.ledger import Ledger, leases
from tasks.core.ledger.leases import DISPATCHER, Lease


def taken(ledger: Ledger, holder: str = "first") -> Lease:
    lease = leases.take(ledger, DISPATCHER, holder=holder, seen=leases.lease(ledger, DISPATCHER))
    assert lease is not None
    return lease


def test_first_holder_begins_the_first_term(ledger: Ledger) -> None:
    """And the row says so."""
    assert leases.lease(ledger, DISPATCHER) is None
    lease = taken(ledger)
    assert lease == leases.lease(ledger, DISPATCHER)
    assert ("first", 1, False) == (lease.holder, lease.term, lease.is_free)


def test_only_one_of_many_gets_the_lease(ledger: Ledger) -> None:
    """Whether nobody ever held it, or all saw the same holder stand still."""
    for _ in range(2):
        seen = leases.lease(ledger, DISPATCHER)
        with ThreadPoolExecutor(4) as threads:
            got = list(threads.map(lambda n: leases.take(ledger, DISPATCHER, holder=f"d{n}", seen=seen), range(4)))  # noqa: B023  # called at once
        assert 1 == len([lease for lease in got if lease is not None])


def test_renewed_lease_cannot_be_taken_by_who_saw_it_before(ledger: Ledger) -> None:
    """The holder beat meanwhile, so it lives."""
    seen = taken(ledger)
    renewed = leases.renew(ledger, seen)
    assert renewed is not None
    assert renewed.beat == seen.beat + 1
    assert leases.take(ledger, DISPATCHER, holder="second", seen=seen) is None
    assert leases.lease(ledger, DISPATCHER) == renewed


def test_holder_whose_lease_was_taken_can_neither_renew_nor_release(ledger: Ledger) -> None:
    """A frozen leader that comes back changes nothing."""
    old = taken(ledger)
    new = taken(ledger, "second")
    assert new.term == old.term + 1
    assert (None, False) == (leases.renew(ledger, old), leases.release(ledger, old))
    assert leases.lease(ledger, DISPATCHER) == new


def test_released_lease_is_free_and_keeps_its_term(ledger: Ledger) -> None:
    """The next holder's term is a new one all the same."""
    old = taken(ledger)
    assert leases.release(ledger, old)
    free = leases.lease(ledger, DISPATCHER)
    assert free is not None
    assert free.is_free
    assert taken(ledger, "second").term == old.term + 1
