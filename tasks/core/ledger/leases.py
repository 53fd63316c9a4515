"""Who leads, where several may run and one acts.

No two clocks are compared: the holder lets ``beat`` grow, and whoever wants the lease watches it by a clock of its own.
Every change is a compare-and-set on what its maker saw, so of two that want the same one gets it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from tasks.core.clock import now
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import leases

DISPATCHER = "dispatcher"
# Who holds a lease that was given back.
NOBODY = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """One row of ``leases``. ``term`` grows with each change of holder, ``beat`` while the holder lives."""

    name: str
    holder: str
    term: int
    beat: int
    beat_at: datetime

    @property
    def is_free(self) -> bool:
        """Whether its last holder gave it back."""
        return self.holder == NOBODY


def lease(ledger: Ledger, name: str) -> Lease | None:
    """Return the lease, or None when nobody ever held it."""
    with ledger.read() as connection:
        row = connection.execute(leases.select().where(leases.c.name == name)).one_or_none()
    return None if row is None else Lease(**row._mapping)


def take(ledger: Ledger, name: str, *, holder: str, seen: Lease | None) -> Lease | None:
    """Take the lease, if it still is as it was ``seen``, for a term of one's own. None: somebody was faster."""
    if seen is None:
        first = Lease(name, holder, term=1, beat=1, beat_at=now())
        try:
            with ledger.write() as connection:
                connection.execute(leases.insert().values(**_values(first)))
        except IntegrityError:
            return None
        return first
    taken = Lease(name, holder, term=seen.term + 1, beat=seen.beat + 1, beat_at=now())
    return taken if _replace(ledger, seen, taken) else None


def renew(ledger: Ledger, held: Lease) -> Lease | None:
    """Let the beat grow. None: somebody else has taken the lease."""
    renewed = Lease(held.name, held.holder, held.term, held.beat + 1, now())
    return renewed if _replace(ledger, held, renewed) else None


def release(ledger: Ledger, held: Lease) -> bool:
    """Give the lease back, so that the next one need not wait. False: it was not ours any more."""
    return _replace(ledger, held, Lease(held.name, NOBODY, held.term, held.beat + 1, now()))


def _replace(ledger: Ledger, seen: Lease, new: Lease) -> bool:
    same = (leases.c.name == seen.name) & (leases.c.holder == seen.holder) & (leases.c.term == seen.term)
    with ledger.write() as connection:
        changed = connection.execute(leases.update().where(same, leases.c.beat == seen.beat).values(**_values(new)))
        return changed.rowcount == 1


def _values(of: Lease) -> dict[str, object]:
    return {"name": of.name, "holder": of.holder, "term": of.term, "beat": of.beat, "beat_at": of.beat_at}
