"""How a client's events travel, and what was learnt of the way: SSE, WebSocket or polling."""

import time
from typing import Literal, TypeAlias

from client.limits import Limits

Transport: TypeAlias = Literal["sse", "websocket", "polling"]
Choice: TypeAlias = Literal["auto", "http", "sse", "websocket", "polling"]

_WAYS: dict[Choice, tuple[Transport, ...]] = {
    "auto": ("sse", "websocket", "polling"),
    "http": ("sse", "polling"),
    "sse": ("sse",),
    "websocket": ("websocket",),
    "polling": ("polling",),
}


class Mode:
    """What a client may use, and what got through last; its streams share it, in whatever thread they are.

    Args:
        choice: ``auto`` tries SSE, then WebSocket, then polling; ``http`` leaves out the WebSocket; any other is the
            one to use.
    """

    def __init__(self, choice: Choice, limits: Limits) -> None:
        if choice not in _WAYS:
            raise ValueError(f"mode {choice!r}: choose auto, http, sse, websocket or polling")
        self.choice = choice
        self._limits = limits
        self._found: tuple[Transport, float] | None = None

    @property
    def now(self) -> str:
        """What carries events: the transport that got through last, or the choice where none has been tried."""
        return self._found[0] if self._found else self.choice

    def order(self) -> tuple[Transport, ...]:
        """Return what to try, first things first: what got through within ``mode_s`` is asked again at once."""
        allowed = _WAYS[self.choice]
        found = self._found
        if found is None or time.monotonic() - found[1] > self._limits.mode_s:
            return allowed
        return (found[0], *(one for one in allowed if one != found[0]))

    def note(self, transport: Transport) -> None:
        """Remember what has got through, and since when: better ways are tried again after ``mode_s``."""
        found = self._found
        if found is None or found[0] != transport or time.monotonic() - found[1] > self._limits.mode_s:
            self._found = (transport, time.monotonic())
