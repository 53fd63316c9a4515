"""``switchyard discover``: a website in, its functions out as tools."""

from typing import Any

import click

from client.command.exits import Exit, exit_of_job
from client.command.follow import await_end
from client.command.jobs import pass_session, wait_option
from client.command.plain import clean
from client.command.session import Session, backend_option, json_flag
from client.models import Job

_SITE, _TOOL = "discovery.site", "discovery.tool"


@click.command()
@click.argument("url")
@click.option("--goal", default="", help="What the tools are wanted for.")
@click.option("--max-tools", type=click.IntRange(1, 100), help="At most so many (10).")
@click.option("--one", "is_one", is_flag=True, help="Only the one tool that serves the goal best.")
@click.option("--force", is_flag=True, help="Look again, even where an earlier discovery would answer.")
@backend_option
@wait_option
@json_flag
@pass_session
def discover(
    session: Session,
    /,
    url: str,
    *,
    goal: str,
    max_tools: int | None,
    is_one: bool,
    force: bool,
    wait_s: float | None,
) -> Exit:
    """Find the tools of the site at URL, wait for that, and list them, best first."""
    if is_one and (not goal or max_tools is not None):
        raise click.UsageError("--one needs --goal, and is one: leave --max-tools out")
    params: dict[str, Any] = {"url": url, "goal": goal, "force": force}
    if max_tools is not None:
        params["max_tools"] = max_tools
    with session.client() as client:
        job = client.submit(_TOOL if is_one else _SITE, params)
        job = await_end(client, job.id, wait_s)
    session.show(job, "\n".join(_lines(job)))
    return exit_of_job(job)


def _lines(job: Job) -> list[str]:
    lines = [clean(f"{job.kind} {job.state} as {job.id}, run by the backend {job.backend}")]
    if job.error is not None:
        lines.append(clean(f"{job.error.code}: {job.error.message}"))
    return lines + [_line(one) for one in (job.result or {}).get("tools", ())]


def _line(tool: dict[str, Any]) -> str:
    confidence = tool.get("_meta", {}).get("switchyard/confidence")
    shown = "-" if confidence is None else f"{confidence:.2f}"
    return clean(f"{shown}  {tool.get('name')}  {tool.get('description', '')}")
