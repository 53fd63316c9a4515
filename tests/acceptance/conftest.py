"""A whole Switchyard over HTTP: Redis, the web server, the dispatcher, and one plain ``celery -A tasks worker``."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from client import Switchyard
from tests.acceptance.site import Site
from tests.discovery.local_shop import LocalShop, local_shop
from tests.integration.processes import CommandContainer, RedisContainer, await_true
from tests.publishing.bucket_server import KEY, SECRET
from tests.servers import free_port

PUBLISH_FILE = """
[target.store]
sites = ["*/bucket-*"]
bucket = "pages/yard"
url = "{url}"
key = "{key}"
secret = "{secret}"
"""
QUEUES = {"critical", "ai", "crawler", "voice", "analytics", "maintenance"}


@dataclass(frozen=True)
class Yard:
    """Where it answers, and the keys of two tenants."""

    url: str
    key: str
    other_key: str
    state_dir: Path
    flower_url: str
    redis_url: str = ""
    publish_file: str = ""
    bucket_url: str = ""
    """Where a store is expected, in whose bucket `pages` the sites `bucket-…` go; who needs it starts it."""


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A small site on loopback."""
    with Site() as served:
        yield served


@pytest.fixture(scope="session")
def shop() -> Iterator[LocalShop]:
    """A shop of ten pages on loopback, with a search and a form to write to."""
    with local_shop() as served:
        yield served


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory, site: Site, shop: LocalShop) -> Iterator[Yard]:
    """Everything, started as a person would start it."""
    folder = tmp_path_factory.mktemp("yard")
    redis = RedisContainer(folder)
    port, bucket_url = free_port(), f"http://127.0.0.1:{free_port()}"
    publish_file = folder / "publishing.toml"
    publish_file.write_text(PUBLISH_FILE.format(url=bucket_url, key=KEY, secret=SECRET))
    environment = {
        **os.environ,
        "SWITCHYARD_STATE_DIR": str(folder / "state"),
        "SWITCHYARD_REDIS_URL": redis.url,
        "SWITCHYARD_PORT": str(port),
        "SWITCHYARD_PUBLISH_FILE": str(publish_file),
        "SWITCHYARD_EGRESS_ALLOW": f"{site.endpoint},{shop.endpoint}",
        "SWITCHYARD_CORS_ORIGINS": site.origin,
        "SWITCHYARD_EXTRA_FAMILIES": "tests.faulty",
        "SWITCHYARD_HEARTBEAT_S": "1",
        "SWITCHYARD_DRAIN_S": "0",
        "SWITCHYARD_DRAIN_GRACE_S": "1",
    }

    def start(name: str, *arguments: str) -> CommandContainer:
        started = CommandContainer(name, arguments, env=environment, folder=folder, prompt=None)
        running.append(started)
        return started

    running: list[CommandContainer] = []
    try:
        start("web", "-m", "app")
        url = f"http://127.0.0.1:{port}"
        await_true(lambda: _is_ready(url), what="the web server is ready")
        start("dispatcher", "-m", "workers", "dispatcher")
        start("worker", "-m", "celery", "-A", "tasks", "worker")
        key = (folder / "state" / "dev-key").read_text().strip()
        other = CommandContainer(
            "keys",
            ["-m", "app", "keys", "create", "--tenant", "other", "--name", "second"],
            env=environment,
            folder=folder,
            prompt=None,
        )
        assert other.wait() == 0
        other_key = next(word for word in other.logs().split() if word.startswith("sy_"))
        await_true(lambda: _serves_all(url, key), what="a worker serves all six queues", within_s=90)
        yield Yard(url, key, other_key, folder / "state", "", redis.url, str(publish_file), bucket_url)
    finally:
        for process in reversed(running):
            process.teardown()
        redis.teardown()


@pytest.fixture
def client(yard: Yard) -> Iterator[Switchyard]:
    """The SDK, as the first tenant."""
    with Switchyard(yard.url, api_key=yard.key) as opened:
        yield opened


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _serves_all(url: str, key: str) -> bool:
    answer = httpx.get(f"{url}/api/workers", headers={"Authorization": f"Bearer {key}"}, timeout=5).json()
    return any(set(worker["queues"]) == QUEUES and worker["state"] == "up" for worker in answer["workers"])
