"""What tests of publishing share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tasks.publishing.bucket import Bucket
from tests.publishing.bench import Bench
from tests.publishing.bucket_server import BucketServer, RcloneServer, Road


@pytest.fixture
def bench(tmp_path: Path, sqlite_ledger: Ledger, tenant: Tenant) -> Bench:
    """Publishing of one tenant, in a folder."""
    return Bench(tmp_path / "bench", sqlite_ledger, tenant)


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[BucketServer]:
    """A server of S3's protocol; ``SWITCHYARD_TEST_S3_PORT``: one that runs on loopback already, and lets us in."""
    if port := os.environ.get("SWITCHYARD_TEST_S3_PORT"):
        yield BucketServer(int(port))
        return
    with BucketServer().running() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """Another one."""
    if RcloneServer.program() is None:
        pytest.skip("rclone is not installed")
    with RcloneServer(folder=tmp_path_factory.mktemp("rclone")).running() as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def each_bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """A new bucket of each server."""
    name = {"moto": "bucket_server", "rclone": "rclone_server"}[request.param]
    server: BucketServer = request.getfixturevalue(name)
    bucket = server.bucket(tries=2)
    yield bucket
    bucket.close()


@pytest.fixture
def road(bucket_server: BucketServer) -> Iterator[Road]:
    """The way to it, on which things can go wrong."""
    with Road(bucket_server).open() as road:
        yield road


@pytest.fixture
def bucket(bucket_server: BucketServer, road: Road) -> Iterator[Bucket]:
    """A new bucket, by way of ``road``; what fails is tried once more, not four times."""
    bucket = bucket_server.bucket(url=road.url, tries=2)
    yield bucket
    bucket.close()


@pytest.fixture
def bucket_bench(bench: Bench, bucket: Bucket) -> Bench:
    """Publishing of one tenant, into that bucket."""
    bench.bucket = bucket
    return bench
