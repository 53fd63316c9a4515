"""What several parts of the suite share: a ledger, a private Redis, a kernel on both, a tenant."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
import structlog
from celery import Celery
from hypothesis import settings as hypothesis_settings

from tasks.core.artifacts import Artifacts
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import metadata
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.ledger_events import LedgerEvents
from tasks.core.redis_events import RedisEvents
from tasks.core.settings import Settings
from tests.servers import PostgreSQL, RedisServer

# Nothing listens here, so that connecting fails at once.
DEAD_REDIS_URL = "redis://127.0.0.1:1/0"

# `make test` draws the same examples each time, so that a change is judged by what it changed; `make test-all` draws
# others, and remembers those that failed.
hypothesis_settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis_settings.register_profile("searching", max_examples=300, deadline=None)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


# Every commit waits for the disk, which for all tests together takes minutes; here it does not.
_MEMORY = Path("/dev/shm")
_LEAST_ROOM_BYTES = 6 * 1024**3
# No gzip file is shorter than its head and its tail.
_LONG_BYTES = 17
_folder_in_memory = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the settings of whoever runs the suite out of it; no fixture, because collecting already reads them."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for name in [name for name in os.environ if name.startswith("SWITCHYARD_")]:
        patch.delenv(name)
    # A suite that a script runs in the background is deaf to Ctrl-C, and so would be all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" not in os.environ and _has_room_in_memory():
        config.stash[_folder_in_memory] = folder = _make_folder_in_memory()
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name a case of many bytes after its argument: a gzip file holds the second it was made in, and processes that
    collect in different seconds would have different tests."""
    return argname if isinstance(val, bytes) and len(val) > _LONG_BYTES else None


def _has_room_in_memory() -> bool:
    if not _MEMORY.is_dir():
        return False
    system = os.statvfs(_MEMORY)
    return not system.f_flag & os.ST_NOEXEC and system.f_bavail * system.f_frsize > _LEAST_ROOM_BYTES


def _make_folder_in_memory() -> Path:
    """Make this run's folder; what ended runs have left goes."""
    for left in _MEMORY.glob("switchyard-tests-*"):
        if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = _MEMORY / f"switchyard-tests-{os.getpid()}"
    folder.mkdir(mode=0o711)  # PostgreSQL's user must get through
    return folder


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Give the memory back, unless somebody may want to look at what a failed test left."""
    folder = session.config.stash.get(_folder_in_memory, None)
    if folder is not None and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count no lines in slow tests: the others reach the same, and counting makes Python half as fast."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    # structlog's default draws tracebacks with every local variable, which takes seconds.
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ]
    )


@pytest.fixture
def make_settings(tmp_path: Path, sqlite_template: Path) -> Callable[..., Settings]:
    """Settings on this test's folder, with an empty ledger in it, and without a Redis unless one is given."""
    (tmp_path / "state").mkdir()
    shutil.copy(sqlite_template, tmp_path / "state" / "ledger.db")

    def make(**values: object) -> Settings:
        return Settings(**({"state_dir": tmp_path / "state", "redis_url": DEAD_REDIS_URL} | values))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Settings without a Redis."""
    return make_settings()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated and empty ledger file, to copy."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.prepare()
    ledger.close()
    return path


@pytest.fixture
def sqlite_ledger(sqlite_template: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A prepared SQLite ledger."""
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    ledger = Ledger(f"sqlite:///{path}")
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A private PostgreSQL cluster; without the server's programs its tests are skipped, and say so."""
    if not PostgreSQL.is_installed():
        pytest.skip("no PostgreSQL server (initdb, postgres) on the PATH")
    server = PostgreSQL()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgresql_ledger(postgresql: PostgreSQL) -> Iterator[Ledger]:
    """A prepared PostgreSQL ledger, kept for the whole run."""
    ledger = Ledger(postgresql.create("ledger"))
    ledger.prepare()
    yield ledger
    ledger.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def either_ledger(request: pytest.FixtureRequest) -> Ledger:
    """A prepared and empty ledger, on each database."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_ledger")
    ledger: Ledger = request.getfixturevalue("postgresql_ledger")
    with ledger.write() as connection:
        connection.execute(sa.text("TRUNCATE " + ", ".join(metadata.tables) + " CASCADE"))
    return ledger


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    """A prepared ledger; ``tests/core/ledger`` and modules that ask for ``either_ledger`` run on PostgreSQL too."""
    return sqlite_ledger


@pytest.fixture
def tenant(ledger: Ledger) -> Tenant:
    """A tenant of ``ledger``."""
    tenant = tenant_of(ledger, create_key(ledger, tenant="acme", name="test"))
    assert tenant is not None
    return tenant


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    """One private redis-server for the whole run; tests ask for ``redis_server``."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_server(redis_process: RedisServer) -> Iterator[RedisServer]:
    """A private Redis, running and empty."""
    redis_process.restore()
    yield redis_process
    redis_process.restore()


@pytest.fixture
def sender(redis_server: RedisServer) -> Iterator[Celery]:
    """Celery as our processes have it, with ``redis_server`` as its broker."""
    app = Celery("sender", set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(broker_url=redis_server.url)
    yield app
    app.close()


@pytest.fixture
def kernel(ledger: Ledger, redis_server: RedisServer, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel on ``ledger`` and ``redis_server``."""
    settings = Settings(state_dir=tmp_path, ledger_url=ledger.url, redis_url=redis_server.url)
    events = RedisEvents(settings.redis_url, maxlen=settings.stream_maxlen, ttl_s=settings.stream_ttl_s)
    kernel = Kernel(settings, ledger, events, Artifacts(settings.resolved_storage_dir, ledger))
    yield kernel
    kernel.soon.close()
    events.close()


@pytest.fixture
def local_kernel(ledger: Ledger, tmp_path: Path) -> Kernel:
    """A kernel on ``ledger`` alone, as profile ``local`` has it."""
    settings = Settings(state_dir=tmp_path, ledger_url=ledger.url, redis_url=DEAD_REDIS_URL, profile="local")
    events = LedgerEvents(ledger, maxlen=settings.stream_maxlen, ttl_s=settings.stream_ttl_s)
    return Kernel(settings, ledger, events, Artifacts(settings.resolved_storage_dir, ledger))


@pytest.fixture(params=["redis", "ledger"])
def either_kernel(request: pytest.FixtureRequest) -> Kernel:
    """A kernel with its live events in Redis, then one with them in the ledger."""
    return request.getfixturevalue({"redis": "kernel", "ledger": "local_kernel"}[request.param])
