"""Large bodies take their turn, and nobody else waits for them."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

import httpx
import pytest

from app.openapi import API
from tasks.calibration.reading import Table, read_table
from tests.app.conftest import sign_in
from tests.app.streams.house import served
from tests.samples import eventually

ROWS = 30_000


def large() -> dict[str, Any]:
    lines = "".join(f"{n},{('pneumonia', 'ipre')[n % 2]}\n" for n in range(ROWS))
    return {
        "va_data": {"x": {"csv": f"ID,cause\n{lines}"}},
        "missmat": {"x": {"causes": ["pneumonia", "ipre"], "rows": [[9, 1], [2, 8]]}},
    }


class Gate:
    """Counts who reads a table, and lets nobody finish before it is opened."""

    def __init__(self) -> None:
        self.opened = Event()
        self.inside = self.most = self.total = 0
        self._lock = Lock()

    def read(self, text: str) -> Table:
        with self._lock:
            self.inside += 1
            self.total += 1
            self.most = max(self.most, self.inside)
        try:
            assert self.opened.wait(30)
            return read_table(text)
        finally:
            with self._lock:
                self.inside -= 1


def test_one_large_body_at_a_time_and_small_requests_meanwhile(
    make_app: Callable[..., API], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health, records and small submissions are answered while large ones are worked through and wait."""
    app = make_app()
    caller = sign_in(app, "alice")
    gate = Gate()
    monkeypatch.setattr("tasks.calibration.shapes.read_table", gate.read)
    headers = {"Authorization": f"Bearer {caller.key}"}
    body = large()
    paths = {"/api/calibration/preview": body, "/api/jobs/calibration.va": {"params": body}}
    assert all(len(json.dumps(sent)) > 256 * 1024 for sent in paths.values())
    with served(app) as address, ThreadPoolExecutor(4) as threads:
        url = f"http://{address}"
        sent = [
            threads.submit(httpx.post, url + path, json=what, headers=headers, timeout=60)
            for path, what in (*paths.items(), *paths.items())
        ]
        try:
            assert eventually(lambda: gate.inside == 1, within_s=30)
            for _ in range(3):
                assert 200 == httpx.get(f"{url}/health/live").status_code
                small = httpx.post(
                    f"{url}/api/jobs/calibration.va", json={"params": {"use_example": True}}, headers=headers
                )
                assert 202 == small.status_code
                assert 200 == httpx.get(f"{url}/api/jobs/{small.json()['id']}", headers=headers).status_code
            assert 1 == gate.total
        finally:
            gate.opened.set()
        assert {200, 202} == {one.result().status_code for one in sent}
    assert (4, 1) == (gate.total, gate.most)
