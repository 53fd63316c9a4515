"""The server for development, and a publication that is verified through it as visitors would see it."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tasks.core.egress import EgressPolicy
from tasks.publishing.engine.headers import wrong_header
from tasks.publishing.engine.verifying import VerificationFailed
from tasks.publishing.manifest import IMMUTABLE, REVALIDATED, File, Stored
from tasks.publishing.serving import SiteServer
from tests.publishing.bench import PAGE, SITE, Bench
from workers.sites import server_on_loopback

CHANGED = SITE | {"index.html": PAGE.format("Changed"), "style.css": "body { color: red }"}


@pytest.fixture
def origin(bench: Bench) -> Iterator[str]:
    """Where ``docs`` is served, which workers may reach."""
    with server_on_loopback(SiteServer(bench.folder / "places" / "docs")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        bench.policy = EgressPolicy(allow=frozenset({f"127.0.0.1:{server.server_port}"}))
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def _another_site(_self: SiteServer, _environ: object, start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/html")])
    return [b"another site"]


def test_a_site_is_served_as_its_manifest_says(bench: Bench, origin: str) -> None:
    """Types, cache headers, compressed forms, validators, 404, and assets of the release before."""
    bench.publish(SITE | {"sub/index.html": PAGE.format("Sub")})
    page = httpx.get(origin, headers={"Accept-Encoding": "gzip"})
    assert (200, "gzip", "no-cache", "text/html; charset=utf-8") == (
        page.status_code,
        page.headers["Content-Encoding"],
        page.headers["Cache-Control"],
        page.headers["Content-Type"],
    )
    assert '"/site.speculationrules"' == page.headers["Speculation-Rules"]
    again = httpx.get(origin, headers={"Accept-Encoding": "gzip", "If-None-Match": page.headers["ETag"]})
    assert (304, b"") == (again.status_code, again.content)
    style = origin + page.text.partition("style.")[2][:12].join(("style.", ".css"))
    assert "immutable" in httpx.get(style).headers["Cache-Control"]
    bench.publish(CHANGED)
    assert (200, "public, max-age=31536000, immutable") == (
        httpx.get(style).status_code,
        httpx.get(style).headers["Cache-Control"],
    )
    missing = httpx.get(origin + "not/there")
    assert (404, True) == (missing.status_code, "Not found" in missing.text)
    assert 404 == httpx.get(origin + "%2e%2e/pointer.json").status_code
    assert 405 == httpx.post(origin).status_code
    assert b"" == httpx.head(origin).content


def ask(origin: str, path: str, **headers: str) -> tuple[int, str | None, bytes]:
    """Status, range and bytes of an answer."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()} | {"Accept-Encoding": "identity"}
    answer = httpx.get(origin + path, headers=fields)
    return answer.status_code, answer.headers.get("Content-Range"), answer.content


