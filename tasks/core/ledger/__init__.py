"""The ledger: the SQL tables that are the truth about jobs. Redis carries; the ledger decides.

``schema`` tables · ``database`` connections and transactions · ``accepting`` a request becomes a row · ``carrying``
what goes into the broker · ``transitions`` every change of a job's state · ``state_events`` their events · ``queries``
what is read · ``rows`` rows as records · ``fleet`` workers · ``tenants`` tenants and keys · ``upgrade``, ``migrations``
changes of the tables.
"""

from tasks.core.ledger.database import Ledger

__all__ = ["Ledger"]
