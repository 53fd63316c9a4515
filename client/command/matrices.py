"""``switchyard matrices``: the misclassification matrices that calibrations may name."""

from collections.abc import Sequence
from pathlib import Path

import click

from client.command.exits import Exit, exit_of_job
from client.command.follow import await_end, summary
from client.command.jobs import pass_session
from client.command.plain import clean, moment
from client.command.sending import send
from client.command.session import Session, dumped, json_flag
from client.matrices import Matrix, MatrixSet, name_of

# A larger file is uploaded, and read by a job; the server takes requests of 10 MiB.
_INLINE_BYTES = 6 * 2**20
# Reading an installed package's data takes seconds; a queue may be long.
_IMPORT_LIMIT_S = 600.0


@click.group()
def matrices() -> None:
    """Import, list and show the matrices that say how algorithms err. A calibration names a country of a set."""


@matrices.command(name="import")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--from-r", is_flag=True, help="From the R package vacalibration that is installed with the worker.")
@click.option("--name", help="What the set is called; else after the file.")
@click.option("--version", help="Its version; else the source's own, or the next whole number.")
@click.option("--source", help="Where the matrices are from, for readers; else the file's name.")
@click.option("--also-country", "also_countries", multiple=True, help="A country that the server does not know.")
@click.option("--also-algorithm", "also_algorithms", multiple=True, help="An algorithm that it does not know.")
@json_flag
@pass_session
def import_(
    session: Session,
    /,
    file: str | None,
    *,
    from_r: bool,
    name: str | None,
    version: str | None,
    source: str | None,
    also_countries: Sequence[str],
    also_algorithms: Sequence[str],
) -> Exit:
    """Import FILE: a CSV with a line for each cell, or the package's list of matrices as .rda or .rds.

    Importing the same numbers twice changes nothing. With a key of the tenant `system` the set is everybody's.
    """
    if from_r == (file is not None):
        raise click.UsageError("name a file, or take --from-r: one of the two")
    if file is None and source is not None:
        raise click.UsageError("--source is for files; with --from-r it is the package")
    if file is None or Path(file).stat().st_size > _INLINE_BYTES:
        given: dict[str, object] = {"also_countries": also_countries, "also_algorithms": also_algorithms}
        if file is not None:
            given |= {"name": name_of(Path(file)), "source": Path(file).name}
        named = {"name": name, "version": version, "source": source}
        return _import_by_job(session, given | {key: one for key, one in named.items() if one is not None}, file)
    with session.client() as client:
        found = client.matrices.add(
            file,
            name=name,
            version=version,
            source=source,
            also_countries=also_countries,
            also_algorithms=also_algorithms,
        )
    return _tell_imported(session, found)


def _import_by_job(session: Session, params: dict[str, object], file: str | None) -> Exit:
    with session.client() as client:
        files = {} if file is None else {"file": send(client, file)}
        job = client.submit("calibration.import", params, files=files)
        ended = await_end(client, job.id, _IMPORT_LIMIT_S)
    if ended.state != "succeeded":
        session.show(ended, summary(ended))
        return exit_of_job(ended)
    return _tell_imported(session, ended.result_as(MatrixSet))


def _tell_imported(session: Session, found: MatrixSet) -> Exit:
    if session.as_json:
        click.echo(dumped(found))
        return Exit.OK
    done = "imported as" if found.created else "these numbers are there already, as"
    click.echo(clean(f"{done} {found.title}: {_extent(found)}"))
    click.echo(clean(f"sha256 {found.sha256}"))
    click.echo(clean(f"countries: {', '.join(found.countries)}"))
    for note in found.notes:
        click.echo(clean(f"note: {note}"))
    return Exit.OK


def _extent(found: MatrixSet) -> str:
    samples = f", {found.with_samples} with samples" if found.with_samples else ""
    return f"{found.count} matrices ({', '.join(found.algorithms)}; {', '.join(found.age_groups)}){samples}"


@matrices.command(name="list")
@json_flag
@pass_session
def list_(session: Session) -> Exit:
    """List the sets; a calibration that names none takes the first."""
    with session.client() as client:
        sets = client.matrices.list()
    session.table("sets", sets, _COLUMNS)
    if not sets and not session.as_json:
        click.echo("none yet: switchyard matrices import FILE", err=True)
    return Exit.OK


_COLUMNS = {
    "set": lambda one: one.title,
    "matrices": lambda one: one.count,
    "algorithms": lambda one: ", ".join(one.algorithms),
    "ages": lambda one: ", ".join(one.age_groups),
    "countries": lambda one: len(one.countries),
    "everybody's": lambda one: "yes" if one.shared else "no",
    "imported": lambda one: moment(one.imported_at),
    "sha256": lambda one: one.sha256[:12],
}


@matrices.command()
@click.argument("reference", metavar="SET")
@click.option("--age", "age_group", help="Only this age group.")
@click.option("--algorithm", help="Only this algorithm.")
@click.option("--country", help="Only this country.")
@click.option("--figure", type=click.Path(dir_okay=False), help="Save one matrix as a heat map (SVG) here.")
@json_flag
@pass_session
def show(
    session: Session,
    /,
    reference: str,
    *,
    age_group: str | None,
    algorithm: str | None,
    country: str | None,
    figure: str | None,
) -> Exit:
    """Show a set (name, name@version or id), with the numbers of what the options leave of it."""
    with session.client() as client:
        if figure is not None:
            if not (age_group and algorithm and country):
                raise click.UsageError("--figure draws one matrix: give --age, --algorithm and --country")
            path = client.matrices.figure(reference, figure, age_group=age_group, algorithm=algorithm, country=country)
            click.echo(str(path))
            return Exit.OK
        found = client.matrices.show(reference, age_group=age_group, algorithm=algorithm, country=country)
    if session.as_json:
        click.echo(dumped(found))
        return Exit.OK
    click.echo(clean(f"{found.title}: {_extent(found)}"))
    click.echo(clean(f"source {found.source or '-'}, imported {moment(found.imported_at)}, sha256 {found.sha256}"))
    for matrix in found.matrices if algorithm and country else ():
        _show_matrix(matrix)
    return Exit.OK


def _show_matrix(matrix: Matrix) -> None:
    click.echo()
    click.echo(clean(f"{matrix.algorithm}, {matrix.age_group}, {matrix.country}: % of true cause (rows) by VA cause"))
    width = max(len(cause) for cause in matrix.causes)
    for number, cause in enumerate(matrix.causes):
        cells = " ".join(f"{100 * value:3.0f}" for value in matrix.fixed[number])
        click.echo(clean(f"{number + 1} {cause:<{width}} {cells}"))


@matrices.command()
@click.argument("reference", metavar="SET")
@json_flag
@pass_session
def delete(session: Session, reference: str) -> Exit:
    """Delete a set (name, name@version or id); jobs keep the matrices that they were accepted with."""
    with session.client() as client:
        client.matrices.delete(reference)
    session.show(None, f"{clean(reference)} deleted")
    return Exit.OK
