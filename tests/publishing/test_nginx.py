"""A real nginx on the generated configuration, while releases are swapped under load."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.publishing.nginx import nginx_config
from tests.publishing.bench import PAGE, SITE, Bench
from tests.samples import eventually
from tests.servers import free_port

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

_MAIN = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  include {folder}/site.conf;
}}
"""


@pytest.fixture
def origin(bench: Bench, tmp_path: Path) -> Iterator[str]:
    """Where nginx serves ``docs``."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    site = bench.folder / "places" / "docs"
    (folder / "site.conf").write_text(nginx_config(site, server_name="localhost", listen=f"127.0.0.1:{port}"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}/"
        assert eventually(lambda: _answers(url), within_s=20), (folder / "error.log").read_text()
        yield url
        server.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code > 0
    except httpx.HTTPError:
        return False


def test_nginx_serves_what_the_manifest_says(bench: Bench, origin: str) -> None:
    """Types, cache headers, compressed forms, ETags by content, the 404 page, assets of the release before."""
    bench.publish(SITE | {"sub/index.html": PAGE.format("Sub"), "logo.png": b"png"})
    page = httpx.get(origin, headers={"Accept-Encoding": "gzip"})
    assert (200, "gzip", "no-cache", "text/html; charset=utf-8", '"/site.speculationrules"', None) == (
        page.status_code,
        page.headers.get("Content-Encoding"),
        page.headers.get("Cache-Control"),
        page.headers.get("Content-Type"),
        page.headers.get("Speculation-Rules"),
        page.headers.get("Last-Modified"),
    )
    plain = {"Accept-Encoding": "identity"}
    known = plain | {"If-None-Match": httpx.get(origin, headers=plain).headers["ETag"]}
    assert 304 == httpx.get(origin, headers=known).status_code
    rules = httpx.get(f"{origin}site.speculationrules")
    assert "application/speculationrules+json" == rules.headers["Content-Type"].partition(";")[0]
    assert "public, max-age=300" == httpx.get(f"{origin}logo.png").headers["Cache-Control"]
    assert "/sub/" == httpx.get(f"{origin}sub").headers["Location"]
    missing = httpx.get(f"{origin}not/there")
    assert (404, True) == (missing.status_code, "Not found" in missing.text)
    style = origin + _style_of(page.text)
    bench.publish(SITE | {"style.css": "body { color: red }"})
    kept = httpx.get(style)
    assert (200, "public, max-age=31536000, immutable") == (kept.status_code, kept.headers["Cache-Control"])
    same_size = [bench.publish(SITE | {"index.html": PAGE.format(f"Versio{n}")}) for n in "ab"]
    assert same_size[0].size_bytes == same_size[1].size_bytes
    tag = httpx.get(origin).headers["ETag"]
    bench.roll_back()
    assert tag != httpx.get(origin).headers["ETag"], "of the same size and moment, and not the same"


def test_100_swaps_under_load_show_no_mix_no_404_and_no_5xx(bench: Bench, origin: str) -> None:
    """Each visitor gets a page and the style sheet that it was made with."""
    releases = [
        bench.publish(SITE | {"index.html": PAGE.format(f"Version {n}"), "style.css": f"p{{width:{n}px}}"}).release
        for n in range(2)
    ]
    wrong: list[str] = []
    visits: list[str] = []
    is_over = threading.Event()

    def visit() -> None:
        with httpx.Client() as client:
            while not is_over.is_set():
                page = client.get(origin)
                style = client.get(origin + _style_of(page.text)) if page.status_code == 200 else page
                version = page.text.partition("Version ")[2][:1]
                if (200, 200) != (page.status_code, style.status_code) or f"{version}px" not in style.text:
                    wrong.append(f"{page.status_code} {style.status_code} {version!r} {style.text[:80]}")
                visits.append(version)

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    try:
        place = bench.place()
        for n in range(100):
            seen = len(visits)
            place.activate(releases[n % 2], bench.turn())
            assert eventually(lambda before=seen: len(visits) > before, within_s=30)  # type: ignore[misc]
    finally:
        is_over.set()
        for visitor in visitors:
            visitor.join()
    assert [] == wrong
    assert {"0", "1"} == set(visits)


def _style_of(page: str) -> str:
    found = re.search(r"style\.[0-9a-f]{12}\.css", page)
    assert found is not None
    return found.group()
