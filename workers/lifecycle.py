"""What makes ``celery -A tasks worker -Q crawler`` a full citizen: loaded by Celery in workers, through ``imports``.

``celeryd_init`` (before anything runs): profile, unique name, refusals. A bootstep in the parent: the beat.
``worker_process_init`` (in each child): its own process group and mark.
"""

import os
import platform
import secrets
import sys
from pathlib import Path
from typing import Any

import structlog
from celery import bootsteps, signals
from celery.worker import state as worker_state

from tasks.celery import app
from tasks.core.clock import now
from tasks.core.errors import AppError, LedgerUnavailable
from tasks.core.ledger import fleet
from tasks.core.log import configure_logging
from tasks.core.settings import load_settings
from tasks.core.spec import Queue
from tasks.core.version import VERSION
from workers.beat import Beat
from workers.monitoring import BatchEventsStep
from workers.orphans import CHILD_MARK, WORKER_MARK
from workers.preflight import find_capabilities
from workers.profiles import strictest
from workers.refusals import unknown_queues, unsafe_options, unsafe_redis, unsafe_settings

log = structlog.get_logger()

_EXIT_TRY_AGAIN = 1
_EXIT_REFUSED = 2


@signals.setup_logging.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _set_up_logging(**_: Any) -> None:
    configure_logging(load_settings())


@signals.celeryd_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _prepare(instance: Any, conf: Any, options: dict[str, Any], **_: Any) -> None:
    """Refuse what is unsafe; give the worker its profile and its name."""
    queues = _queues_asked_for(options)
    reasons = unsafe_settings(conf) + unknown_queues(queues)
    reasons += unsafe_options(options, options.get("pool_cls") or options.get("pool") or conf.worker_pool)
    reasons += unsafe_redis(conf.broker_url)
    try:
        app.kernel  # noqa: B018  # opens the ledger, migrating it where that is allowed
    except LedgerUnavailable as exc:
        sys.stderr.write(f"This worker does not start yet: {exc.code}: {exc.message}\n")
        sys.exit(_EXIT_TRY_AGAIN)
    except AppError as exc:
        reasons.append(f"{exc.code}: {exc.message}")
    if reasons:
        sys.stderr.write("This worker does not start:\n" + "".join(f"- {reason}\n" for reason in reasons))
        sys.exit(_EXIT_REFUSED)
    profile = strictest(queues)
    conf.worker_concurrency = profile.concurrency
    conf.worker_max_tasks_per_child = profile.max_jobs_per_child or None
    conf.worker_max_memory_per_child = profile.max_memory_mib * 1024
    boot = secrets.token_hex(4)
    role = queues[0] if len(queues) == 1 else "all" if len(queues) == len(Queue) else "-".join(queues)
    instance.hostname = f"{role}@{platform.node()}#{boot}"
    os.environ[WORKER_MARK] = f"{boot}:{os.getpid()}"
    # Spawned children are fresh interpreters: they must find us, and kinds beside the working directory, as we did.
    paths = [str(Path(__file__).parent.parent), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))


def _queues_asked_for(options: dict[str, Any]) -> list[str]:
    asked = options.get("queues") or ()
    names = asked.split(",") if isinstance(asked, str) else list(asked)
    excluded = options.get("exclude_queues") or ()
    excluded = excluded.split(",") if isinstance(excluded, str) else list(excluded)
    return [name.strip() for name in names] or [queue.value for queue in Queue if queue.value not in excluded]


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _mark_child(**_: Any) -> None:
    """Make this child the leader of its own group, and mark all that it will start."""
    os.setpgid(0, 0)
    boot = os.environ.get(WORKER_MARK, "").partition(":")[0]
    os.environ[CHILD_MARK] = f"{boot}:{os.getpid()}"


class BeatStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Begins the beat once the pool stands; it beats on until the whole worker has stopped."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Register the worker and begin beating."""
        pool = parent.pool._pool  # the pool of processes under Celery's own; gone from ``parent`` once it has stopped
        beat = Beat(
            parent.app.kernel,
            _describe(parent),
            is_stopping=_is_stopping,
            children=lambda: [child.pid for child in pool._pool],
        )
        beat.start()

        def listening(**_: Any) -> None:
            beat.listening()

        def draining(**_: Any) -> None:
            beat.drain()

        def stop_beating(**_: Any) -> None:
            beat.stop()

        # Celery stops steps in reverse order, this one before the pool, and jobs still run then: hence the signal.
        signals.worker_ready.connect(listening, weak=False)
        signals.worker_shutting_down.connect(draining, weak=False)
        signals.worker_shutdown.connect(stop_beating, weak=False)

    def stop(self, parent: Any) -> None:
        """Do nothing: see ``start``."""


def _is_stopping() -> bool:
    return bool(worker_state.should_stop is not None or worker_state.should_terminate is not None)


def _describe(parent: Any) -> fleet.Worker:
    return fleet.Worker(
        name=parent.hostname,
        host=platform.node(),
        pid=os.getpid(),
        queues=sorted(str(name) for name in parent.app.amqp.queues.consume_from),
        slots=int(parent.concurrency),
        capabilities=find_capabilities(),
        version=VERSION,
        started_at=now(),
        beat=0,
        beat_at=now(),
        rss_bytes=0,
        state=fleet.WorkerState.STARTING,
    )


app.steps["worker"].add(BeatStep)
app.steps["consumer"].add(BatchEventsStep)
