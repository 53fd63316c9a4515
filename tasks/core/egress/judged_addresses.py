"""Which addresses have been judged for a host and port, for how long they count, and for how long they may be met."""

import time
from collections.abc import Sequence
from ipaddress import ip_address

from tasks.core.egress.addresses import IPAddress

Place = tuple[str, int]
"""Host and port."""


class JudgedAddresses:
    """What look-ups have brought, each address of it judged; forgotten by and by.

    libcurl keeps one list of addresses for a host, that of the latest request. A request that has waited for a
    connection goes by that list, and no more by the one that it brought itself.
    """

    def __init__(self, *, counts_s: float, kept_s: float) -> None:
        """Make one without any.

        Args:
            counts_s: for so long a look-up stands for the next requests.
            kept_s: for so long a request may still come to connect to what was looked up.
        """
        self._counts_s = counts_s
        self._kept_s = kept_s
        # Both in the order of their times, so that what is old is found in front.
        self._latest: dict[Place, tuple[float, Sequence[str]]] = {}
        self._judged: dict[tuple[Place, IPAddress], float] = {}

    def current(self, place: Place) -> Sequence[str]:
        """Return what the latest look-up has brought, empty if there was none or it counts no longer."""
        at, addresses = self._latest.get(place, (0.0, ()))
        return addresses if addresses and time.monotonic() - at <= self._counts_s else ()

    def keep(self, place: Place, addresses: Sequence[str]) -> None:
        """Remember what a look-up has brought just now."""
        now = time.monotonic()
        self._forget(now)
        self._latest.pop(place, None)
        self._latest[place] = (now, addresses)
        for address in map(ip_address, addresses):
            self._judged.pop((place, address), None)
            self._judged[place, address] = now

    def holds(self, place: Place, address: IPAddress) -> bool:
        """Whether a request may connect to this address, because it has been judged of late."""
        at = self._judged.get((place, address))
        return at is not None and time.monotonic() - at <= self._kept_s

    def _forget(self, now: float) -> None:
        while self._latest and now - next(iter(self._latest.values()))[0] > self._counts_s:
            del self._latest[next(iter(self._latest))]
        while self._judged and now - next(iter(self._judged.values())) > self._kept_s:
            del self._judged[next(iter(self._judged))]
