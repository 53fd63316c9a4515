"""Several web processes on one SQLite ledger."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from app.openapi import API
from app.services import services_of
from tests.app.conftest import sign_in

_CALLER = """
import sys
from app.factory import create_app
from app.services import services_of
from tasks.core.ledger import locking
from tasks.core.settings import load_settings

# A machine that is busy with other things must not fail the test; a lock taken in the wrong order fails at once anyway.
locking.BUSY_TIMEOUT_S = 30
app = create_app(load_settings())
client = app.test_client()
for n in range(20):
    key = {"Idempotency-Key": f"shared-{n}"} if n % 2 else {}
    answer = client.post(
        "/api/jobs/maintenance.ping",
        json={"params": {"message": str(n)}, "labels": {"n": str(n)}},
        headers={"Authorization": f"Bearer {sys.argv[1]}", **key},
    )
    assert answer.status_code == 202, answer.text
services_of(app).close()
"""


@pytest.mark.slow
def test_eight_web_processes_accept_on_sqlite_without_an_error(make_app: Callable[..., API]) -> None:
    """Every request is answered 202, with each idempotency key standing for one job, whoever came first."""
    app = make_app(profile="local")
    caller = sign_in(app, "alice")
    settings = services_of(app).settings
    env = os.environ | {
        "SWITCHYARD_STATE_DIR": str(settings.state_dir),
        "SWITCHYARD_PROFILE": "local",
        "SWITCHYARD_LOG_LEVEL": "error",
    }
    callers = [
        subprocess.Popen([sys.executable, "-c", _CALLER, caller.key], env=env, stderr=subprocess.PIPE) for _ in range(8)
    ]
    assert [(one.communicate(timeout=100)[1], one.returncode) for one in callers] == [(b"", 0)] * 8
    assert 8 * 10 + 10 == caller.get("/api/jobs").json["total"]
