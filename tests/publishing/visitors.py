"""A real nginx on a generated configuration, and visitors who ask it for a page while releases are swapped."""

import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.publishing.bench import PAGE, SITE, Bench
from tests.samples import eventually

PATIENCE_S = 60.0
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


@contextmanager
def nginx_serving(folder: Path, site: str, *, port: int) -> Iterator[str]:
    """Run nginx on the configuration of one site, which listens on this port of loopback; yield its address."""
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{port}/"
            assert eventually(lambda: answers(url), within_s=20), (folder / "error.log").read_text()
            yield url
        finally:
            server.terminate()


def answers(url: str) -> bool:
    """Tell whether anything answers there."""
    try:
        return httpx.get(url).status_code > 0
    except httpx.HTTPError:
        return False


def style_of(page: str) -> str:
    """The name of the page's style sheet."""
    found = re.search(r"style\.[0-9a-f]{12}\.css", page)
    assert found is not None
    return found.group()


def two_versions(bench: Bench) -> list[str]:
    """Publish the site as version 0 and 1, each with a style sheet that is of it alone; return their releases."""
    return [
        bench.publish(SITE | {"index.html": PAGE.format(f"Version {n}"), "style.css": f"p{{width:{n}px}}"}).release
        for n in range(2)
    ]


class Visitors:
    """Two, who ask for a page of ``two_versions`` and then for its style sheet, again and again; as ``with``."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(2)]
        self.versions: list[str] = []
        """What each visit saw."""
        self.wrong: Counter[str] = Counter()
        """Visits that were answered with another status than 200, by that, or that saw two releases: ``mixed``."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def await_another(self) -> None:
        """Wait until somebody has been there again."""
        seen = len(self.versions)
        assert eventually(lambda: len(self.versions) > seen, within_s=30)

    def _visit(self) -> None:
        # How long an answer takes on a busy machine is not what they look at.
        with httpx.Client(timeout=PATIENCE_S) as client:
            while not self._is_over.is_set():
                try:
                    page = client.get(self._origin)
                    style = client.get(self._origin + style_of(page.text)) if page.status_code == 200 else page
                except httpx.HTTPError as exc:
                    self.wrong[type(exc).__name__] += 1
                    continue
                version = page.text.partition("Version ")[2][:1]
                status = max(page.status_code, style.status_code)
                if status != 200:
                    self.wrong[str(status)] += 1
                elif f"{version}px" not in style.text:
                    self.wrong["mixed"] += 1
                self.versions.append(version)
