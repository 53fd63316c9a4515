"""``switchyard search``: ask a site that is known."""

from typing import Any

import click

from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean
from client.command.session import Session, dumped, json_flag
from client.knowledge import Passage, SearchOptions

_SHOWN_CHARS = 300


@click.command()
@click.argument("site")
@click.argument("question")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="At most so many passages."
)
@click.option("--mode", type=click.Choice(["hybrid", "lexical", "vector"]), help="By words, by vectors, or by both.")
@click.option("--rerank", is_flag=True, help="Put first what has the words close together.")
@click.option("--answer", "is_answer", is_flag=True, help="Answer in sentences of the site, each with its source.")
@json_flag
@pass_session
def search(
    session: Session, /, site: str, question: str, *, limit: int, mode: Any, rerank: bool, is_answer: bool
) -> Exit:
    """Search SITE for QUESTION: the passages that fit best, each with its source."""
    if is_answer:
        return _answer(session, site, question)
    options: SearchOptions = {"top_k": limit, "rerank": rerank}
    if mode is not None:
        options["mode"] = mode
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


def _headed(passage: Passage) -> str:
    return passage.heading if passage.title in passage.heading else f"{passage.title}: {passage.heading}".strip(": ")


def _shortened(passage: Passage) -> str:
    """Return the part of the passage around the first word that was asked for."""
    first = passage.highlights[0][0] if passage.highlights else 0
    begin = max(0, min(first - _SHOWN_CHARS // 3, len(passage.text) - _SHOWN_CHARS))
    text = " ".join(passage.text[begin : begin + _SHOWN_CHARS].split())
    return f"{'… ' if begin else ''}{text}{' …' if begin + _SHOWN_CHARS < len(passage.text) else ''}"


def _answer(session: Session, site: str, question: str) -> Exit:
    with session.client() as client:
        job = client.run("knowledge.answer", {"site": site, "question": question})
    if session.as_json:
        click.echo(dumped(job))
        return Exit.OK
    result = job.result or {}
    if result.get("answer") is None:
        click.echo("Nothing answers that well enough.")
        return Exit.OK
    for number, citation in enumerate(result["citations"], start=1):
        click.echo(clean(f"{citation['sentence']} [{number}]"))
    for number, citation in enumerate(result["citations"], start=1):
        click.echo(clean(f"[{number}] {citation['url'] or citation['document_id']}"))
    click.echo(f"confidence {result['confidence']:.2f}")
    return Exit.OK
