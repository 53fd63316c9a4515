"""``python -m workers``: a worker per queue; beside that ``dispatcher``, ``local``, ``site`` …: see their help."""

import signal
import sys
from pathlib import Path

import click

from tasks.core.errors import AppError, ConfigurationRefused
from tasks.core.heap_trimming import keep_trimmed
from tasks.core.kernel import open_kernel
from tasks.core.ledger import Ledger
from tasks.core.log import configure_logging
from tasks.core.settings import Settings, load_settings
from tasks.core.spec import Queue
from tasks.registry import load_specs
from workers.outbox import outbox
from workers.preflight import find_capabilities
from workers.readiness import Readiness, readiness
from workers.sites import edge, site
from workers.supervisor import Supervised, Supervisor, worker_command
from workers.usage import Usage


@click.group(invoke_without_command=True)
@click.option("-Q", "--queues", default="", help="Comma-separated queues to serve; all six by default.")
@click.option("--with-dispatcher", is_flag=True, help="Supervise a dispatcher, too.")
@click.pass_context
def main(context: click.Context, queues: str, with_dispatcher: bool) -> None:
    """Start and supervise one worker per queue."""
    if context.invoked_subcommand is not None:
        return
    settings = _start_on_redis()
    names = _queue_names(queues)
    supervised = [Supervised(name, worker_command(name)) for name in names]
    if with_dispatcher:
        supervised.append(Supervised("dispatcher", [sys.executable, "-m", "workers", "dispatcher"]))
    sys.exit(Supervisor(supervised, stop_limit_s=settings.drain_grace_s + 10).run())


@main.command()
def dispatcher() -> None:
    """Carry what waits, rescue what was lost; run one of these."""
    from tasks.celery import app as celery  # noqa: PLC0415  # the supervisor has no use for Celery
    from workers.dispatcher import Dispatcher  # noqa: PLC0415  # each command loads only its own

    settings = _start_on_redis()
    process = Dispatcher(open_kernel(settings), celery)
    keep_trimmed()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    process.run()


@main.command()
@click.option("--keeper", type=int, help="End with the process that has this id.")
def callbacks(keeper: int | None) -> None:
    """Send callbacks. A dispatcher, or a local runner, starts one itself when there is anybody to be called."""
    from workers.callbacks import run_sender  # noqa: PLC0415  # each command loads only its own

    run_sender(_start(), keeper=keeper)


@main.command()
@click.option("-Q", "--queues", default="", help="Comma-separated queues to serve; all six by default.")
@click.option("--slots", default=2, show_default=True, type=click.IntRange(1, 64), help="Jobs at a time.")
@click.option("--with-web", is_flag=True, help="Supervise the runner and a web server together.")
@click.option(
    "--while-used",
    "used_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --with-web: end when no client has held a lock on this file for a while.",
)
@click.option("--idle-s", default=300.0, show_default=True, type=click.FloatRange(min=0), help="How long that is.")
@click.option("--standby", is_flag=True, help="In the other profiles: run jobs only while Redis does not answer.")
def local(queues: str, *, slots: int, with_web: bool, used_file: Path | None, idle_s: float, standby: bool) -> None:
    """Run jobs straight from the ledger, without Redis (profile `local`)."""
    settings = _start_on_redis() if standby else _start()
    if settings.needs_redis and not standby:
        raise ConfigurationRefused(
            "SWITCHYARD_PROFILE: must be `local`, for the web server too, to run without Redis; beside Redis, a runner "
            "for the time when it is down takes --standby"
        )
    if standby and with_web:
        raise click.UsageError("--standby goes beside a house that has a web server: leave --with-web out")
    if used_file is not None and not with_web:
        raise click.UsageError("--while-used goes with --with-web")
    names = _queue_names(queues)
    if with_web:
        sys.exit(_with_web(settings, names, slots=slots, used_file=used_file, idle_s=idle_s).run())
    from workers.local import LocalRunner  # noqa: PLC0415  # the supervisor has no use for it
    from workers.standby import BrokerWatch  # noqa: PLC0415  # each command loads only its own

    found = find_capabilities(settings.resolved_r_library, browser_program=settings.browser_program)
    specs = list(load_specs(settings.extra_families).values())
    kernel = open_kernel(settings)
    watch = BrokerWatch(settings.redis_url) if standby else None
    runner_here = LocalRunner(kernel, names, specs, found, slots=slots, standby=watch)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner_here.stop())
    keep_trimmed()
    runner_here.run()
    kernel.close()


def _with_web(
    settings: Settings, queues: list[str], *, slots: int, used_file: Path | None, idle_s: float
) -> Supervisor:
    runner = [sys.executable, "-m", "workers", "local", "-Q", ",".join(queues), "--slots", str(slots)]
    ends_with_us = used_file is not None
    supervised = [
        Supervised("runner", runner, ends_with_us=ends_with_us),
        Supervised("web", [sys.executable, "-m", "app"], ends_with_us=ends_with_us),
    ]
    longest_s = max(settings.drain_grace_s, settings.drain_s + 10)  # gunicorn gives what is left ten seconds more
    supervisor = Supervisor(supervised, stop_limit_s=longest_s + 10)
    if used_file is not None:
        ledger = Ledger(settings.resolved_ledger_url, auto_migrate=settings.auto_migrate, pool_size=1)
        ledger.prepare()
        supervisor.is_over = Usage(used_file, ledger, idle_s).is_over
    return supervisor


@main.command()
@click.option("--address", default="127.0.0.1", show_default=True)
@click.option("--port", default=5555, show_default=True)
def flower(address: str, port: int) -> None:
    """Run Flower beside it: read-only, behind basic authentication."""
    from workers.flower import run_flower  # noqa: PLC0415  # the supervisor has no use for Tornado

    run_flower(_start_on_redis(), address=address, port=port)


@main.command()
@click.option("--name", help="Only the worker of this name.")
@click.option("--pid", type=int, help="Only the worker with this process id.")
def ready(name: str | None, pid: int | None) -> None:
    """End with 0 when this machine's workers take jobs, else with 1: a probe for orchestrators."""
    settings = _start()
    ledger = Ledger(settings.resolved_ledger_url, auto_migrate=False, pool_size=1)
    try:
        verdict = readiness(ledger, lease_s=settings.lease_s, name=name, pid=pid)
    except AppError as exc:
        verdict = Readiness(is_ready=False, reason=exc.message)
    finally:
        ledger.close()
    click.echo(verdict.reason)
    sys.exit(0 if verdict.is_ready else 1)


main.add_command(outbox)
main.add_command(edge)
main.add_command(site)


@main.command()
def migrate() -> None:
    """Bring the ledger's tables to this version."""
    settings = _start()
    ledger = Ledger(settings.resolved_ledger_url, auto_migrate=True)
    ledger.prepare()
    ledger.close()
    click.echo("The ledger is up to date.")


def _queue_names(queues: str) -> list[str]:
    names = [name.strip() for name in queues.split(",") if name.strip()] or [queue.value for queue in Queue]
    unknown = sorted(set(names) - set(Queue))
    if unknown:
        raise click.UsageError(f"unknown queues {unknown}; the queues are {[queue.value for queue in Queue]}")
    return names


def _start_on_redis() -> Settings:
    settings = _start()
    if not settings.needs_redis:
        raise ConfigurationRefused("SWITCHYARD_PROFILE: `local` has no broker; `python -m workers local` runs its jobs")
    return settings


def _start() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    return settings


if __name__ == "__main__":
    try:
        main()
    except ConfigurationRefused as refusal:
        sys.stderr.write(f"Refused to start:\n{refusal.message}\n")
        sys.exit(2)
