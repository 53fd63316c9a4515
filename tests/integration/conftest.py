"""pytest-celery's fixtures over local processes: override ``house_settings`` and ``worker_options`` in a module."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pytest_celery import CeleryBrokerCluster

from tasks.celery import SwitchyardCelery
from tests.integration.house import (
    House,
    LocalBroker,
    LocalWorker,
    LocalWorkers,
    environment,
    open_app,
    worker_arguments,
)
from tests.integration.processes import CommandContainer, RedisContainer


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """Settings that differ from the house's own, without their prefix."""
    return {}


@pytest.fixture(scope="module")
def worker_options() -> tuple[str, ...]:
    """Command-line options of the first worker."""
    return ("-Q", "analytics")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's house keeps everything."""
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def celery_broker(folder: Path) -> Iterator[LocalBroker]:
    """A private Redis."""
    broker = LocalBroker(RedisContainer(folder))
    yield broker
    broker.teardown()


@pytest.fixture(scope="module")
def celery_broker_cluster(celery_broker: LocalBroker) -> CeleryBrokerCluster:
    """The one broker."""
    cluster = CeleryBrokerCluster(celery_broker)
    cluster.ready()
    return cluster


@pytest.fixture(scope="module")
def celery_backend_cluster() -> None:
    """The ledger is the result backend, so there is no other process."""


@pytest.fixture(scope="module")
def house_env(
    folder: Path, celery_broker_cluster: CeleryBrokerCluster, house_settings: Mapping[str, str]
) -> dict[str, str]:
    """The environment of every process of the house."""
    return environment(folder, celery_broker_cluster[0].url, house_settings)


@pytest.fixture(scope="module")
def celery_setup_app(house_env: dict[str, str]) -> Iterator[SwitchyardCelery]:
    """Our own app, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        yield open_app(house_env, patch)


@pytest.fixture(scope="module")
def celery_worker(
    folder: Path, house_env: dict[str, str], worker_options: tuple[str, ...], celery_setup_app: SwitchyardCelery
) -> Iterator[LocalWorker]:
    """A plain ``celery -A tasks worker``."""
    arguments = worker_arguments(*worker_options)
    container = CommandContainer("worker", arguments, env=house_env, folder=folder, prompt="ready.")
    worker = LocalWorker(container, celery_setup_app)
    yield worker
    worker.teardown()


@pytest.fixture(scope="module")
def dispatcher(
    folder: Path, house_env: dict[str, str], celery_setup_app: SwitchyardCelery
) -> Iterator[CommandContainer]:
    """The dispatcher's process, which starts while the worker does."""
    arguments = ("-m", "workers", "dispatcher")
    container = CommandContainer("dispatcher", arguments, env=house_env, folder=folder, prompt="dispatcher_started")
    yield container
    container.teardown()


@pytest.fixture(scope="module")
def celery_worker_cluster(celery_worker: LocalWorker) -> LocalWorkers:
    """The first worker; a test may add others."""
    return LocalWorkers(celery_worker)


@pytest.fixture(scope="module")
def celery_setup_cls() -> type[House]:
    """Our setup."""
    return House


@pytest.fixture(scope="module")
def celery_setup(
    folder: Path,
    house_env: dict[str, str],
    celery_setup_cls: type[House],
    celery_setup_app: SwitchyardCelery,
    celery_worker_cluster: LocalWorkers,
    celery_broker_cluster: CeleryBrokerCluster,
    celery_backend_cluster: None,
    dispatcher: CommandContainer,
) -> Iterator[House]:
    """The house with its first worker, ready."""
    house = celery_setup_cls(
        worker_cluster=celery_worker_cluster,
        broker_cluster=celery_broker_cluster,
        backend_cluster=celery_backend_cluster,
        app=celery_setup_app,
    )
    house.furnish(folder, house_env)
    assert house.ready(ping=False, control=False, docker=True)
    yield house
    house.teardown()


@pytest.fixture
def house(celery_setup: House, dispatcher: CommandContainer) -> Iterator[House]:
    """The house of this module: Redis, a worker, a dispatcher, and nothing to do."""
    dispatcher.ready()
    yield celery_setup
    celery_setup.await_idle()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of it as slow, and keep a module's tests in one process, where they share a house."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(300))
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the newest output of every process of the house where a test failed."""
    outcome = yield
    report = outcome.get_result()
    found = getattr(item, "funcargs", {}).get("celery_setup")
    if report.failed and isinstance(found, House):
        for log in sorted(found.folder.glob("*.log")):
            report.sections.append((log.name, "\n".join(log.read_text(errors="replace").splitlines()[-60:])))
