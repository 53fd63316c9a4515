"""Whether a tenant has been told of something since it was asked last: for what this process keeps in memory."""

from collections import OrderedDict
from threading import Lock

from app.streams.tenant_hub import TenantHub, TenantViewer
from tasks.core.ledger import Ledger
from tasks.core.ledger.outbox import Wanted

# Tenants that are listened for at a time. Whoever was left out counts as told.
_MOST = 500


class TenantNews:
    """Listens for domain events of one type, wherever they were emitted. For many threads."""

    def __init__(self, hub: TenantHub, ledger: Ledger, type_: str) -> None:
        self._hub = hub
        self._ledger = ledger
        self._wanted = Wanted(types=(type_,))
        self._lock = Lock()
        self._viewers: OrderedDict[str, TenantViewer] = OrderedDict()

    def came(self, tenant_id: str) -> bool:
        """Tell whether there was an event since the last call, or this is the first.

        Raises:
            LedgerUnavailable: nobody knows.
        """
        with self._lock:
            viewer = self._viewers.get(tenant_id)
            if viewer is None:
                self._viewers[tenant_id] = self._hub.view(tenant_id, self._wanted, after=None)
                while len(self._viewers) > _MOST:
                    self._viewers.popitem(last=False)[1].close()
                return True
            self._viewers.move_to_end(tenant_id)
            viewer.wait(0)
            return bool(viewer.take())

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            while self._viewers:
                self._viewers.popitem()[1].close()
