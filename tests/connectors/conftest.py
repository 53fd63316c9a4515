"""A service on loopback, and a job that may speak to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tests.connectors.translations import Translations
from tests.fakes import FakeJob


@pytest.fixture
def translations() -> Iterator[Translations]:
    """The service."""
    with Translations() as service:
        yield service


@pytest.fixture
def make_job(translations: Translations, tmp_path: Path) -> Iterator[Callable[..., FakeJob]]:
    """A factory of jobs that may speak to the service, and to nothing else on loopback."""
    with Egress(EgressPolicy(allow=frozenset({translations.endpoint}))) as egress:
        yield lambda **values: FakeJob(workdir=tmp_path, http=values.pop("http", egress), **values)


@pytest.fixture
def job(make_job: Callable[..., FakeJob]) -> FakeJob:
    """One such job."""
    return make_job()
