"""``switchyard search``: ask a site that is known."""

from datetime import datetime
from typing import Any

import click
from click.core import ParameterSource

from client.command.answering import answer_to
from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, unlinked
from client.command.session import Session, dumped, json_flag
from client.command.site_names import site_named
from client.knowledge import Passage, SearchOptions

_SHOWN_CHARS = 300
_OF_PASSAGES = {
    "limit": "-n/--limit",
    "mode": "--mode",
    "rerank": "--rerank",
    "threshold": "--threshold",
    "url_prefix": "--url-prefix",
    "language": "--language",
    "document_ids": "--document",
    "updated_after": "--updated-after",
}


@click.command()
@click.argument("site", callback=site_named)
@click.argument("question")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="At most so many passages."
)
@click.option("--mode", type=click.Choice(["hybrid", "lexical", "vector"]), help="By words, by vectors, or by both.")
@click.option("--rerank", is_flag=True, help="Put first what has the words close together.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Only passages with at least this score (0).")
@click.option("--url-prefix", metavar="URL", help="Only pages whose address begins so.")
@click.option("--language", metavar="TAG", help="Only pages in this language: en is en-GB, too.")
@click.option("--document", "document_ids", metavar="ID", multiple=True, help="Only this document; repeatable.")
@click.option(
    "--updated-after",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"]),
    metavar="TIME",
    help="Only pages that changed since: 2027-01-31T12:00:00Z, or a day in UTC.",
)
@click.option("--answer", "is_answer", is_flag=True, help="Answer in sentences, each with its source, as they come.")
@json_flag
@click.pass_context
@pass_session
def search(
    session: Session,
    context: click.Context,
    /,
    site: str,
    question: str,
    *,
    limit: int,
    mode: Any,
    rerank: bool,
    threshold: float | None,
    is_answer: bool,
    **filters: Any,
) -> Exit:
    """Search SITE for QUESTION: the passages that fit best, each with its source."""
    if is_answer:
        _refuse_options_of_passages(context)
        return answer_to(session, site, question)
    options: SearchOptions = {"top_k": limit, "rerank": rerank}
    if mode is not None:
        options["mode"] = mode
    if threshold is not None:
        options["threshold"] = threshold
    if chosen := {name: _told(value) for name, value in filters.items() if value not in (None, ())}:
        options["filters"] = chosen
    with session.client() as client:
        found = client.knowledge.search(site, question, **options)
    if session.as_json:
        click.echo(dumped(found))
        return Exit.OK
    for failed in found.failed:
        click.echo(clean(f"{failed['retriever']} could not help: {failed['reason']}"), err=True)
    for number, passage in enumerate(found.results, start=1):
        click.echo(clean(f"{number}. {_headed(passage)}"))
        click.echo(clean(f"   {passage.url or passage.document_id}"))
        click.echo(clean(f"   {_shortened(passage)}"))
    if not found.results:
        click.echo("Nothing fits.")
    return Exit.OK


def _refuse_options_of_passages(context: click.Context) -> None:
    """An answer is made of the best passages of the whole site; who asks for others must not believe to get them."""
    given = [
        option
        for name, option in _OF_PASSAGES.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"--answer takes no {', '.join(given)}: it is made of the best passages of the whole site. Leave "
            f"{'it' if len(given) == 1 else 'them'} out, or --answer."
        )


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo else f"{value.isoformat()}Z"
    return value


def _headed(passage: Passage) -> str:
    return passage.heading if passage.title in passage.heading else f"{passage.title}: {passage.heading}".strip(": ")


def _shortened(passage: Passage) -> str:
    """Return the part of the passage around the first word that was asked for."""
    first = passage.highlights[0][0] if passage.highlights else 0
    begin = max(0, min(first - _SHOWN_CHARS // 3, len(passage.text) - _SHOWN_CHARS))
    text = " ".join(unlinked(passage.text[begin : begin + _SHOWN_CHARS]).split())
    return f"{'… ' if begin else ''}{text}{' …' if begin + _SHOWN_CHARS < len(passage.text) else ''}"
