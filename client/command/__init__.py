"""The ``switchyard`` command: everything the client can do, for people and for scripts."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from client.command import (
    calibrate,
    changes,
    connectors,
    control,
    crawl,
    discover,
    fleet,
    jobs,
    knowledge,
    local,
    matrices,
    monitor,
    schedules,
    search,
    settings,
    sites,
    tools,
    webhooks,
    workers,
)
from client.command.exits import Exit, exit_of, report
from client.command.session import Session, backend_option
from client.errors import SwitchyardError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", help="The server; else SWITCHYARD_URL, else var/up.json here, else http://127.0.0.1:8000.")
@click.option("--key", help="The API key; else SWITCHYARD_API_KEY, else from var/up.json. Visible to other users.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, whatever the command.")
@click.option("--reconnects", type=click.IntRange(min=0), help="Tries again after a failed connection (5).")
@backend_option
@click.version_option(package_name="switchyard")
@click.pass_obj
def cli(session: Session, *, url: str | None, key: str | None, as_json: bool, reconnects: int | None) -> None:
    """Submit, follow and fetch jobs of a Switchyard server.

    Ends with 0 done, 1 job failed, 2 usage or request refused, 3 job cancelled, 4 not found, 5 not allowed,
    6 server unavailable, 7 wait timed out, 130 interrupted.
    """
    session.url, session.api_key = url, key
    session.as_json = session.as_json or as_json
    session.use(reconnects=reconnects)


for command in (
    jobs.submit,
    jobs.chain,
    jobs.upload,
    jobs.status,
    jobs.watch,
    jobs.print_result,
    jobs.logs,
    changes.cancel,
    changes.retry,
    jobs.list_jobs,
    jobs.artifacts,
    jobs.download,
    jobs.delete,
    calibrate.calibrate,
    matrices.matrices,
    discover.discover,
    crawl.crawl,
    crawl.pages,
    search.search,
    knowledge.knowledge,
    tools.tools,
    tools.mcp,
    schedules.schedules,
    sites.publish,
    sites.rollback,
    sites.releases,
    sites.preview,
    sites.sites,
    webhooks.webhooks,
    connectors.connectors,
    changes.erase,
    fleet.kinds,
    fleet.queues,
    workers.workers,
    fleet.backends,
    fleet.advise,
    control.pause,
    control.resume,
    control.pauses,
    control.purge,
    control.limits,
    control.audit,
    local.local,
    fleet.events,
    monitor.monitor,
    settings.settings,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code."""
    session = Session()
    try:
        code = cli.main(arguments, prog_name="switchyard", standalone_mode=False, obj=session)
    except click.ClickException as exc:
        exc.show()
        code = Exit.REFUSED
    except click.Abort:
        code = Exit.INTERRUPTED
    except SwitchyardError as exc:
        report(exc, as_json=session.as_json)
        code = exit_of(exc)
    sys.exit(int(code or 0))
