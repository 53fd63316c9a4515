"""A crawled site becomes something one can ask: over HTTP, with the worker in a process of its own."""

import pytest

from client import Switchyard
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
