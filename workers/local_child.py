"""A child of the local runner, ``python -m workers.local_child FD WORKER``: runs one job at a time until FD closes.

It runs the family's own Celery task, as a Celery worker's child would: same claim, same policy, same end. No Celery
worker and no broker has a part in that.
"""

import importlib
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from billiard.util import set_pdeathsig
from celery.exceptions import Ignore

from tasks.celery import app
from tasks.core.errors import AttemptEnded
from tasks.core.log import configure_logging
from tasks.core.settings import load_settings
from tasks.core.settling import cause_of, settle_for_child
from tasks.registry import FAMILIES
from workers.errand import Errand, Sign
from workers.identity import mark_child


def main(fd: int, worker: str) -> None:
    """Serve the runner at the other end of ``fd`` until it closes it."""
    # The kernel kills us with our parent, but not if that died before we asked for it.
    set_pdeathsig(signal.SIGKILL)
    os.set_inheritable(fd, False)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    mark_child()
    settings = load_settings()
    configure_logging(settings)
    for family in (*FAMILIES, *settings.extra_families):
        importlib.import_module(f"{family}.task")
    channel: Connection[bytes, bytes] = Connection(fd)
    try:
        channel.send_bytes(Sign.READY)
        while True:
            _run(Errand.from_bytes(channel.recv_bytes()), worker=worker)
            channel.send_bytes(Sign.DONE)
    except (EOFError, BrokenPipeError):
        pass
    finally:
        app.kernel.close()


def _run(errand: Errand, *, worker: str) -> None:
    task = app.tasks[errand.kind]
    task.push_request(id=errand.job_id, hostname=worker, carry=errand.carry)
    signal.signal(signal.SIGUSR1, _raise_soft_limit)
    try:
        task.run(errand.job_id)
    except (Ignore, AttemptEnded):
        pass  # the ledger knows
    except SoftTimeLimitExceeded as exc:
        cause, message = cause_of(exc, app.kernel.memory_kills)
        settle_for_child(app.kernel, errand.job_id, worker=worker, carry=errand.carry, cause=cause, message=message)
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        task.pop_request()


def _raise_soft_limit(*_: Any) -> None:
    raise SoftTimeLimitExceeded


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
