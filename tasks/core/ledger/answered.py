"""Connections to PostgreSQL that are given up when no answer comes; ``answering`` says when, and why."""

from typing import Any

import psycopg
from psycopg.errors import OperationalError
from sqlalchemy.engine import Engine


class AnsweredConnection(psycopg.Connection[Any]):
    """One connection. ``limit_s``: how long each answer may take; None, as for migrations: as long as it likes."""

    limit_s: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as the driver does, for ``limit_s`` at the most; every answer comes through here (psycopg 3.3)."""
        limit_s = self.limit_s if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.errors._WaitTimeout as exc:
            # What still came would be taken for the answer to the next question.
            self.pgconn.finish()
            raise OperationalError(f"the server did not answer within {limit_s:g} s") from exc


def answer_or_close(engine: Engine) -> None:
    """Let the engine open such connections."""
    engine.dialect.connect = AnsweredConnection.connect  # type: ignore[assignment,method-assign]  # as its own does
