"""A crawled site becomes something one can ask: over HTTP, with the worker in a process of its own."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from client import Job, Switchyard
from client.command import main
from client.site_refresh import refreshed
from deploy.demo_questions import ask
from deploy.stack import Running
from tests.acceptance.conftest import Yard
from tests.acceptance.site import Site
from tests.integration.processes import await_true
from tests.publishing.bench import PAGE, tarred

FORM = "<form action=/say method=post><label>Message <input name=message></label><button>Send</button></form>"
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


def test_a_crawled_site_is_asked(client: Switchyard, site: Site) -> None:
    """Crawl, take in, search, answer; what a worker changes is found by the web process, which kept an answer."""
    then = {"kind": "knowledge.update", "params": {"crawl_job_id": {"$from": "/job/id"}}}
    params = {"url": site.url, "max_pages": 12, "delay_s": 0.0}
    crawl = client.run("crawling.site", params, on_success=then, timeout_s=90)
    update = followed(client, crawl)
    assert update.result is not None
    assert (crawl.id, crawl.id) == (update.parent_job_id, update.request["crawl_job_id"])
    name = update.result["site"]
    assert crawl.result is not None
    assert (site.endpoint, crawl.result["pages_ok"]) == (name, update.result["added"])

    question = "What does page number 7 say?"
    first = client.knowledge.search(name, question)
    assert not first.is_cached
    assert f"{site.url}page/7" == first.results[0].url
    # The word of the update, which makes earlier answers go, may come to the web process after the first search.
    await_true(lambda: client.knowledge.search(name, question).is_cached, what="the answer is kept")

    change = {"id": f"{site.url}page/7", "text": "# Seven\n\nPage number 7 says that the kettle is gone."}
    client.run("knowledge.update", {"site": name, "documents": [change]}, timeout_s=60)
    await_true(lambda: not client.knowledge.search(name, question).is_cached, what="the change is told")
    assert "kettle" in client.knowledge.search(name, question).results[0].text

    answer = client.run("knowledge.answer", {"site": name, "question": question}, timeout_s=60)
    assert answer.result is not None
    assert ("Page number 7 says that the kettle is gone.", change["id"]) == (
        answer.result["citations"][0]["sentence"],
        answer.result["citations"][0]["document_id"],
    )


def test_what_a_publication_changes_is_crawled_and_known(client: Switchyard, yard: Yard, site: Site) -> None:
    """Exactly the pages that changed are fetched and kept; those that are gone go; new forms become tools."""

    def publish(files: dict[str, str]) -> tuple[Job, Job, Job]:
        upload = client.upload(tarred(files), name="site.tar")
        params = {"site": "docs-known", "source": upload.ref, "url": f"{site.url}docs/", "options": {"minify": False}}
        published = client.run("publishing.site", params, on_success=refreshed(delay_s=0.0), run_timeout_s=90)
        crawled = followed(client, published)
        return published, crawled, followed(client, crawled)

    def told(job: Job) -> str | None:
        link = client.job(job.id).follow_up
        return link and link.state

    site.docs = lambda: next((yard.state_dir / "sites").glob("*/docs-known/live"))
    pages = {f"{name}.html": PAGE.format(name) for name in ("index", "other", "third")}
    _, first, known = publish(pages)
    assert first.result is not None
    assert known.result is not None
    assert (3, "listed", 3) == (first.result["pages_ok"], first.result["stopped_by"], known.result["added"])
    await_true(lambda: told(known) == "skipped", what="no page has a form")
    del pages["third.html"]
    published, second, known = publish(pages | {"other.html": PAGE.format(f"another {FORM}")})
    assert published.result is not None
    assert ([f"{site.url}docs/other.html"], [f"{site.url}docs/third.html"]) == (
        published.result["changed_urls"],
        published.result["removed_urls"],
    )
    assert second.result is not None
    assert known.result is not None
    assert (1, 0, 1, 1) == (
        second.result["pages_ok"],
        *(known.result[name] for name in ("added", "changed", "deleted")),
    )
    assert published.id == known.chain_id
    found = followed(client, known).result
    assert found is not None
    assert [f"{site.url}docs/", f"{site.url}docs/other.html"] == [page["url"] for page in found["pages"]]
    assert [f"{site.url}docs/other.html"] == published.result["form_urls"]
    assert [["message"]] == [[*tool["inputSchema"]["properties"]] for tool in found["tools"]]
    assert ["publishing.site", "crawling.site", "knowledge.update", "discovery.site"] == [
        one.kind for one in client.chain(known.id).jobs
    ]


def test_the_demo_asks_the_site_that_it_has_crawled(client: Switchyard, yard: Yard, site: Site) -> None:
    """Three questions of what its pages are called, each answered with a source; where nothing answers, it says so."""
    crawled = client.run("crawling.site", {"url": site.url, "max_pages": 6, "delay_s": 0.0}, run_timeout_s=90)
    running = Running(yard.url, yard.key, "", "", "", yard.redis_url, str(yard.state_dir), {})

    def shown(*, is_documentation: bool) -> tuple[int, str]:
        console = Console(record=True, width=120, file=io.StringIO())
        return ask(running, crawled, console, is_documentation=is_documentation), console.export_text()

    code, text = shown(is_documentation=False)
    assert (0, 3) == (code, text.count("What is said about Page"))
    assert "pages are searchable as" in text
    assert text.count(f"[1] {site.url}") == 3
    code, text = shown(is_documentation=True)
    assert (1, 3, 0) == (code, text.count("confidence"), text.count("[1]"))


def followed(client: Switchyard, job: Job) -> Job:
    """Wait for the job that follows this one, and for its end."""

    def child() -> str | None:
        link = client.job(job.id).follow_up
        assert link is not None
        assert link.state in {"waiting", "started"}, link.error
        return link.job_id

    await_true(lambda: child() is not None, what=f"what follows {job.kind} is started")
    return client.wait(child() or "", timeout_s=90)


def test_the_command_crawls_keeps_and_says_how_to_ask(
    yard: Yard, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command from a URL to a site that one can ask."""
    kept = tmp_path / "site.sqlite"
    options = ["--max-pages", "3", "--since", "last", "--save", str(kept)]
    with pytest.raises(SystemExit) as ended:
        main(["--url", yard.url, "--key", yard.key, "crawl", site.url, *options])
    shown = capsys.readouterr().out
    assert not ended.value.code, shown
    with closing(sqlite3.connect(kept)) as database:
        assert [(3,)] == database.execute("SELECT count(*) FROM pages").fetchall()
    assert f'switchyard search {site.endpoint} "…"' in shown
