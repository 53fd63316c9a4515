"""``POST /api/calibration/preview``."""

import pytest

from tasks.calibration.reading import Table, read_table
from tests.app.conftest import Caller


def test_a_preview_answers_at_once_and_queues_nothing(alice: Caller) -> None:
    """It says what the job would do."""
    answer = alice.post("/api/calibration/preview", json={"use_example": True})
    assert 200 == answer.status_code
    body = answer.get_json()
    assert body["is_example"]
    assert {"insilicova", "interva"} == set(body["algorithms"])
    assert {"other": "default"}.items() <= body["algorithms"]["interva"]["left_as_observed"].items()
    assert 0 == alice.get("/api/jobs").get_json()["total"]


def test_a_preview_refuses_what_the_job_would(alice: Caller) -> None:
    """The same messages, without the job's own prefix."""
    answer = alice.post("/api/calibration/preview", json={"va_data": {"x": {"counts": {"a": 1}}}})
    assert 422 == answer.status_code
    assert [("missmat", "There is no matrix for 'x': name a country, or send one.")] == [
        (error["field"], error["message"]) for error in answer.get_json()["errors"]
    ]


def test_accepting_neither_forecasts_nor_starts_anything(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long is the worker's: an accept counts the deaths and writes a row."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the accept path did a worker's work")

    monkeypatch.setattr("tasks.calibration.preview.forecast", never)
    monkeypatch.setattr("subprocess.Popen", never)
    monkeypatch.setattr("os.posix_spawn", never)
    answer = alice.post("/api/jobs/calibration.va", json={"params": {"use_example": True}})
    assert 202 == answer.status_code
    assert 500 == alice.post("/api/calibration/preview", json={"use_example": True}).status_code


def test_a_large_table_is_worked_through_once(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked, counted and previewed from one reading."""
    read: list[str] = []

    def counted(text: str) -> Table:
        read.append(text)
        return read_table(text)

    monkeypatch.setattr("tasks.calibration.shapes.read_table", counted)
    body = {
        "va_data": {"x": {"csv": "ID,cause\n1,pneumonia\n2,ipre\n"}},
        "missmat": {"x": {"causes": ["pneumonia", "ipre"], "rows": [[9, 1], [2, 8]]}},
    }
    assert 200 == alice.post("/api/calibration/preview", json=body).status_code
    assert 1 == len(read)
