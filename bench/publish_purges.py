"""How long a purge takes in a whole house before a real Varnish: by tag and by URL.

    python -m bench.publish_purges [--rounds N]

A site is published by way of a worker, and served by our server behind Varnish. Each round sees that Varnish has the
page, submits ``publishing.purge``, and asks for the page again, which has to come from the server anew. ``accepted`` is
from the job's acceptance to its end, ``step`` the purge itself. All of it is done twice: with Varnish told directly
(``varnish:``), and told by a door that takes purges as Cloudflare's API does (``http:``), which passes each on to it.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from bench.house import free_port, percentiles
from bench.whole_house import whole_house
from client import Switchyard
from tasks.publishing.caches import TAG_HEADER
from tasks.publishing.serving import SiteServer
from tests.publishing.bench import SITE
from tests.publishing.varnish_server import varnish_serving
from workers.sites import server_on_loopback

S = TypeVar("S", bound=TCPServer)
_LOOKS_EVERY_S = 0.02
_BAR_S = 5.0
_TOKEN = "bench-token"  # of a door that lives for the bench


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=25, help="Purges of each sort.")
    rounds = parser.parse_args().rounds
    found: dict[str, Any] = {"bench": "publish_purges", "bar_s": _BAR_S}
    for cache in ("varnish", "http"):
        with tempfile.TemporaryDirectory(prefix="bench-purges-") as scratch:
            found[cache] = measure(Path(scratch), cache=cache, rounds=rounds)
    print(json.dumps(found, indent=1))


def measure(scratch: Path, *, cache: str, rounds: int) -> dict[str, Any]:
    """Purge ``rounds`` times by tag and as often by URL, by a cache's entry of this sort."""
    port, house = free_port(), scratch / "house"
    house.mkdir()
    folder = scratch / "site"
    folder.mkdir()
    for path, text in SITE.items():
        (folder / path).write_text(text)

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> Any:
        """The site's server, as soon as somebody knows where the site is."""
        for place in (house / "state" / "sites").glob("*/docs"):
            return SiteServer(place)(environ, start)
        start("404 Not Found", [])
        return []

    with _served(server_on_loopback(answer)) as server, _served(_Door(f"127.0.0.1:{port}")) as door:
        settings = {
            "SWITCHYARD_PUBLISH_CACHE_TOKEN": _TOKEN,
            "SWITCHYARD_EGRESS_ALLOW": f"127.0.0.1:{port},127.0.0.1:{door.server_port}",
            "SWITCHYARD_PUBLISH_CACHES": f"http:{door.url}" if cache == "http" else f"varnish:http://127.0.0.1:{port}",
        }
        with (
            varnish_serving(scratch, port=port, origin=server.server_port) as site,
            whole_house(house, f"127.0.0.1:{port}", queues=("critical",), settings=settings) as client,
        ):
            with Switchyard(str(client.base_url), api_key=client.headers["Authorization"].split()[1]) as sdk:
                sdk.result(sdk.sites.publish(folder, "docs", url=site).job.id, timeout_s=60)
            before = door.passed
            found = {
                name: _purged(client, site, params, rounds)
                for name, params in {"tag": {"tags": ["changing"]}, "url": {"paths": ["index.html"]}}.items()
            }
        assert cache == "varnish" or door.passed - before >= 2 * rounds, "the door was not asked"
    return found


class _Door(ThreadingHTTPServer):
    """Takes ``{"files": […]}`` and ``{"tags": […]}`` with a Bearer token; answers once Varnish has forgotten them."""

    daemon_threads = True

    def __init__(self, varnish: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.varnish = varnish
        self.passed = 0
        self.url = f"http://127.0.0.1:{self.server_port}/purge_cache"


class _Passing(BaseHTTPRequestHandler):
    server: _Door

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_let_in = self.headers["Authorization"] == f"Bearer {_TOKEN}"
        statuses = [self._pass(method, path, more) for method, path, more in _requests(said)] if is_let_in else [403]
        self.send_response(max(statuses))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _pass(self, method: str, path: str, more: dict[str, str]) -> int:
        varnish = self.server.varnish
        self.server.passed += 1
        return httpx.request(method, f"http://{varnish}{path}", headers={"Host": varnish} | more).status_code

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of single requests."""


def _requests(said: dict[str, list[str]]) -> Iterator[tuple[str, str, dict[str, str]]]:
    for url in said.get("files", ()):
        yield "PURGE", urlsplit(url).path, {}
    for tag in said.get("tags", ()):
        yield "BAN", "/", {TAG_HEADER: tag}


@contextmanager
def _served(server: S) -> Iterator[S]:
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _purged(client: httpx.Client, site: str, params: dict[str, Any], rounds: int) -> dict[str, Any]:
    accepted, steps, wrong = [], [], 0
    for _ in range(rounds):
        httpx.get(site)
        assert _is_kept(site), "Varnish does not keep the page"
        answer = client.post("/api/jobs", json={"kind": "publishing.purge", "params": {"site": "docs", **params}})
        answer.raise_for_status()
        job = _ended(client, answer.json()["id"])
        wrong += _is_kept(site)
        began, ended = (datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at"))
        accepted.append((ended - began).total_seconds())
        steps.append(job["result"]["seconds"])
    return {
        "purges": rounds,
        "old_pages_after": wrong,
        "accepted": percentiles(accepted),
        "step": percentiles(steps),
        "is_within_bar": max(accepted) <= _BAR_S and not wrong,
    }


def _is_kept(site: str) -> bool:
    """Whether Varnish answers by itself: then it names the request that brought the page, besides this one."""
    return len(httpx.get(site).headers["X-Varnish"].split()) == 2


def _ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
        if job["state"] in ("failed", "cancelled"):
            raise RuntimeError(job)
        if job["state"] == "succeeded":
            return job
        time.sleep(_LOOKS_EVERY_S)


if __name__ == "__main__":
    main()
