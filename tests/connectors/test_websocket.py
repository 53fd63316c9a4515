"""``connectors.websocket`` against a real service: followed by its frames, resumed, cancelled, kept within limits."""

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from tasks.connectors.connector import Connector
from tasks.connectors.contract import CheckRequest, CheckResult, WebSocketRequest, WebSocketResult
from tasks.connectors.engine.check import Check
from tasks.connectors.engine.websocket import WebSocketConnector
from tasks.connectors.services import service_of
from tasks.core.egress import Egress, EgressPolicy, door
from tasks.core.errors import AppError, EgressRefused, InputRejected, JobCancelled, Permanent, TooLarge, Transient
from tests.connectors.speaker import SPEAK, Speaker
from tests.connectors.translations import KEY
from tests.fakes import FakeJob
from tests.samples import eventually

WORDS = {"voice": "a b", "text": "Bom dia", "loud": True}


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    """The service."""
    with Speaker() as service:
        yield service


@pytest.fixture
def make_job(speaker: Speaker, tmp_path: Path) -> Iterator[Callable[..., FakeJob]]:
    """A factory of jobs that may speak to the service, and to nothing else on loopback."""
    with Egress(EgressPolicy(allow=frozenset({speaker.endpoint}))) as egress:
        yield lambda **values: FakeJob(workdir=tmp_path, http=egress, **values)


@pytest.fixture
def speak(speaker: Speaker) -> dict[str, Any]:
    """A configuration."""
    return deepcopy(SPEAK) | {"base_url": f"http://{speaker.endpoint}"}


def opened(service: dict[str, Any], **changes: Any) -> Callable[[object, str], Connector]:
    """Return what opens a configuration."""
    connector = Connector("speaker", service_of(service | changes), {"key": KEY})
    return lambda _job, _name: connector


def run(
    service: dict[str, Any], job: FakeJob, *, given: dict[str, Any] | None = None, **changes: Any
) -> WebSocketResult:
    """Run the engine."""
    request = WebSocketRequest(connector="speaker", input=WORDS if given is None else given)
    return WebSocketConnector(opened(service, **changes))(request, job)


def told(job: FakeJob) -> str:
    """All that a job has shown to anybody."""
    return repr((job.reports, job.lines, job.deltas, job.saved, job.resume.state))


def test_work_is_begun_and_followed_by_its_frames(speaker: Speaker, speak: dict[str, Any], job: FakeJob) -> None:
    """Progress and the answer are the service's; frames of others are passed over; the secret is shown nowhere."""
    result = run(speak, job)
    assert [{"do": "begin", "key": job.id, "text": "Bom dia", "loud": True}] == speaker.told
    assert ("application/json", "answer.json", {"id": "w1"}, 6, False) == (
        result.media_type,
        result.artifact,
        result.remote,
        result.frames,
        result.resumed,
    )
    assert ("a b", "Bom dia", "***") == tuple(result.answer[name] for name in ("voice", "said", "to"))
    assert result.answer == json.loads(job.saved["answer.json"])
    assert ("remote", 2 / 3, 1.0, "step 2 for ***") == tuple(
        getattr(job.reports[-1], name) for name in ("stage", "done", "total", "message")
    )
    assert "k3y" not in told(job) + result.model_dump_json()


@pytest.mark.parametrize(
    ("changes", "extra", "content", "media_type"),
    [
        ({"result": "/said"}, [], b"Bom dia", "text/plain"),
        ({"pieces": "/text"}, [], b"0;1;2;", "text/plain"),
        ({"binary": "audio/wav"}, [b"RI", b"FF"], b"RIFF", "audio/wav"),
    ],
)
def test_an_answer_is_a_part_texts_or_binary_frames(
    speaker: Speaker,
    speak: dict[str, Any],
    job: FakeJob,
    changes: dict[str, Any],
    extra: list[bytes],
    content: bytes,
    media_type: str,
) -> None:
    """As the configuration says."""
    speaker.extra = [*extra]
    result = run(speak, job, **changes)
    assert ({result.artifact: content}, media_type) == (job.saved, result.media_type)


def test_work_that_failed_there_fails_here(speaker: Speaker, speak: dict[str, Any], job: FakeJob) -> None:
    """With the service's words; a retry on request begins anew, under another key."""
    speaker.ends = "failed"
    with pytest.raises(Permanent, match=r"ended as failed\. that was it, \*\*\*$"):
        run(speak, job)
    speaker.ends = "done"
    run(speak, job)
    assert [job.id, f"{job.id}-1"] == [frame["key"] for frame in speaker.told]


