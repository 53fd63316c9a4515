"""A crawl over HTTP/2, of a real nginx."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import certifi
import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.crawling.contract import SiteRequest
from tasks.crawling.engine import visiting
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.site import crawl
from tests.crawling.conftest import ExtractionHere
from tests.crawling.local_site import html
from tests.fakes import FakeJob
from tests.samples import eventually
from tests.servers import free_port

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None, reason="nginx or openssl is not installed"
)

PAGES = 40
# A connection is closed after so many requests, with others under way on it.
REQUESTS_A_CONNECTION = 15
_MAIN = """
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{}}
http {{
  log_format protocol "$server_protocol $status $connection";
  access_log {folder}/access.log protocol;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type text/html;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    keepalive_requests {requests};
    root {folder}/pages;
  }}
}}
"""


@dataclass(frozen=True)
class Server:
    """nginx, and what it noted of each request: protocol, status and the connection's number."""

    port: int
    folder: Path

    @property
    def log(self) -> list[list[str]]:
        return [line.split() for line in (self.folder / "access.log").read_text().splitlines()]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve pages that all link to each other, with a certificate of ours that the crawl trusts."""
    folder = tmp_path / "nginx"
    (folder / "pages").mkdir(parents=True)
    links = [f"/{n}.html" for n in range(PAGES)]
    for name in ("index.html", *(link[1:] for link in links)):
        (folder / "pages" / name).write_bytes(html(f"/{name}", *links))
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    name_of_it = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *key, *name_of_it], cwd=folder, check=True, capture_output=True)
    monkeypatch.setattr(certifi, "where", lambda: str(folder / "cert.pem"))
    port, user = free_port(), pwd.getpwuid(os.getuid()).pw_name
    (folder / "nginx.conf").write_text(
        _MAIN.format(folder=folder, user=user, port=port, requests=REQUESTS_A_CONNECTION)
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert eventually((folder / "nginx.pid").is_file, within_s=30), (folder / "error.log").read_text()
        yield Server(port, folder)
        process.terminate()


def test_crawl_speaks_http2_and_outlives_its_connections(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few connections carry all requests; what was under way when one is closed is asked for again on the next."""
    monkeypatch.setattr(visiting, "Extraction", ExtractionHere)
    request = SiteRequest(url=f"https://127.0.0.1:{server.port}/", delay_s=0, concurrency=4, use_sitemap=False)
    with Egress(EgressPolicy(allow=frozenset({f"127.0.0.1:{server.port}"}))) as egress:
        job = FakeJob(workdir=tmp_path, http=egress)
        result = crawl(request, job, limits=FetchLimits(retries=10, backoff_s=0.01))
    assert (result.pages_ok, result.pages_failed) == (PAGES + 1, 0)
    assert {protocol for protocol, _, _ in server.log} == {"HTTP/2.0"}
    connections = {connection for _, _, connection in server.log}
    assert 3 <= len(connections) <= 12
