"""A crawled site becomes something one can ask: over HTTP, with the worker in a process of its own."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from client import Switchyard
from client.command import main
from tests.acceptance.conftest import Yard
from tests.acceptance.site import Site
from tests.integration.processes import await_true

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


def test_a_crawled_site_is_asked(client: Switchyard, site: Site) -> None:
    """Crawl, take in, search, answer; what a worker changes is found by the web process, which kept an answer."""
    crawl = client.run("crawling.site", {"url": site.url, "max_pages": 12, "delay_s": 0.0}, timeout_s=90)
    update = client.run("knowledge.update", {"crawl_job_id": crawl.id}, timeout_s=60)
    assert update.result is not None
    name = update.result["site"]
    assert crawl.result is not None
    assert (site.endpoint, crawl.result["pages_ok"]) == (name, update.result["added"])

    question = "What does page number 7 say?"
    first = client.knowledge.search(name, question)
    assert not first.is_cached
    assert f"{site.url}page/7" == first.results[0].url
    assert client.knowledge.search(name, question).is_cached

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
