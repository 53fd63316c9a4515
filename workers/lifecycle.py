"""What makes ``celery -A tasks worker -Q crawler`` a full citizen: loaded by Celery in workers, through ``imports``.

``celeryd_init`` (before anything runs): profile, unique name, refusals. A bootstep in the parent: the beat.
``worker_process_init`` (in each child): its own process group and mark.
"""

import os
import sys
from typing import Any

import kombu
import structlog
from celery import bootsteps, signals
from celery.worker import state as worker_state

from tasks.celery import app
from tasks.core.errors import AppError, LedgerUnavailable
from tasks.core.heap_trimming import keep_trimmed
from tasks.core.kernel import Kernel
from tasks.core.ledger.fleet import WorkerState
from tasks.core.log import configure_logging
from tasks.core.matching import direct_queue
from tasks.core.settings import load_settings
from tasks.core.spec import Queue
from tasks.core.streak import Streaks
from workers.beat import Beat
from workers.identity import describe_worker, mark_child, take_identity
from workers.monitoring import BatchEventsStep
from workers.offers import demand_tenants, find_offers
from workers.preflight import find_capabilities
from workers.profiles import strictest
from workers.reaping import ReapStep
from workers.refusals import unknown_queues, unsafe_options, unsafe_redis, unsafe_settings
from workers.standing import StandingStep
from workers.tidying import TidyConnectionStep, TidyTimerStep

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
    if load_settings().needs_redis:
        reasons += unsafe_redis(conf.broker_url)
    else:
        reasons.append("SWITCHYARD_PROFILE=local has no broker: run `python -m workers local` instead")
    try:
        demand_tenants(load_settings(), app.kernel.ledger)  # which this opens, migrating it where that is allowed
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
    instance.hostname, instance.serves = take_identity(queues), queues


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _listen_alone(sender: str, instance: Any, **_: Any) -> None:
    """Take jobs from a queue of the worker's own, too; where it must not serve every tenant, from that one alone.

    Celery's own ``worker_direct`` would bind an exchange of its own in Redis, which a wipe loses, and keep what is not
    acknowledged.
    """
    queues, settings, own = instance.app.amqp.queues, load_settings(), direct_queue(sender)
    if settings.worker_tenants or settings.worker_not_tenants:
        queues.deselect(list(queues.consume_from))
    queues.select_add(kombu.Queue(own, kombu.Exchange(""), routing_key=own, no_ack=True))


def _queues_asked_for(options: dict[str, Any]) -> list[str]:
    asked = options.get("queues") or ()
    names = asked.split(",") if isinstance(asked, str) else list(asked)
    excluded = options.get("exclude_queues") or ()
    excluded = excluded.split(",") if isinstance(excluded, str) else list(excluded)
    return [name.strip() for name in names] or [queue.value for queue in Queue if queue.value not in excluded]


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _mark_child(**_: Any) -> None:
    """Make this child the leader of its own group, mark all that it will start, and open what its jobs will need."""
    os.setpgid(0, 0)
    mark_child()
    app.is_child = True
    app.open_early()


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _close_child(**_: Any) -> None:
    """Tell what is still to tell, and end what this child's jobs kept warm.

    Where it is killed instead, the dispatcher tells, and the beat finds what is left.
    """
    kernel: Kernel | None = vars(app).get("kernel")  # a child that ran nothing has opened none
    if kernel is not None:
        if kernel.meanwhile is not None:
            kernel.meanwhile.close()
        kernel.warm.close()
    streaks: Streaks | None = vars(app).get("streaks")
    if streaks is not None:
        streaks.close()


class BeatStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Begins the beat once the pool stands; it beats on until the whole worker has stopped."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Register the worker and begin beating."""
        kernel, settings, slots = parent.app.kernel, parent.app.kernel.settings, int(parent.concurrency)
        pool = parent.pool._pool  # the pool of processes under Celery's own; gone from ``parent`` once it has stopped
        beat = Beat(
            kernel,
            describe_worker(
                parent.hostname,
                slots=slots,
                capabilities=find_capabilities(settings.resolved_r_library, browser_program=settings.browser_program),
                offers=find_offers(
                    settings, kernel.ledger, parent.app.specs.values(), parent.serves, slots=slots, direct=True
                ),
            ),
            is_stopping=_is_stopping,
            children=lambda: [child.pid for child in pool._pool],
        )
        beat.start()
        keep_trimmed()

        def listening(**_: Any) -> None:
            beat.say(WorkerState.UP)

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


app.steps["worker"].add(BeatStep)
app.steps["worker"].add(ReapStep)
app.steps["worker"].add(TidyTimerStep)
app.steps["consumer"].add(BatchEventsStep)
app.steps["consumer"].add(StandingStep)
app.steps["consumer"].add(TidyConnectionStep)
