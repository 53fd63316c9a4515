"""What the local runner and its children say to each other."""

import json
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Self


class Sign(bytes, Enum):
    """What a child says."""

    READY = b"ready"
    """It has started and waits for its first job."""
    DONE = b"done"
    """The job's attempt has ended, one way or another; the ledger knows how."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A job for a child to claim at this carry and to run."""

    job_id: str
    kind: str
    carry: int

    def to_bytes(self) -> bytes:
        """Return the form for the wire."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read what ``to_bytes`` wrote."""
        return cls(**json.loads(raw))
