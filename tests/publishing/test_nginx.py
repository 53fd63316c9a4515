"""A real nginx on the generated configuration, while releases are swapped under load."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.publishing.nginx import nginx_config
from tests.publishing.bench import PAGE, SITE, Bench
from tests.publishing.visitors import Visitors, nginx_serving, style_of, two_versions
from tests.servers import free_port

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


# Among them what Debian's nginx has no type or another one for.
_ENDINGS = (
    "mjs",
    "js",
    "css",
    "map",
    "webmanifest",
    "ttf",
    "otf",
    "woff2",
    "vtt",
    "md",
    "csv",
    "xml",
    "rss",
    "wasm",
    "zzz",
)
_OF_ALL_TYPES = {f"type.{ending}": b"x" for ending in _ENDINGS}


@pytest.fixture
def origin(bench: Bench, tmp_path: Path) -> Iterator[str]:
    """Where nginx serves ``docs``."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    site = bench.folder / "places" / "docs"
    config = nginx_config(site, server_name="localhost", listen=f"127.0.0.1:{port}")
    with nginx_serving(folder, config, port=port) as url:
        yield url


def test_nginx_serves_what_the_manifest_says(bench: Bench, origin: str) -> None:
    """Types, cache headers, compressed forms, ETags by content, the 404 page, assets of the release before."""
    bench.publish(SITE | {"sub/index.html": PAGE.format("Sub"), "logo.png": b"png"} | _OF_ALL_TYPES)
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
    with httpx.Client() as client:
        for path, file in bench.place().manifest(bench.place().pointer().release).files.items():
            if path.startswith("type."):
                told = client.get(origin + path).headers
                assert (file.media_type, file.cache_control) == (told["Content-Type"], told["Cache-Control"]), path
    assert "public, max-age=300" == httpx.get(f"{origin}logo.png").headers["Cache-Control"]
    assert "/sub/" == httpx.get(f"{origin}sub").headers["Location"]
    missing = httpx.get(f"{origin}not/there")
    assert (404, True) == (missing.status_code, "Not found" in missing.text)
    style = origin + style_of(page.text)
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
    releases, place = two_versions(bench), bench.place()
    with Visitors(origin) as visitors:
        for n in range(100):
            place.activate(releases[n % 2], bench.turn())
            visitors.await_another()
    assert not visitors.wrong
    assert {"0", "1"} == set(visitors.versions)
