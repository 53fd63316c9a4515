"""What a worker's child has opened before its first job comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.celery import SwitchyardCelery
from tasks.core.ledger import Ledger
from tasks.core.ledger.moves import CLAIM, FINISH, FINISH_AND_CLAIM
from tests.servers import RedisServer


@pytest.fixture
def child(
    either_ledger: Ledger, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SwitchyardCelery]:
    """The application of a child that has just started."""
    monkeypatch.setenv("SWITCHYARD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", redis_server.url)
    monkeypatch.setenv("SWITCHYARD_LEDGER_URL", either_ledger.url)
    app = SwitchyardCelery("child", set_as_current=False)
    app.config_from_object("celeryconfig")
    app.is_child = True
    yield app
    if "streaks" in vars(app):
        assert app.streaks is not None
        app.streaks.close()
    if "kernel" in vars(app):
        app.kernel.close()


def test_child_has_what_each_job_needs_before_the_first(child: SwitchyardCelery) -> None:
    """Its way to the ledger, and the texts of what every job writes."""
    moves = CLAIM, FINISH, FINISH_AND_CLAIM
    texts = [one for move in moves for one in vars(move).values() if hasattr(one, "_compiled")]
    for text in texts:
        text._compiled.clear()
    child.open_early()
    assert {"kernel", "streaks", "telemetry"} <= vars(child).keys()
    assert child.kernel.meanwhile is not None
    made = sum(bool(text._compiled) for text in texts)
    assert made == (2 if child.kernel.ledger.is_sqlite else 3)  # SQLite runs both moves as they are


def test_child_stands_without_a_ledger(
    child: SwitchyardCelery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first job that comes when it is back opens it."""
    (tmp_path / "folder.db").mkdir()
    monkeypatch.setenv("SWITCHYARD_LEDGER_URL", f"sqlite:///{tmp_path / 'folder.db'}")
    child.open_early()
    assert "kernel" not in vars(child)
