"""Caches in front of a site: what they are told, and a real Varnish that shows no old page after a publication."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.core.egress import EgressPolicy
from tasks.publishing.caches import Tag
from tasks.publishing.contract import PurgeRequest, PurgeResult
from tasks.publishing.engine.purging import Caches, HTTPPurge, Purge, PurgeFailed, PurgeRefused, Varnish
from tasks.publishing.serving import SiteServer
from tests.publishing.bench import PAGE, SITE, Bench
from tests.publishing.releases import release_facts
from tests.publishing.varnish_server import VARNISH, varnish_serving
from tests.servers import free_port
from workers.sites import server_on_loopback

CHANGED = SITE | {"index.html": PAGE.format("Changed")}


def purge(bench: Bench, **request: Any) -> PurgeResult:
    job = bench.job()
    result = Purge(bench.records, lambda *_: bench.caches)(PurgeRequest.model_validate({"site": "docs"} | request), job)
    bench.end(job)
    return result


@pytest.fixture
def told(bench: Bench) -> Iterator[list[dict[str, Any]]]:
    """What the bench's only cache was told by POST; it fails while ``told`` ends with ``{"fail": True}``."""
    seen: list[dict[str, Any]] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            failing = bool(seen) and "fail" in seen[-1]
            if not failing:
                seen.append(said | {"token": self.headers["Authorization"]})
            self.send_response(500 if failing else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"127.0.0.1:{server.server_port}"
        bench.policy = EgressPolicy(allow=frozenset({endpoint}))
        bench.caches = Caches((HTTPPurge(f"http://{endpoint}/purge", "secret"),))
        yield seen
        server.shutdown()


@pytest.fixture
def origin(bench: Bench) -> Iterator[int]:
    """The port at which ``docs`` is served."""
    with server_on_loopback(SiteServer(bench.folder / "places" / "docs")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_cache_is_told_urls_and_tags_in_portions(bench: Bench, told: list[dict[str, Any]], origin: int) -> None:
    """After each publication what has changed, and whatever somebody asks for; an index by its folder, too."""
    endpoint = f"127.0.0.1:{origin}"
    bench.policy = EgressPolicy(allow=bench.policy.allow | {endpoint})
    site = f"http://{endpoint}/"
    bench.publish(url=site)
    assert all("Bearer secret" == one["token"] for one in told)
    assert {f"{site}style.css", site} <= {url for one in told for url in one["files"]}
    told.clear()
    bench.publish(CHANGED)
    assert [[f"{site}index.html", site]] == [one["files"] for one in told]
    told.clear()
    bench.publish(CHANGED)
    assert [] == told, "nothing has changed"
    assert 62 == purge(bench, paths=[f"sub {n}/index.html" for n in range(31)]).urls
    assert [30, 30, 2] == [len(one["files"]) for one in told]
    assert f"{site}sub%200/" in told[0]["files"]
    told.clear()
    assert ("docs",) == purge(bench).tags
    assert ("docs-changing",) == purge(bench, tags=[Tag.CHANGING]).tags
    assert [["docs"], ["docs-changing"]] == [one["tags"] for one in told]
    told.append({"fail": True})
    with pytest.raises(PurgeFailed, match="status 500"):
        bench.roll_back()
    assert b"First" in bench.tree()["index.html"], "it is live all the same"


def test_a_purge_that_can_do_nothing_is_refused(bench: Bench, told: list[dict[str, Any]]) -> None:
    """No such site, no address, no cache, or one that workers may not reach."""
    with pytest.raises(PurgeRefused, match="address"):
        purge(bench)
    bench.publish()
    with pytest.raises(PurgeRefused, match="address"):
        purge(bench)
    assert [] == told
    for caches, words in ((Caches(), "PUBLISH_CACHES"), (Caches((Varnish("http://127.0.0.1:9"),)), "EGRESS_ALLOW")):
        job = bench.job()
        bench.records.keep(job, _with_url(bench))
        bench.caches = caches
        with pytest.raises(PurgeRefused, match=words):
            purge(bench)


@pytest.mark.skipif(VARNISH is None, reason="varnish is not installed")
def test_varnish_shows_no_old_page_after_a_publication(bench: Bench, origin: int, tmp_path: Path) -> None:
    """It keeps pages between publications; only workers' addresses may purge, by URL or by tag."""
    port = free_port()
    bench.policy = EgressPolicy(allow=frozenset({f"127.0.0.1:{port}"}))
    with varnish_serving(tmp_path, port=port, origin=origin) as site:
        bench.caches = Caches((Varnish(site),))
        _check_varnish(bench, site)


def _check_varnish(bench: Bench, site: str) -> None:
    missing = site + "new.html"
    bench.publish(url=site)
    first = httpx.get(site)
    assert "First" in first.text
    assert "docs,docs-changing" == first.headers["Cache-Tag"]
    assert 404 == httpx.get(missing).status_code
    # Swapped behind its back: what it kept is what it shows, whatever follows a question mark.
    before, changed = bench.place().pointer().release, bench.publish(CHANGED, intent="preview").release
    assert before is not None
    bench.place().activate(changed, bench.turn())
    assert ["First", "First"] == [_title(url) for url in (site, site + "?x=1")]
    purge(bench, paths=["index.html"])
    assert "Changed" == _title(site)
    bench.place().activate(before, bench.turn())
    for tags in ([], ["changing"]):
        assert "Changed" == _title(site)
        purge(bench, tags=tags)
        assert "First" == _title(site)
        bench.place().activate(changed, bench.turn())
        purge(bench)
        assert "Changed" == _title(site)
        bench.place().activate(before, bench.turn())
    last = bench.publish(SITE | {"index.html": PAGE.format("Last"), "new.html": PAGE.format("New")})
    assert last.verified >= 6
    assert ["Last", "New"] == [_title(site), _title(missing)]
    assert 400 == httpx.request("BAN", site, headers={"Cache-Tag": "docs || true"}).status_code


def _title(url: str) -> str:
    return httpx.get(url).text.partition("<title>")[2].partition("<")[0]


def _with_url(bench: Bench) -> Any:

    return release_facts("docs", url="https://docs.example/")
