"""The demo's second part: the crawled site is taken in and asked three questions."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client import Job, Switchyard
from deploy.stack import Running

_OF_DOCUMENTATION = (
    "When is the else clause of a loop executed?",
    "How is a list sorted by a key function?",
    "What does the with statement guarantee for a file?",
)
_QUESTIONS = 3


def ask(running: Running, crawled: Job, console: Console, *, is_documentation: bool) -> int:
    """Make the crawled site searchable, ask, and show the answers with their sources; return 0 if each was found."""
    with Switchyard(running.url, api_key=running.api_key) as client:
        with console.status("knowledge.update: cutting the pages into chunks, and counting their words …"):
            began = time.monotonic()
            job = client.run("knowledge.update", {"crawl_job_id": crawled.id}, labels={"from": "demo"}, check=False)
        if job.result is None:
            console.print(f"[red]knowledge.update {job.state}: {job.error.message if job.error else job.cause}[/]")
            return 1
        site = job.result["site"]
        status = client.knowledge.status(site).sites[0]
        took_s = time.monotonic() - began
        console.print(f"{status['pages']} pages are searchable as {status['chunks']} chunks {took_s:.1f} s later")
        questions = _OF_DOCUMENTATION if is_documentation else _from_titles(client, site)
        return max([_ask(client, site, question, console) for question in questions], default=1)


def _from_titles(client: Switchyard, site: str) -> Sequence[str]:
    """Return questions for a site that nobody here knows, by what its pages are called."""
    found = client.knowledge.search(site, site, top_k=50, mode="vector").results
    titles = dict.fromkeys(passage.title for passage in found if passage.title)
    return [f"What is said about {title}?" for title in list(titles)[:_QUESTIONS]]


def _ask(client: Switchyard, site: str, question: str, console: Console) -> int:
    job = client.run("knowledge.answer", {"site": site, "question": question, "max_sentences": 2}, check=False)
    told = job.result or {}
    table = Table(title=escape(question), show_header=False, title_justify="left")
    table.add_column(overflow="fold")
    cited = list(enumerate(told.get("citations", ()), start=1))
    for number, citation in cited:
        table.add_row(escape(f"{citation['sentence']} [{number}]"))
    for number, citation in cited:
        table.add_row(escape(f"[{number}] {citation['url'] or citation['document_id']}  {citation['heading']}"))
    table.add_row(f"[dim]confidence {told.get('confidence', 0):.2f}[/]")
    console.print(table)
    return 0 if cited else 1
