"""Who keeps the process that sends callbacks: started when somebody wants to be called, and again when it dies."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, webhooks
from tasks.core.ledger.tenants import Tenant
from tests.samples import eventually
from workers import callbacks
from workers.callbacks import SenderKeeper

_PATIENCE_S = 60.0


@pytest.fixture
def keeper(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SenderKeeper]:
    monkeypatch.setenv("SWITCHYARD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("SWITCHYARD_LEDGER_URL", ledger.url)
    monkeypatch.setattr(callbacks, "_LOOK_EVERY_S", 0.05)
    keeper = SenderKeeper(ledger)
    yield keeper
    keeper.stop()


def test_sender_is_kept_once_there_is_a_webhook(ledger: Ledger, tenant: Tenant, keeper: SenderKeeper) -> None:
    """Not before; one that is killed is followed by another, which ends with its keeper."""
    keeper.look_after()
    assert keeper._sender.process is None
    webhooks.create(
        ledger,
        tenant.id,
        webhook_id=new_id(),
        url="https://hooks.example.com/",
        events=["job.*"],
        description="",
        sealed=b"",
        enabled=True,
    )
    pids: list[int] = []

    def runs_anew() -> bool:
        keeper.look_after()
        process = keeper._sender.process
        if process is not None and process.poll() is None and process.pid not in pids:
            pids.append(process.pid)
            return True
        return False

    assert eventually(runs_anew, within_s=_PATIENCE_S)
    psutil.Process(pids[0]).kill()
    assert eventually(runs_anew, within_s=_PATIENCE_S)
    keeper.stop()
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
