"""``switchyard publish`` through the front door and a worker into a bucket, and what visitors get from its edge."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.integration.processes import REPOSITORY
from tests.publishing.bench import SITE
from tests.publishing.bucket_server import BucketServer
from tests.publishing.visitors import answers, style_of
from tests.samples import eventually
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]


@pytest.fixture
def store(yard: Yard) -> Iterator[BucketServer]:
    """The store that the yard's second target is in."""
    port = urlsplit(yard.bucket_url).port
    assert port is not None
    with BucketServer(port).running() as server:
        client = server.client()
        client.create_bucket(Bucket="pages")
        client.close()
        yield server


@pytest.fixture
def environ(yard: Yard) -> dict[str, str]:
    """Of the commands that an operator and a user run."""
    return os.environ | {
        "SWITCHYARD_STATE_DIR": str(yard.state_dir),
        "SWITCHYARD_PUBLISH_FILE": yard.publish_file,
        "SWITCHYARD_URL": yard.url,
        "SWITCHYARD_API_KEY": yard.key,
        "PYTHONPATH": str(REPOSITORY),
    }


def test_a_folder_goes_into_a_bucket_and_its_edge_shows_it(
    yard: Yard, client: Switchyard, store: BucketServer, environ: dict[str, str], tmp_path: Path
) -> None:
    """First, changed, back again, and a preview that is promoted; each as soon as the job has ended."""
    folder = tmp_path / "site"
    folder.mkdir()
    for path, text in SITE.items():
        (folder / path).write_text(text)
    command = [sys.executable, "-m", "client.command", "publish", str(folder), "--site", "bucket-docs", "--wait", "60"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr + done.stdout
    (first,) = client.sites.releases("bucket-docs")
    assert ("store", ("live",)) == (first.target, first.marks)
    assert not list((yard.state_dir / "sites").glob("*/bucket-docs")), "nothing of it goes to the folder"
    listen = f"127.0.0.1:{free_port()}"
    origin = f"http://{listen}/"
    edge = [sys.executable, "-m", "workers", "edge", "bucket-docs", "--listen", listen, "--threads", "4"]
    with subprocess.Popen(edge, env=environ, stdout=subprocess.DEVNULL) as served:
        try:
            assert eventually(lambda: answers(origin), within_s=60)
            page = httpx.get(origin)
            assert (200, "bucket-docs,bucket-docs-changing") == (page.status_code, page.headers["Cache-Tag"])
            assert 200 == httpx.get(origin + style_of(page.text)).status_code
            (folder / "index.html").write_text(SITE["index.html"].replace("First", "Changed"))
            sent = client.sites.publish(folder, "bucket-docs")
            assert 1 == sent.missing
            result = client.result(sent.job.id, timeout_s=60)
            assert ("store", first.release) == (result["target"], result["previous"])
            assert "Changed" in httpx.get(origin).text
            back = client.sites.roll_back("bucket-docs")
            assert first.release == client.result(back.id, timeout_s=60)["release"]
            assert page.content == httpx.get(origin).content
            (folder / "index.html").write_text(SITE["index.html"].replace("First", "Preview"))
            shown = client.sites.publish(folder, "bucket-docs", intent="preview")
            release = client.result(shown.job.id, timeout_s=60)["release"]
            link = yard.url + client.sites.preview("bucket-docs", release).path
            assert ("Preview" in httpx.get(link).text, page.content) == (True, httpx.get(origin).content)
            promoted = client.sites.roll_back("bucket-docs", release)
            assert release == client.result(promoted.id, timeout_s=60)["release"]
            assert httpx.get(link).content == httpx.get(origin).content
            part = httpx.get(origin, headers={"Range": "bytes=0-14", "Accept-Encoding": "identity"})
            assert (206, b"<!doctype html>") == (part.status_code, part.content.lower())
        finally:
            served.terminate()
