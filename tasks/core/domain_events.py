"""Domain events: what a job tells its tenant that it has brought about, such as ``site.crawled``.

An engine says it with ``job.emit``. It is written to the ledger with the job's successful end, so it is told once or,
if the attempt fails or is overtaken, not at all.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.core.clock import rfc3339
from tasks.core.errors import InputRejected
from tasks.core.storable import storable, storable_data

JOB_DEAD = "job.dead"
"""The kernel's own: a job has failed for good, its attempts used up."""
FOLLOW_UP_FAILED = "job.follow_up_failed"
"""The kernel's own: what was to follow a job could not be started."""

BATCH_PROGRESSED = "batch.progressed"
"""The kernel's own: some jobs of a batch have begun or ended."""
BATCH_ENDED = "batch.ended"
"""The kernel's own: every job of a batch has ended."""

MOST_PER_JOB = 100
MOST_BYTES = 16 * 1024
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,48}\.[a-z][a-z0-9_]{0,48}")
# Only the kernel speaks of jobs, and of batches of them.
_RESERVED = ("job.", "batch.")


@dataclass(frozen=True, slots=True)
class Emission:
    """What an engine emitted: a type, ``noun.verb``, and its data."""

    type: str
    data: dict[str, Any]


@dataclass(slots=True)
class Emissions:
    """What one attempt has emitted so far; it counts once the attempt succeeds."""

    emitted: list[Emission] = field(default_factory=list)

    def add(self, type_: str, data: dict[str, Any]) -> None:
        """Keep one event.

        Raises:
            InputRejected: the type is no ``noun.verb`` or one of the kernel's; the data is no JSON, or too large; the
                attempt has emitted too many.
        """
        if not _TYPE.fullmatch(type_) or type_.startswith(_RESERVED):
            raise InputRejected(
                f"{type_!r} is no type for an event: use noun.verb in lower case, such as site.crawled,"
                " but not job.* or batch.*.",
                field="type",
            )
        try:
            text = json.dumps(data, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise InputRejected(f"The data of {type_} is not JSON: {exc}.", field="data") from exc
        if len(text) > MOST_BYTES:
            raise InputRejected(
                f"The data of {type_} is {len(text)} bytes, over {MOST_BYTES}: save an artifact and emit its name.",
                field="data",
            )
        if len(self.emitted) >= MOST_PER_JOB:
            raise InputRejected(f"A job emits at most {MOST_PER_JOB} events: emit one for many.", field="type")
        # As it was now, whatever the engine does to the object later.
        self.emitted.append(Emission(type_, storable_data(json.loads(text))))


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """One event as its tenant reads it. ``seq`` grows over all tenants, so a tenant sees some of the numbers."""

    seq: int
    id: str
    tenant_id: str
    type: str
    job_id: str | None
    at: datetime
    data: dict[str, Any]

    def to_json(self) -> str:
        """Return the event in its wire form; its ``id`` is the cursor of every reader."""
        wire = {
            "id": str(self.seq),
            "seq": self.seq,
            "at": rfc3339(self.at),
            "type": self.type,
            "job_id": self.job_id,
            "data": self.data,
        }
        return storable(json.dumps(wire, separators=(",", ":"), ensure_ascii=False))


class EntryRefused(Exception):
    """Redis answered, and does not take this event."""
