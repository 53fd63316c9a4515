"""``python -m workers``: supervise a worker per queue; ``dispatcher``: carry and rescue; ``migrate``: the ledger."""

import signal
import sys

import click

from tasks.core.errors import AppError, ConfigurationRefused
from tasks.core.kernel import open_kernel
from tasks.core.ledger import Ledger
from tasks.core.log import configure_logging
from tasks.core.settings import Settings, load_settings
from tasks.core.spec import Queue
from workers.outbox import outbox
from workers.readiness import Readiness, readiness
from workers.supervisor import Supervised, Supervisor, worker_command


@click.group(invoke_without_command=True)
@click.option("-Q", "--queues", default="", help="Comma-separated queues to serve; all six by default.")
@click.option("--with-dispatcher", is_flag=True, help="Supervise a dispatcher, too.")
@click.pass_context
def main(context: click.Context, queues: str, with_dispatcher: bool) -> None:
    """Start and supervise one worker per queue."""
    if context.invoked_subcommand is not None:
        return
    settings = _start()
    names = [name.strip() for name in queues.split(",") if name.strip()] or [queue.value for queue in Queue]
    unknown = sorted(set(names) - set(Queue))
    if unknown:
        raise click.UsageError(f"unknown queues {unknown}; the queues are {[queue.value for queue in Queue]}")
    supervised = [Supervised(name, worker_command(name)) for name in names]
    if with_dispatcher:
        supervised.append(Supervised("dispatcher", [sys.executable, "-m", "workers", "dispatcher"]))
    sys.exit(Supervisor(supervised, stop_limit_s=settings.drain_grace_s + 10).run())


@main.command()
def dispatcher() -> None:
    """Carry what waits, rescue what was lost; run one of these."""
    from tasks.celery import app as celery  # noqa: PLC0415  # the supervisor has no use for Celery
    from workers.dispatcher import Dispatcher  # noqa: PLC0415

    settings = _start()
    process = Dispatcher(open_kernel(settings), celery)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    process.run()


@main.command()
@click.option("--address", default="127.0.0.1", show_default=True)
@click.option("--port", default=5555, show_default=True)
def flower(address: str, port: int) -> None:
    """Run Flower beside it: read-only, behind basic authentication."""
    from workers.flower import run_flower  # noqa: PLC0415  # the supervisor has no use for Tornado

    run_flower(_start(), address=address, port=port)


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


@main.command()
def migrate() -> None:
    """Bring the ledger's tables to this version."""
    settings = _start()
    ledger = Ledger(settings.resolved_ledger_url, auto_migrate=True)
    ledger.prepare()
    ledger.close()
    click.echo("The ledger is up to date.")


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
