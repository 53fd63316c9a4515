"""Who may use the proxy, how much, and what came of it."""

import asyncio
import base64
import binascii
import secrets
from collections import Counter
from collections.abc import Callable, Sequence

# A page can ask for endless refused addresses; this many are told apart, and the rest only counted.
_MAX_REFUSED_NAMES = 100
_OTHERS = "others"


class BudgetSpent(Exception):
    """The pass has carried all the bytes it may."""


class Pass:
    """One job's right to use the proxy: valid from ``Passes.issue`` until ``Passes.withdraw``.

    Attributes:
        bytes_carried: both directions, over all connections.
        connections: the tasks that serve it.
        on_spent: called once, when the bytes are used up.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.user = secrets.token_hex(8)
        self.password = secrets.token_hex(16)
        self.bytes_carried = 0
        self.connections: set[asyncio.Task[None]] = set()
        self.on_spent: Callable[[], None] = lambda: None
        self._max_bytes = max_bytes
        self._refused: Counter[str] = Counter()

    @property
    def refused(self) -> dict[str, int]:
        """How often each ``host:port`` was refused; never why, which only the operator's log says."""
        return dict(self._refused)

    @property
    def is_spent(self) -> bool:
        """Whether the bytes are used up; nothing is carried any more then."""
        return self.bytes_carried > self._max_bytes

    def note_refusal(self, name: str) -> None:
        """Remember that ``name`` was refused."""
        is_known = name in self._refused or len(self._refused) < _MAX_REFUSED_NAMES
        self._refused[name if is_known else _OTHERS] += 1

    def carry(self, size_bytes: int) -> None:
        """Count ``size_bytes`` more, in either direction.

        Raises:
            BudgetSpent: that is too much.
        """
        was_spent = self.is_spent
        self.bytes_carried += size_bytes
        if self.is_spent:
            if not was_spent:
                self.on_spent()
            raise BudgetSpent


class Passes:
    """Every valid pass."""

    def __init__(self) -> None:
        self._by_user: dict[str, Pass] = {}

    def issue(self, *, max_bytes: int) -> Pass:
        """Return a new pass for ``max_bytes``, both directions together."""
        issued = Pass(max_bytes=max_bytes)
        self._by_user[issued.user] = issued
        return issued

    def withdraw(self, withdrawn: Pass) -> None:
        """End the pass and the connections made with it."""
        self._by_user.pop(withdrawn.user, None)
        for connection in withdrawn.connections:
            connection.cancel()

    def find(self, credentials: Sequence[bytes]) -> Pass | None:
        """Return the pass that the ``Proxy-Authorization`` values prove, or None."""
        if len(credentials) != 1:
            return None
        user, _, password = _decoded(credentials[0]).partition(":")
        found = self._by_user.get(user)
        if found is None or not secrets.compare_digest(found.password.encode(), password.encode()):
            return None
        return found


def _decoded(credentials: bytes) -> str:
    scheme, _, encoded = credentials.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