def test_a_part_is_sent_as_it_is_asked_for(bench: Bench, origin: str) -> None:
    """One part; several, other units and what has changed meanwhile are all of it; what is not there is 416."""
    bench.publish(SITE | {"film.bin": bytes(range(200))})
    whole = bytes(range(200))
    etag = httpx.get(origin + "film.bin").headers["ETag"]
    for wanted, status, told, content in (
        ("bytes=0-9", 206, "bytes 0-9/200", whole[:10]),
        ("bytes=190-", 206, "bytes 190-199/200", whole[190:]),
        ("bytes=190-500", 206, "bytes 190-199/200", whole[190:]),
        ("bytes=-5", 206, "bytes 195-199/200", whole[-5:]),
        ("bytes=-500", 206, "bytes 0-199/200", whole),
        ("bytes=5-2", 200, None, whole),
        ("bytes=0-1,4-5", 200, None, whole),
        ("lines=0-1", 200, None, whole),
        ("bytes=-", 200, None, whole),
        ("bytes=" + "9" * 30 + "-", 200, None, whole),
    ):
        assert (status, told, content) == ask(origin, "film.bin", Range=wanted), wanted
    for wanted in ("bytes=200-", "bytes=-0"):
        assert (416, "bytes */200") == ask(origin, "film.bin", Range=wanted)[:2]
    assert 206 == ask(origin, "film.bin", Range="bytes=0-9", If_Range=etag)[0]
    for other in ('"other"', f"W/{etag}", "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert (200, None, whole) == ask(origin, "film.bin", Range="bytes=0-9", If_Range=other)
    assert 304 == ask(origin, "film.bin", Range="bytes=0-9", If_None_Match=etag)[0]
    assert (404, None) == ask(origin, "missing.bin", Range="bytes=0-9")[:2]
    head = httpx.head(origin + "film.bin", headers={"Range": "bytes=0-9"})
    assert (200, "200", "bytes") == (head.status_code, head.headers["Content-Length"], head.headers["Accept-Ranges"])


def test_conditions_are_kept(bench: Bench, origin: str) -> None:
    """By the content's tag, weak or among others; who wants another content gets none."""
    bench.publish()
    etag = httpx.get(origin, headers={"Accept-Encoding": "identity"}).headers["ETag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        assert 304 == ask(origin, "", If_None_Match=given)[0]
    assert 200 == ask(origin, "", If_None_Match=etag[1:-1])[0]
    for given, status in ((etag, 200), ("*", 200), (f'"x", {etag}', 200), ('"x"', 412), (f"W/{etag}", 412)):
        assert status == ask(origin, "", If_Match=given)[0]


def test_a_folder_is_shown_by_its_slash(bench: Bench, origin: str) -> None:
    """So that what its page refers to is found."""
    assert 404 == httpx.get(origin).status_code, "nothing is live yet"
    bench.publish(SITE | {"sub/index.html": PAGE.format("Sub")})
    answer = httpx.get(origin + "sub")
    assert (308, "/sub/") == (answer.status_code, answer.headers["Location"])
    assert "Sub" in httpx.get(origin + "sub/").text


def test_a_publication_is_verified_where_visitors_find_it(
    bench: Bench, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sitemap; another server than that of the site is noticed, and the release is taken back."""
    monkeypatch.setattr("tasks.publishing.engine.verifying._PATIENCE_S", 0.3)
    first = bench.publish(url=origin)
    assert {"sitemap.xml", "404.html"} <= bench.tree().keys()
    assert first.verified >= 5
    monkeypatch.setattr(SiteServer, "__call__", _another_site)
    with pytest.raises(VerificationFailed, match="is live again"):
        bench.publish(CHANGED)
    assert first.release == bench.place().pointer().release


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Cache-Control", "public, max-age=600", "may be kept without asking"),
        ("Content-Type", "application/octet-stream", "not as text/html"),
    ],
)
def test_a_web_server_with_other_headers_than_the_release_s_is_noticed(
    bench: Bench, origin: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    """Browsers would keep the page beside the next release's files, or not show it."""
    monkeypatch.setattr("tasks.publishing.engine.verifying._PATIENCE_S", 0.3)
    first = bench.publish(url=origin)
    serve = SiteServer.__call__

    def other(site: SiteServer, environ: Any, start: Any) -> Any:
        return serve(site, environ, lambda status, headers: start(status, [*(dict(headers) | {name: value}).items()]))

    monkeypatch.setattr(SiteServer, "__call__", other)
    with pytest.raises(VerificationFailed, match=told):
        bench.publish(CHANGED)
    assert first.release == bench.place().pointer().release


def test_headers_that_mean_the_same_are_right() -> None:
    """Older names of types, and what asks before it shows; what may be kept shorter is no fault."""
    content = Stored("0" * 64, 1)
    page = File(content, "text/html; charset=utf-8", REVALIDATED)
    for caching in ("", "no-cache", "max-age=0, must-revalidate", "No-Store, max-age=5", "private"):
        assert wrong_header(page, {"Content-Type": "Text/HTML", "Cache-Control": caching}) is None
    assert wrong_header(page, {"Content-Type": "text/html", "Cache-Control": "s-maxage=60"}) is not None
    assert "no type" in str(wrong_header(page, {}))
    assert wrong_header(File(content, "application/xml", REVALIDATED), {"Content-Type": "text/xml"}) is None
    assert wrong_header(File(content, "text/javascript", IMMUTABLE), {"Content-Type": "application/javascript"}) is None
    assert wrong_header(File(content, "text/css", IMMUTABLE), {"Content-Type": "text/css"}) is None


def test_an_address_that_workers_may_not_reach_is_told_before_anything_is_done(bench: Bench) -> None:
    """With the setting that would allow it."""
    job = bench.job()
    with pytest.raises(VerificationFailed, match="SWITCHYARD_EGRESS_ALLOW"):
        bench.publish(SITE, job, url="http://127.0.0.1:9/")
    assert not bench.live.exists()
