"""How long a purge takes in a whole house before a real Varnish: by tag and by URL.

    python -m bench.publish_purges [--rounds N]

A site is published by way of a worker, and served by our server behind Varnish. Each round sees that Varnish has the
page, submits ``publishing.purge``, and asks for the page again, which has to come from the server anew. ``accepted`` is
from the job's acceptance to its end, ``step`` the purge itself.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import httpx

from bench.house import free_port, percentiles
from bench.whole_house import whole_house
from client import Switchyard
from tasks.publishing.serving import SiteServer
from tests.publishing.bench import SITE
from tests.publishing.varnish_server import varnish_serving
from workers.sites import _Quiet, _Threaded

_LOOKS_EVERY_S = 0.02
_BAR_S = 5.0


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=25, help="Purges of each sort.")
    with tempfile.TemporaryDirectory(prefix="bench-purges-") as scratch:
        print(json.dumps(measure(Path(scratch), rounds=parser.parse_args().rounds), indent=1))


def measure(scratch: Path, *, rounds: int) -> dict[str, Any]:
    """Purge ``rounds`` times by tag and as often by URL."""
    port, house = free_port(), scratch / "house"
    house.mkdir()
    folder = scratch / "site"
    folder.mkdir()
    for path, text in SITE.items():
        (folder / path).write_text(text)

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> Any:
        """The site's server, as soon as somebody knows where the site is."""
        (place,) = (house / "state" / "sites").glob("*/docs")
        return SiteServer(place)(environ, start)

    settings = {"SWITCHYARD_PUBLISH_CACHES": f"varnish:http://127.0.0.1:{port}"}
    with (
        make_server("127.0.0.1", 0, answer, _Threaded, _Quiet) as server,
        varnish_serving(scratch, port=port, origin=server.server_port) as site,
        whole_house(house, f"127.0.0.1:{port}", queues=("critical",), settings=settings) as client,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Switchyard(str(client.base_url), api_key=client.headers["Authorization"].split()[1]) as sdk:
            sdk.result(sdk.sites.publish(folder, "docs", url=site).job.id, timeout_s=60)
        found = {
            name: _purged(client, site, params, rounds)
            for name, params in {"tag": {"tags": ["changing"]}, "url": {"paths": ["index.html"]}}.items()
        }
        server.shutdown()
    return {"bench": "publish_purges", "bar_s": _BAR_S, **found}


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
