"""Documents of a site: each once, bounded, and none where none can be had."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.discovery.engine import fetching
from tasks.discovery.engine.fetching import SiteFetch
from tasks.discovery.engine.running.sessions import SignedIn
from tests.discovery.local_shop import LocalShop, local_shop


@pytest.fixture(scope="module")
def shop() -> Iterator[LocalShop]:
    with local_shop() as served:
        yield served


@pytest.fixture
def fetch(shop: LocalShop) -> Iterator[SiteFetch]:
    with Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress, closing(egress.client()) as client:
        yield SiteFetch(client)


def test_a_document_is_fetched_once(shop: LocalShop, fetch: SiteFetch) -> None:
    """Whatever part of it is meant; asked for in another form it is another."""
    before = shop.hits["/about"]
    documents = [fetch(f"{shop.origin}/about{part}") for part in ("", "#a", "#b")]
    assert before + 1 == shop.hits["/about"]
    assert documents[0] is documents[1] is documents[2]
    assert documents[0] is not None
    assert (200, "text/html") == (documents[0].status, documents[0].media_type)
    assert "About us" in documents[0].text
    fetch(f"{shop.origin}/about", accept="application/json")
    assert before + 2 == shop.hits["/about"]


def test_a_refusal_of_the_site_is_an_answer(shop: LocalShop, fetch: SiteFetch) -> None:
    """404 is one like any other."""
    found = fetch(f"{shop.origin}/openapi.json")
    assert found is not None
    assert 404 == found.status


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://169.254.169.254/x", "file:///etc/passwd", "http://["])
def test_what_cannot_be_had_is_none(fetch: SiteFetch, url: str) -> None:
    """Refused, out of reach, or no address."""
    assert fetch(url) is None


def test_what_is_too_large_is_none(shop: LocalShop) -> None:
    """The bound is the client's."""
    shop.pages["/large"] = "x" * 5000
    with (
        Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress,
        closing(egress.client(max_bytes=1000)) as client,
    ):
        assert SiteFetch(client)(f"{shop.origin}/large") is None


def test_there_is_an_end_to_documents_and_to_time(
    shop: LocalShop, fetch: SiteFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After which nothing is asked for."""
    monkeypatch.setattr(fetching, "MAX_DOCUMENTS", 2)
    found = [fetch(f"{shop.origin}/{name}") for name in ("about", "terms", "products")]
    assert [True, True, False] == [one is not None for one in found]
    with Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress, closing(egress.client()) as client:
        assert SiteFetch(client, total_limit_s=0)(f"{shop.origin}/about") is None


class Door:
    """Answers those with the right cookie, sends others to the sign-in; ``cookies`` are those that came, by path."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.endpoint = f"127.0.0.1:{server.server_port}"
        self.origin = f"http://{self.endpoint}"
        self.leads_to: dict[str, str] = {}
        self.cookies: dict[str, list[str]] = {}


@contextmanager
def door() -> Iterator[Door]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            cookie = self.headers.get("Cookie", "")
            served.cookies.setdefault(self.path, []).append(cookie)
            target = served.leads_to.get(self.path)
            self.send_response(302 if target else 200 if "sid=" in cookie else 401)
            self.send_header("Location", target) if target else None
            self.send_header("Set-Cookie", "sid=newer") if self.path == "/renews" else None
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Door(server)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def test_a_sign_in_opens_documents_of_its_origin_and_is_told_to_no_other() -> None:
    """Through redirects, too; a port is another origin, although cookies do not know ports."""
    with door() as own, door() as other:
        allowed = EgressPolicy(allow=frozenset({own.endpoint, other.endpoint}))
        state = {
            "cookies": [
                {"name": "sid", "value": "s3cret", "domain": "127.0.0.1", "path": "/"},
                {"name": "admin", "value": "1", "domain": "127.0.0.1", "path": "/admin"},
                {"name": "tracker", "value": "1", "domain": "ads.example", "path": "/"},
            ]
        }
        own.leads_to = {"/moved": "/there", "/out": f"{other.origin}/taken", "/around": f"{other.origin}/back"}
        other.leads_to = {"/back": f"{own.origin}/home"}
        with Egress(allowed) as egress, closing(egress.client()) as client:
            fetch = SiteFetch(client, signed_in=SignedIn(state, own.origin))
            paths = ("/openapi.json", "/admin/api.json", "/moved", "/out", "/around", "/renews", "/after")
            statuses = [found.status for path in paths if (found := fetch(own.origin + path)) is not None]
            assert [200, 200, 200, 401, 200, 200, 200] == statuses
            posted = fetch.post_json(f"{own.origin}/graphql", {"query": "{__typename}"})
        assert posted is not None
        assert 200 == posted.status
    assert {"/taken": [""], "/back": [""]} == other.cookies
    assert ["sid=s3cret"] == own.cookies["/openapi.json"] == own.cookies["/there"] == own.cookies["/home"]
    assert ["sid=s3cret; admin=1"] == [
        "; ".join(sorted(pairs.split("; "), reverse=True)) for pairs in own.cookies["/admin/api.json"]
    ]
    assert ["sid=newer"] == own.cookies["/after"] == own.cookies["/graphql"]


def test_without_a_sign_in_documents_behind_one_stay_shut() -> None:
    """As a stranger sees them."""
    with door() as own, Egress(EgressPolicy(allow=frozenset({own.endpoint}))) as egress:
        with closing(egress.client()) as client:
            found = SiteFetch(client)(f"{own.origin}/openapi.json")
        assert found is not None
        assert (401, [""]) == (found.status, own.cookies["/openapi.json"])
