"""``connectors.http`` against a real service: called at once, submitted and polled, resumed, cancelled."""

import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import pytest

from tasks.connectors.connector import Connector
from tasks.connectors.contract import HTTPRequest, HTTPResult
from tasks.connectors.engine.http import HTTPConnector
from tasks.connectors.service import HTTPService
from tasks.core.errors import AppError, EgressRefused, InputRejected, JobCancelled, Permanent, TooLarge, Transient
from tests.connectors.translations import KEY, SAY, TRANSLATE, Translations
from tests.fakes import FakeJob
from tests.samples import eventually

WORDS = {"word": "olá/you", "words": ["a", 1], "count": 3}


def run(
    service: dict[str, Any], job: FakeJob, *, given: dict[str, Any] | None = None, secret: str = KEY, **changes: Any
) -> HTTPResult:
    """Run the engine with a configuration."""
    connector = Connector("translator", HTTPService.model_validate(service | changes), {"key": secret})
    return HTTPConnector(lambda _job, _name: connector)(HTTPRequest(connector="translator", input=given or {}), job)


def told(job: FakeJob) -> str:
    """All that a job has shown to anybody."""
    return repr((job.reports, job.lines, job.deltas, job.saved))


@pytest.fixture
def say(translations: Translations) -> dict[str, Any]:
    """A configuration that calls once."""
    return deepcopy(SAY) | {"base_url": translations.url}


@pytest.fixture
def translate(translations: Translations) -> dict[str, Any]:
    """A configuration that submits and polls."""
    return deepcopy(TRANSLATE) | {"base_url": translations.url}


def test_a_service_is_called_once(say: dict[str, Any], job: FakeJob) -> None:
    """What stands in the templates goes there; the answer is a file and, as it is small, in the result."""
    result = run(say, job, given=WORDS)
    assert (200, "application/json", "answer.json", 0) == (
        result.status,
        result.media_type,
        result.artifact,
        result.polls,
    )
    assert result.answer == json.loads(job.saved["answer.json"])
    assert {"words": ["a", 1], "text": "olá/you, 3 times"} == result.answer["body"]
    assert job.id == result.answer["headers"]["X-Job"]


def test_a_secret_is_struck_from_what_the_service_repeats(say: dict[str, Any], job: FakeJob) -> None:
    """However JSON spells it; the file is cleaned as the result is."""
    result = run(say, job, given=WORDS)
    assert "***" == result.answer["key"]
    for text in (told(job), result.model_dump_json()):
        assert not [spelling for spelling in (KEY, json.dumps(KEY)[1:-1], "k3y%2F", "k3y/") if spelling in text]


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"path": "/works/none"}, Permanent, "remote_not_found"),
        ({"path": "/elsewhere"}, Permanent, "remote_refused"),
        ({"query": {"key": "{{secret.key}}!"}}, Permanent, "remote_refused"),
        ({"path": "/say/{{input.other}}"}, InputRejected, "input_rejected"),
        ({"headers": {"X": "{{input.lines}}"}}, InputRejected, "input_rejected"),
    ],
)
def test_what_another_try_cannot_mend_is_permanent(
    say: dict[str, Any], job: FakeJob, changes: dict[str, Any], error: type[AppError], code: str
) -> None:
    """No message holds the secret, though the service repeats it."""
    call = say["request"] | {"method": "GET", "body": None} | changes
    with pytest.raises(error) as raised:
        run(say, job, given=WORDS | {"lines": "a\r\nb"}, request=call)
    assert (code, False) == (raised.value.code, "k3y" in raised.value.message)


def test_a_service_that_is_down_is_tried_again(translations: Translations, say: dict[str, Any], job: FakeJob) -> None:
    """Transient, without the secret."""
    translations.down = 1
    with pytest.raises(Transient, match=r"answered 503: down, says \*\*\*$"):
        run(say, job, request={"path": "/works/a", "query": {"key": "{{secret.key}}"}})


def test_every_call_goes_through_the_guard(say: dict[str, Any], job: FakeJob) -> None:
    """What the operator has not allowed is refused, whatever a tenant configures."""
    with pytest.raises(EgressRefused):
        run(say, job, given=WORDS, base_url="http://127.0.0.1:9")


def test_an_answer_over_the_cap_is_refused(say: dict[str, Any], job: FakeJob) -> None:
    """And nothing of it is kept."""
    with pytest.raises(TooLarge):
        run(say, job, request={"path": "/large", "query": {"key": "{{secret.key}}"}}, max_bytes=99_999)
    assert {} == job.saved


def test_work_is_submitted_once_and_polled_to_its_end(
    translations: Translations, translate: dict[str, Any], job: FakeJob
) -> None:
    """Progress and messages are the service's; the result is fetched; the secret is shown nowhere."""
    result = run(translate, job, given={"text": "Good morning"})
    assert ("answer.txt", 2, False, None) == (result.artifact, result.polls, result.resumed, result.answer)
    assert b"Good morning translated for ***" == job.saved["answer.txt"]
    assert {"id": "w 1", "href": "/works/w 1"} == result.remote
    assert [job.id] == translations.submitted
    assert ("remote", 0.5, 1.0, "w 1 for ***") == tuple(
        getattr(job.reports[-1], name) for name in ("stage", "done", "total", "message")
    )
    assert "k3y" not in told(job) + result.model_dump_json() + json.dumps(job.resume.state)


