"""The ledger's tests run on SQLite and on PostgreSQL alike."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import metadata
from tests.servers import PostgreSQL

_numbers = count()


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


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """A prepared and empty ledger, on each database."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_ledger")
    ledger: Ledger = request.getfixturevalue("postgresql_ledger")
    with ledger.write() as connection:
        connection.execute(sa.text("TRUNCATE " + ", ".join(metadata.tables) + " CASCADE"))
    return ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger could be made: a database without tables, on each kind of server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.create(f"empty_{next(_numbers)}")
