"""The ledger against a reference in plain Python, in whatever order things may happen (F18)."""

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.core.ledger import Ledger, accepting, batches, carrying, queries, transitions
from tasks.core.ledger.schema import jobs, metadata
from tasks.core.records import Job, JobState
from tests.core.ledger.clock import postgresql_of_ours
from tests.core.ledger.machine import run

STEPS = int(os.environ.get("MODEL_STEPS", "2000"))
SEED = int(os.environ.get("MODEL_SEED", "20260101"))
# PostgreSQL takes longer over each step; what differs from SQLite there is SQL, not logic.
POSTGRESQL_SHARE = 5
MOST_STEPS_TO_A_MUTANT = 10_000


@pytest.fixture
def fresh_file(sqlite_template: Path, tmp_path: Path) -> Callable[[], str]:
    """Makes one empty SQLite ledger after the other."""
    numbers = count()

    def fresh() -> str:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(sqlite_template, path)
        return f"sqlite:///{path}"

    return fresh


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sqlite_ledger_does_what_the_model_does(fresh_file: Callable[[], str]) -> None:
    """No order of events makes them differ, and none breaks what always holds."""
    print(f"MODEL_SEED={SEED} MODEL_STEPS={STEPS}")
    assert run(fresh_file, steps=STEPS, first_seed=SEED) >= STEPS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_postgresql_ledger_does_what_the_model_does(postgresql_ledger: Ledger) -> None:
    """The same on PostgreSQL."""
    steps = STEPS // POSTGRESQL_SHARE
    print(f"MODEL_SEED={SEED} MODEL_STEPS={STEPS}")

    def emptied() -> str:
        with postgresql_ledger.write() as connection:
            connection.execute(sa.text("TRUNCATE " + ", ".join(metadata.tables) + " CASCADE"))
        return postgresql_ledger.url

    with postgresql_of_ours(postgresql_ledger):
        assert run(emptied, steps=steps, first_seed=SEED) >= steps


def _current(ledger: Ledger, job_id: str, name: str, believed: int) -> int:
    job = queries.job(ledger, job_id)
    return believed if job is None else int(getattr(job, name))


def _ignoring(function: Callable[..., Any], guard: str) -> Callable[..., Any]:
    """Return ``function`` with whatever the caller believes of ``guard`` taken for true."""

    def mutant(ledger: Ledger, job_id: str, **values: Any) -> Any:
        return function(ledger, job_id, **values | {guard: _current(ledger, job_id, guard, values[guard])})

    return mutant


def _putting_back_any_carry(ledger: Ledger, carried: list[tuple[str, int]]) -> None:
    _put_back(ledger, [(job_id, _current(ledger, job_id, "carry", carry)) for job_id, carry in carried])


def _requeue_that_keeps_the_carry(ledger: Ledger, job_id: str, **values: Any) -> Any:
    job = _requeue(ledger, job_id, **values)
    if job is not None and job.state is JobState.QUEUED:
        with ledger.write() as connection:
            connection.execute(jobs.update().where(jobs.c.id == job_id).values(carry=job.carry - 1))
    return job


def _accept_that_forgets_keys(ledger: Ledger, job: Job, *, idempotency: object, may_publish: bool) -> Any:
    return _accept(ledger, job, may_publish=may_publish)


def _accept_many_that_forgets_keys(ledger: Ledger, items: list[tuple[Job, object]]) -> Any:
    return _accept_many(ledger, [(job, None) for job, _ in items])


_accept, _accept_many = accepting.accept, accepting.accept_many
_put_back, _requeue = carrying.put_back, transitions.requeue
MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "claim ignores the carry": (transitions, "claim", _ignoring(transitions.claim, "carry")),
    "finish ignores the fence": (transitions, "finish", _ignoring(transitions.finish, "fence")),
    "requeue ignores the fence": (transitions, "requeue", _ignoring(transitions.requeue, "fence")),
    "progress ignores the fence": (transitions, "note_progress", _ignoring(transitions.note_progress, "fence")),
    "put_back ignores the carry": (carrying, "put_back", _putting_back_any_carry),
    "requeue keeps the carry": (transitions, "requeue", _requeue_that_keeps_the_carry),
    "accept forgets keys": (accepting, "accept", _accept_that_forgets_keys),
    "many accepted forget keys": (accepting, "accept_many", _accept_many_that_forgets_keys),
    "many erased while they run": (batches, "ERASABLE", sa.true()),
    "transitions are not told": (transitions, "write_event", lambda *_: None),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_machine_finds_what_is_broken(
    fresh_file: Callable[[], str], monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    """With one guard switched off, some order of events tells; else the machine would prove nothing."""
    module, name, broken = MUTANTS[mutant]
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        run(fresh_file, steps=MOST_STEPS_TO_A_MUTANT, first_seed=20260101, shrink=False)
