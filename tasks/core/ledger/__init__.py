"""The ledger: the SQL tables that are the truth about jobs. Redis carries; the ledger decides.

``schema`` tables · ``database`` connections and transactions · ``transitions`` every change of a job's state ·
``queries`` what is read · ``fleet`` workers · ``tenants`` tenants and keys · ``upgrade``, ``migrations`` its changes.
"""

from tasks.core.ledger.database import Ledger

__all__ = ["Ledger"]
