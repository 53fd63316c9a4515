"""Bring the ledger's tables to this version, once, however many processes start together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tasks.core.errors import ConfigurationRefused

# Any number will do, as long as nobody else on the same PostgreSQL uses it.
_ADVISORY_LOCK = 7_305_117


def ensure_schema(engine: Engine, *, auto_migrate: bool) -> None:
    """Migrate to the newest revision under a lock, or check that it is there.

    Raises:
        ConfigurationRefused: the tables are behind and ``auto_migrate`` is off, or they are from a newer version.
    """
    scripts = ScriptDirectory.from_config(_config())
    head = scripts.get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationRefused(f"The ledger is at revision {current}, newer than this version knows.")
    if not auto_migrate:
        raise ConfigurationRefused(
            f"The ledger is at revision {current}, this version needs {head}: run `python -m workers migrate`."
        )
    migrate(engine)


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade (or downgrade) the tables to ``revision`` in one transaction.

    Raises:
        ConfigurationRefused: a statement of the migration was refused; the tables are as they were.
    """
    with _exclusively(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        current = MigrationContext.configure(connection).get_current_revision()
        target = ScriptDirectory.from_config(config).get_revision(revision) if revision != "base" else None
        if target is not None and current == target.revision:
            return
        down = revision == "base" or (
            current is not None and _is_ancestor(config, target.revision if target else "", current)
        )
        with _told_as_what_it_is():
            (command.downgrade if down else command.upgrade)(config, revision)


@contextmanager
def _told_as_what_it_is() -> Iterator[None]:
    # To whoever reads it otherwise, an error of the database would mean that the ledger is down for a moment.
    try:
        yield
    except DBAPIError as exc:
        if exc.statement is None or exc.connection_invalidated or "locked" in str(exc.orig):
            raise
        statement = " ".join(exc.statement.split())[:200]
        raise ConfigurationRefused(
            f"The ledger could not be migrated, and is as it was: {exc.orig} (while running {statement!r}). "
            "Look whether its tables were changed by hand, and whether its disk has room."
        ) from exc


def _is_ancestor(config: Config, revision: str, of: str) -> bool:
    return revision in {script.revision for script in ScriptDirectory.from_config(config).iterate_revisions(of, "base")}


@contextmanager
def _exclusively(engine: Engine) -> Iterator[Connection]:
    with engine.execution_options(writes=True).connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            # A large table takes its time.
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        yield connection


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
