"""Who a worker process is: its name, its row in the ledger, and the marks that its children and theirs inherit."""

import os
import platform
import secrets
from collections.abc import Sequence
from pathlib import Path

from tasks.core.clock import now
from tasks.core.ledger import fleet
from tasks.core.matching import Offers
from tasks.core.spec import Queue
from tasks.core.version import VERSION
from workers.orphans import CHILD_MARK, WORKER_MARK


def take_identity(queues: Sequence[str], *, role: str | None = None) -> str:
    """Mark this process as a worker's parent and return its unique name, ``queue@host#boot-id``.

    Args:
        role: what stands before the host instead of the queues.
    """
    boot = secrets.token_hex(4)
    role = role or (queues[0] if len(queues) == 1 else "all" if len(queues) == len(Queue) else "-".join(queues))
    os.environ[WORKER_MARK] = f"{boot}:{os.getpid()}"
    # Spawned children are fresh interpreters: they must find us, and kinds beside the working directory, as we did.
    paths = [str(Path(__file__).parent.parent), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return f"{role}@{platform.node()}#{boot}"


def describe_worker(name: str, *, slots: int, capabilities: Sequence[str], offers: Offers) -> fleet.Worker:
    """Return this worker's row, as of its start; its ``queues`` are those from whose common lines it takes jobs."""
    return fleet.Worker(
        name=name,
        host=platform.node(),
        pid=os.getpid(),
        queues=[] if offers.is_restricted else list(offers.queues),
        slots=slots,
        capabilities=list(capabilities),
        version=VERSION,
        started_at=now(),
        beat=0,
        beat_at=now(),
        rss_bytes=0,
        state=fleet.WorkerState.STARTING,
        offers=offers.as_row(),
    )


def mark_child() -> None:
    """Make all that this child will start carry its mark."""
    boot = os.environ.get(WORKER_MARK, "").partition(":")[0]
    os.environ[CHILD_MARK] = f"{boot}:{os.getpid()}"
