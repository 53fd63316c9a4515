"""A house per test: a private Redis, a ledger of its own, a hub."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import Ledger
from tasks.core.settings import Settings
from tests.app.streams.house import House, served
from tests.app.streams.redis_server import RedisServer


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger, to copy: migrating costs more than most tests."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.prepare()
    ledger.close()
    return path


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server of this test's own, to stop, freeze and start again."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(tmp_path: Path, empty_ledger: Path, own_redis: RedisServer) -> Settings:
    """Settings of a process that beats its streams' hearts quickly."""
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    return Settings(state_dir=tmp_path, redis_url=own_redis.url, heartbeat_s=0.25, stream_maxlen=100)


@pytest.fixture
def kernel(settings: Settings) -> Kernel:
    """A kernel; its house closes it."""
    return open_kernel(settings)


@pytest.fixture
def house(kernel: Kernel) -> Iterator[House]:
    """A house with one tenant."""
    house = House(kernel)
    yield house
    house.close()


@pytest.fixture(params=["redis", "ledger"])
def either_house(request: pytest.FixtureRequest, tmp_path: Path, empty_ledger: Path) -> Iterator[House]:
    """A house with its streams in Redis, then one with them in the ledger."""
    if request.param == "redis":
        yield request.getfixturevalue("house")
        return
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    house = House(open_kernel(Settings(state_dir=tmp_path, profile="local", heartbeat_s=0.25, stream_maxlen=100)))
    yield house
    house.close()


@pytest.fixture
def address(house: House) -> Iterator[str]:
    """Where the house answers HTTP, as host:port."""
    with served(house.app()) as address:
        yield address