@pytest.mark.parametrize(
    ("resume", "if_unsure", "done"),
    [(SPEAK["resume"], "fail", "attach"), (None, "submit_again", "begin"), (None, "fail", None)],
)
def test_after_a_lost_connection_the_next_attempt_goes_on(
    speaker: Speaker,
    speak: dict[str, Any],
    make_job: Callable[..., FakeJob],
    resume: object,
    if_unsure: str,
    done: str | None,
) -> None:
    """Where the service can; else it begins again under the same key, or says that it does not know."""
    speaker.hangs_up_after = 1
    job = make_job()
    with pytest.raises(Transient, match=r"ended with 1011 sorry, says \*\*\* before") as raised:
        run(speak, job, resume=resume)
    assert "remote_unavailable" == raised.value.code
    speaker.hangs_up_after = None
    again = make_job(attempt=2, resume=job.resume)
    with nullcontext() if done else pytest.raises(Permanent, match="is not known") as refused:
        assert (done == "attach") == run(speak, again, resume=resume, if_unsure=if_unsure).resumed
    assert done is not None or "remote_unsure" == refused.value.code
    assert ["begin", done][: 2 if done else 1] == [frame["do"] for frame in speaker.told]
    assert 1 == len(speaker.begun)


def test_the_service_is_told_of_a_cancel(
    speaker: Speaker, speak: dict[str, Any], make_job: Callable[..., FakeJob]
) -> None:
    """Also where the job is cancelled before the service has said what it calls the work."""
    speaker.waits = True
    job = make_job(cancel_after=2)
    with pytest.raises(JobCancelled):
        run(speak, job)
    assert ("info The service was told to cancel.", "sent") == (job.lines[-1], job.reports[-1].stage)
    eventually(lambda: {"do": "cancel", "work": "w1"} in speaker.told)
    assert {"submission": 1} == job.resume.state


@pytest.mark.parametrize("resume", [SPEAK["resume"], None])
def test_a_cancel_while_the_next_attempt_connects_reaches_the_service(
    speaker: Speaker, speak: dict[str, Any], make_job: Callable[..., FakeJob], resume: object
) -> None:
    """What an earlier attempt has begun goes on there until somebody ends it."""
    speaker.hangs_up_after = 1
    job = make_job()
    with pytest.raises(Transient):
        run(speak, job, resume=resume)
    again = make_job(attempt=2, resume=job.resume, cancel_after=1)
    with pytest.raises(JobCancelled):
        run(speak, again, resume=resume)
    assert ("connecting", 1) == (again.reports[-1].stage, len(again.reports))
    eventually(lambda: speaker.told[-1] == {"do": "cancel", "work": "w1"})


def test_a_job_that_is_cancelled_before_it_has_begun_says_nothing(
    speaker: Speaker, speak: dict[str, Any], make_job: Callable[..., FakeJob]
) -> None:
    """There is nothing to end."""
    with pytest.raises(JobCancelled):
        run(speak, make_job(cancel_after=1))
    assert [] == speaker.told


@pytest.mark.parametrize(
    ("behaviour", "changes", "error", "code"),
    [
        ({"answers": 503}, {}, Transient, "remote_unavailable"),
        ({"answers": 404}, {}, Permanent, "remote_not_found"),
        ({}, {"headers": {}}, Permanent, "remote_refused"),
        ({}, {"path": "/elsewhere"}, Permanent, "remote_refused"),
        ({"hangs_up_after": 1, "code": 1008}, {}, Permanent, "remote_refused"),
        ({"waits": True}, {"silence_s": 0.3}, Transient, "remote_unavailable"),
        ({"extra": [b"?"]}, {}, Permanent, "remote_unreadable"),
        ({}, {"result": "/none"}, Permanent, "remote_unreadable"),
        ({"extra": ["x" * 1000]}, {"max_frame_bytes": 999}, TooLarge, "too_large"),
        ({"extra": ["x" * 1000] * 3}, {"max_bytes": 2500}, TooLarge, "too_large"),
        ({}, {"max_frames": 3}, TooLarge, "too_large"),
    ],
)
def test_a_service_that_misbehaves(
    speaker: Speaker,
    speak: dict[str, Any],
    job: FakeJob,
    behaviour: dict[str, Any],
    changes: dict[str, Any],
    error: type[AppError],
    code: str,
) -> None:
    """Each has its code; no message holds the secret; nothing is kept."""
    for name, value in behaviour.items():
        setattr(speaker, name, value)
    with pytest.raises(error) as raised:
        run(speak, job, **changes)
    assert (code, {}, False) == (raised.value.code, job.saved, "k3y" in raised.value.message + told(job))


