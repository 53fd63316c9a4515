"""``switchyard calibrate``: a file of deaths in, calibrated fractions out."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from client.calibration import Calibration
from client.command import params
from client.command.csmf import show_fractions, show_preview
from client.command.exits import Exit, exit_of_job
from client.command.follow import await_end, follow, summary
from client.command.jobs import pass_session, wait_option
from client.command.sending import send
from client.command.session import Session, json_flag
from client.deaths import calibration_params
from client.models import Job

_ALGORITHMS = "eava, insilicova and interva are those of the usual matrices"


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--algorithm", help=f"Which algorithm assigned the deaths of FILE; {_ALGORITHMS}.")
@click.option("--file", "files", multiple=True, metavar="ALGO=PATH", help="One file of several, for an ensemble.")
@click.option("--age", "age_group", type=click.Choice(["neonate", "child"]), help="0-27 days, or 1-59 months.")
@click.option("--country", help="Whose matrices to take from the imported ones; `other` for the pooled ones.")
@click.option("--matrices", help="The set to look in: name, name@version or id; else the newest.")
@click.option(
    "--type",
    "missmat_type",
    type=click.Choice(["prior", "fixed", "samples"]),
    help="How the matrix's uncertainty is treated; `prior` if absent.",
)
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="Any other input, such as draws=5000.")
@click.option("--example", "is_example", is_flag=True, help="Calibrate a small invented data set instead of a file.")
@click.option("--preview", "is_preview", is_flag=True, help="Only say what it would do; nothing is queued.")
@click.option("--follow", "is_followed", is_flag=True, help="Show progress and logs until the end, then the table.")
@click.option("--report", type=click.Path(dir_okay=False), help="Wait for the end, and save the report here (HTML).")
@click.option("--figures", type=click.Path(file_okay=False), help="Wait for the end, and save the figures here.")
@wait_option
@json_flag
@pass_session
def calibrate(
    session: Session,
    /,
    file: str | None,
    *,
    algorithm: str | None,
    files: Sequence[str],
    pairs: Sequence[str],
    is_example: bool,
    is_preview: bool,
    is_followed: bool,
    report: str | None,
    figures: str | None,
    wait_s: float | None,
    **named: str | None,
) -> Exit:
    """Correct the causes of death in FILE for the known errors of the algorithm that assigned them.

    FILE is a CSV with columns ID and cause, or cause and count, or one column a cause. Without --follow, --wait,
    --report or --figures it prints the job's id.
    """
    given = params.from_pairs(pairs) | {name: value for name, value in named.items() if value is not None}
    if is_example:
        if file or files:
            raise click.UsageError("--example has deaths of its own: give no file beside it")
        given["use_example"] = True
    paths = None if is_example else _paths(file, algorithm, files)
    with session.client() as client:
        if paths is not None:
            given = calibration_params(paths, send=lambda path: send(client, str(path)).ref, **given)
        if is_preview:
            told = client.preview_calibration(given)
            if session.as_json:
                click.echo(json.dumps(told))
            else:
                show_preview(told)
            return Exit.OK
        job = client.submit("calibration.va", given)
    if not (is_followed or report or figures or wait_s is not None):
        session.show(job, job.id)
        return Exit.OK
    return _finish(session, job, is_followed=is_followed, limit_s=wait_s, report=report, figures=figures)


def _paths(file: str | None, algorithm: str | None, files: Sequence[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    if file is not None:
        if algorithm is None:
            raise click.UsageError(
                f"which algorithm assigned the deaths of {file}? add --algorithm NAME ({_ALGORITHMS})"
            )
        paths[algorithm] = Path(file)
    elif algorithm is not None:
        raise click.UsageError(f"--algorithm {algorithm} is about FILE, and there is none: name it, or use --file")
    for pair in files:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{pair!r}: expected ALGO=PATH, such as eava=deaths.csv", param_hint="--file")
        if name in paths:
            raise click.BadParameter(f"{name}: given twice; each algorithm has one file", param_hint="--file")
        if not Path(path).is_file():
            raise click.BadParameter(f"{path}: there is no such file", param_hint="--file")
        paths[name] = Path(path)
    if not paths:
        raise click.UsageError("name a file of deaths, or several with --file ALGO=PATH, or take --example")
    return paths


def _finish(
    session: Session, job: Job, *, is_followed: bool, limit_s: float | None, report: str | None, figures: str | None
) -> Exit:
    if is_followed:
        code = follow(session, job.id, limit_s=limit_s)
        if code is not Exit.OK:
            return code
    with session.client() as client:
        ended = await_end(client, job.id, limit_s)
        if not is_followed and (session.as_json or ended.state != "succeeded"):
            session.show(ended, summary(ended))
        if ended.state != "succeeded":
            return exit_of_job(ended)
        if not session.as_json:
            show_fractions(ended.result or {})
        calibration = Calibration(client, ended)
        saved = [calibration.report(report)] if report else []
        saved += calibration.figures(figures) if figures else []
    for path in saved:
        click.echo(str(path), err=True)
    return Exit.OK
