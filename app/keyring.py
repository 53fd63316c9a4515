"""Whose key this is, remembered for a moment so that most requests cost no read of the ledger."""

import time
from collections.abc import Callable
from threading import Lock

from tasks.core.ledger import Ledger, tenants
from tasks.core.ledger.tenants import Tenant, digest

# A revoked key works for at most this long.
_TTL_S = 2.0
_MOST_KEYS = 10_000


class Keyring:
    """Looks keys up by their digest; never keeps a key itself."""

    def __init__(self, ledger: Ledger, *, ttl_s: float = _TTL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, tuple[Tenant, float]] = {}

    def tenant_of(self, key: str) -> Tenant | None:
        """Return the tenant that the key belongs to; None when no live key is like this."""
        name = digest(key)
        known = self._known.get(name)
        if known is not None and self._clock() < known[1]:
            return known[0]
        tenant = tenants.tenant_of(self._ledger, key)
        with self._lock:
            if len(self._known) >= _MOST_KEYS:
                self._known.clear()
            if tenant is None:
                self._known.pop(name, None)
            else:
                self._known[name] = (tenant, self._clock() + self._ttl_s)
        return tenant