def test_sockets_go_through_the_guard(speak: dict[str, Any], job: FakeJob) -> None:
    """What the operator has not allowed is refused, whatever a tenant configures."""
    with pytest.raises(EgressRefused):
        run(speak, job, base_url="http://127.0.0.1:9")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_of_https_becomes_wss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate is checked, by the name that was configured."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem")
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(["openssl", "req", "-x509", *key, *name], cwd=tmp_path, check=True, capture_output=True)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def answer(socket: ServerConnection) -> None:
        socket.send(json.dumps({"type": "done", "host": json.loads(socket.recv())}))

    with serve(answer, "127.0.0.1", 0, ssl=own) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"127.0.0.1:{server.socket.getsockname()[1]}"
        service = {"type": "websocket", "base_url": f"https://{endpoint}", "request": "{{job.id}}", "result": "/host"}
        with Egress(EgressPolicy(allow=frozenset({endpoint}))) as egress:
            with pytest.raises(Transient, match="SSLCertVerificationError"):
                run(service, FakeJob(workdir=tmp_path, http=egress))
            trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")
            monkeypatch.setattr(door, "plain_trust", lambda: trust)
            job = FakeJob(workdir=tmp_path, http=egress)
            run(service, job)
        server.shutdown()
        thread.join()
    assert job.id.encode() == job.saved["answer.txt"]


def test_nobody_there_is_tried_again(speaker: Speaker, speak: dict[str, Any], tmp_path: Path) -> None:
    """Transient, under a code of its own."""
    with Egress(EgressPolicy(allow=frozenset({"127.0.0.1:9"}))) as egress, pytest.raises(Transient) as raised:
        run(speak, FakeJob(workdir=tmp_path, http=egress), base_url="http://127.0.0.1:9")
    assert "remote_unreachable" == raised.value.code


@pytest.mark.parametrize("given", [{"voice": "a", "loud": True}, {"voice": "..", "text": "", "loud": True}])
def test_nothing_is_sent_that_cannot_be_filled(
    speaker: Speaker, speak: dict[str, Any], job: FakeJob, given: dict[str, Any]
) -> None:
    """A value that is missing, or would lead elsewhere."""
    with pytest.raises(InputRejected):
        run(speak, job, given=given)
    assert [] == speaker.told


def checked(service: dict[str, Any], job: FakeJob, given: dict[str, Any] | None = None) -> CheckResult:
    """Run the check."""
    return Check(opened(service))(CheckRequest(connector="speaker", input=given), job)


def test_a_check_asks_and_fills(speaker: Speaker, speak: dict[str, Any], job: FakeJob) -> None:
    """It opens the socket and asks; without an input that its address needs, it cannot."""
    found = checked(speak, job, WORDS)
    assert ((True, True), [{"do": "ping"}]) == ((found.healthy, found.can_process), speaker.told)
    assert (None, None) == (checked(speak, job).healthy, checked(speak, job).can_process)
    speaker.answers = 503
    found = checked(speak | {"path": "/speak/a"}, job)
    assert (False, None, ("The service answered 503 and opened no WebSocket.",)) == (
        found.healthy,
        found.can_process,
        found.reasons,
    )


def test_a_connector_of_the_other_type_is_named(speak: dict[str, Any], job: FakeJob) -> None:
    """The message says which kind to submit."""
    other = {"base_url": speak["base_url"], "request": {"path": "/"}}
    with pytest.raises(InputRejected, match=r"of type http: submit a connectors\.http"):
        run(other, job)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remote": {}}, "resume needs remote"),
        ({"request": {"a": "{{remote.id}}"}}, "request cannot name"),
        ({"cancel": {"a": "{{remote.other}}"}}, "remote must name it"),
        ({"opening": ["{{input.a}}"]}, "opening cannot name"),
        ({"match": {"/a": "{{job.name}}"}}, "is not known"),
        ({"pieces": "/a", "binary": "a/b"}, "not in both"),
        ({"path": "/{{secret.key}}"}, "must not be part of a path"),
        ({"base_url": "https://a.example/?b"}, "no query"),
    ],
)
def test_configurations_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    """When they are stored, not when a job needs them."""
    with pytest.raises(ValueError, match=message):
        service_of(SPEAK | {"base_url": "https://a.example"} | changes)
