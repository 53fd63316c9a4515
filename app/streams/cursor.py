"""The one cursor of SSE, WebSocket and ``?after=``: ``<epoch>-<seq>``, or ``0`` for the oldest kept entry."""

import re
from dataclasses import dataclass
from typing import Self

from tasks.core.errors import InputRejected

CURSOR_PATTERN = "^(0|[0-9]{1,15}-[0-9]{1,15})?$"
"""What a client may send, as a schema says it; empty is as if none was sent."""

_FORM = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one job's events.

    Epoch 0 is no stream's: ``0-<n>`` marks what was made from the ledger alone, as of the job's version ``n``.
    """

    epoch: int
    seq: int

    @classmethod
    def of(cls, entry_id: str) -> Self:
        """Read an entry's id."""
        epoch, _, seq = entry_id.partition("-")
        return cls(int(epoch), int(seq))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @property
    def is_streamed(self) -> bool:
        """Whether it names a place in a Redis stream."""
        return self.epoch > 0

    def before(self) -> "Cursor":
        """Return the place from which this entry comes next."""
        return Cursor(self.epoch, self.seq - 1)

    def is_followed_by(self, other: "Cursor") -> bool:
        """Whether no entry lies between; before a stream is born, its first entry follows."""
        return other.seq == self.seq + 1 and (other.epoch == self.epoch or self == NOWHERE)


NOWHERE = Cursor(0, 0)
"""Before the first entry of a stream that is not born yet."""

OLDEST = Cursor(-1, 0)
"""What a client means by ``0``."""


def parse_cursor(text: str | None, *, field: str) -> Cursor | None:
    """Return the cursor that a client sent; None when it sent none.

    Raises:
        InputRejected: it is not one of ours.
    """
    if not text:
        return None
    if text == "0":
        return OLDEST
    match = _FORM.fullmatch(text)
    if match is None:
        raise InputRejected(
            f"{field} {text[:40]!r} is no event id: send one that a stream gave out, or 0.", field=field
        )
    return Cursor(int(match[1]), int(match[2]))
