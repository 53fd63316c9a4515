"""A scripted server and clients for it, each closed at the end."""

from collections.abc import Iterator
from typing import Any

import pytest

from client import Limits, Notice, Switchyard
from tests.client.scripted_server import KEY, ScriptedServer

# The defaults' shape at a test's speed.
FAST = Limits(backoff_s=0.05, first_event_s=0.4, silence_s=1.0, poll_gap_s=0.05, status_s=3.0, submit_s=5.0)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def notices() -> list[Notice]:
    return []


@pytest.fixture
def client(server: ScriptedServer, notices: list[Notice]) -> Iterator[Switchyard]:
    with Switchyard(server.url, KEY, limits=FAST, on_notice=notices.append) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("SWITCHYARD_URL", raising=False)
    monkeypatch.delenv("SWITCHYARD_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
