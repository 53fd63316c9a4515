"""``POST /api/calibration/preview``."""

from tests.app.conftest import Caller


def test_a_preview_answers_at_once_and_queues_nothing(alice: Caller) -> None:
    """It says what the job would do."""
    answer = alice.post("/api/calibration/preview", json={"use_example": True})
    assert 200 == answer.status_code
    body = answer.get_json()
    assert body["is_example"]
    assert {"insilicova", "interva"} == set(body["algorithms"])
    assert {"other": "requested"}.items() <= body["algorithms"]["interva"]["left_as_observed"].items()
    assert 0 == alice.get("/api/jobs").get_json()["total"]


def test_a_preview_refuses_what_the_job_would(alice: Caller) -> None:
    """The same messages, without the job's own prefix."""
    answer = alice.post("/api/calibration/preview", json={"va_data": {"x": {"counts": {"a": 1}}}})
    assert 422 == answer.status_code
    assert [("missmat", "There is no matrix for 'x': name a country, or send one.")] == [
        (error["field"], error["message"]) for error in answer.get_json()["errors"]
    ]