def test_a_next_attempt_goes_on_polling(
    translations: Translations, translate: dict[str, Any], make_job: Callable[..., FakeJob]
) -> None:
    """The work of a killed attempt is not begun a second time."""
    killed = make_job(cancel_after=2)
    killed.checkpoint = _killing(killed)  # type: ignore[method-assign]  # a worker that dies, rather than a cancel
    translations.polls_needed = 3
    with pytest.raises(SystemError):
        run(translate, killed, given={"text": "a"})
    result = run(translate, make_job(attempt=2, resume=killed.resume), given={"text": "a"})
    assert (True, 1, []) == (result.resumed, len(translations.submitted), translations.cancelled)


def _killing(job: FakeJob) -> Callable[[], None]:
    def checkpoint() -> None:
        if job.is_cancelled:
            raise SystemError

    return checkpoint


@pytest.mark.parametrize(("if_unsure", "submissions"), [("submit_again", 1), ("fail", 0)])
def test_an_attempt_that_died_while_it_submitted(
    translations: Translations,
    translate: dict[str, Any],
    make_job: Callable[..., FakeJob],
    if_unsure: str,
    submissions: int,
) -> None:
    """Submits again under the same key, or says that it does not know, as was configured."""
    translate["poll"]["if_unsure"] = if_unsure
    job = make_job(attempt=2)
    job.resume.state = {"submission": 0, "is_submitting": True}
    with nullcontext() if submissions else pytest.raises(Permanent, match="whether the service has begun"):
        run(translate, job, given={"text": "a"})
    assert [job.id] * submissions == translations.submitted


def test_the_service_is_told_of_a_cancel(
    translations: Translations, translate: dict[str, Any], make_job: Callable[..., FakeJob]
) -> None:
    """And a retry on request submits anew, under another key."""
    job = make_job(cancel_after=2)
    translations.polls_needed = 1000
    with pytest.raises(JobCancelled):
        run(translate, job, given={"text": "a"})
    assert (["w 1"], True) == (translations.cancelled, "info The service was told to cancel." in job.lines)
    translations.polls_needed = 1
    again = make_job(attempt=2, resume=job.resume)
    assert not run(translate, again, given={"text": "a"}).resumed
    assert [job.id, f"{job.id}-1"] == translations.submitted


def test_a_cancel_during_the_submission_reaches_the_service(
    translations: Translations, translate: dict[str, Any], job: FakeJob
) -> None:
    """The answer, which alone names the work, is waited for a moment."""
    translations.answers_late.clear()

    def cancel() -> None:
        eventually(lambda: translations.submitted)
        job.is_cancelled = True
        translations.answers_late.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobCancelled):
        run(translate, job, given={"text": "a"})
    thread.join()
    assert ["w 1"] == translations.cancelled


def test_a_cancel_that_fails_leaves_the_job_cancelled(
    translations: Translations, translate: dict[str, Any], make_job: Callable[..., FakeJob]
) -> None:
    """And is told in its log."""
    translate["poll"]["cancel"] = {"method": "POST", "path": "/health", "query": {"key": "{{secret.key}}"}}
    job = make_job(cancel_after=2)
    translations.polls_needed = 1000
    with pytest.raises(JobCancelled):
        run(translate, job, given={"text": "a"})
    assert job.lines[-1].startswith("warning The service did not cancel: The service answered 405")


def test_work_that_failed_there_fails_here(
    translations: Translations, translate: dict[str, Any], make_job: Callable[..., FakeJob]
) -> None:
    """With the service's words, without the secret; a retry on request begins anew."""
    translations.fails, job = True, make_job()
    with pytest.raises(Permanent, match=r"ended as failed\. w 1 for \*\*\*$") as raised:
        run(translate, job, given={"text": "a"})
    assert ("remote_failed", {"submission": 1}) == (raised.value.code, job.resume.state)


def test_a_service_may_be_away_while_it_is_polled(
    translations: Translations, translate: dict[str, Any], job: FakeJob
) -> None:
    """A few times in a row, for the work goes on there; for longer is the next attempt's concern."""
    translations.down = 5
    assert 2 == run(translate, job, given={"text": "a"}).polls
    assert 5 == sum("answered 503: down, says ***" in line for line in job.lines)
    translations.down, job.resume.state = 6, None
    with pytest.raises(Transient):
        run(translate, job, given={"text": "a"})
    assert "w 1" == job.resume.state["remote"]["id"]


def test_secrets_go_to_the_service_only(translations: Translations, translate: dict[str, Any], job: FakeJob) -> None:
    """Not to an address on another server that its answer names."""
    translate["poll"]["remote"] = {"href": "/work/id"}
    translate["poll"] |= {"result": None, "cancel": None}
    translations.by_key[job.id] = f"http://localhost:{translations.endpoint.partition(':')[2]}/works/w"
    with pytest.raises(Permanent, match="another server") as raised:
        run(translate, job, given={"text": "a"})
    assert "remote_unreadable" == raised.value.code


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [("remote", {"id": "/work/none"}, "has no id at"), ("state", "/none", "does not say at '/none'")],
)
def test_answers_that_lack_what_is_needed_are_permanent(
    translate: dict[str, Any], job: FakeJob, part: str, value: object, message: str
) -> None:
    """The message says where it was looked for."""
    translate["poll"] |= {part: value} | ({"status": translate["request"]} if part == "remote" else {})
    if part == "remote":
        translate["poll"] |= {"result": None}
    with pytest.raises(Permanent, match=message):
        run(translate, job, given={"text": "a"})


def test_nothing_is_submitted_that_could_not_be_followed(
    translations: Translations, translate: dict[str, Any], job: FakeJob
) -> None:
    """A value that only a later call needs is missed before the first."""
    translate["poll"]["cancel"]["headers"] = {"X-Why": "{{input.why}}"}
    with pytest.raises(InputRejected, match=r"input\.why is missing"):
        run(translate, job, given={"text": "a"})
    assert [] == translations.submitted
