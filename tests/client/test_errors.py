"""Errors arrive as typed exceptions, by code and else by status."""

import re
from pathlib import Path

import pytest

import client as package
from client import FieldError, InputRejected, LedgerBusy, NotAuthenticated, NotFound, ServerFailed, Switchyard
from client.errors import BY_CODE, error_from
from tests.client.conftest import FAST
from tests.client.scripted_server import ScriptedServer, problem

ROOT = Path(__file__).parents[2]


def documented_codes() -> set[str]:
    table = (ROOT / "docs/api.md").read_text().partition("## Errors")[2]
    return set(re.findall(r"`([a-z_]+)`", "\n".join(line for line in table.splitlines() if re.match(r"\| \d", line))))


def test_every_documented_code_has_a_class() -> None:
    """The client knows each code of the HTTP interface's table."""
    assert documented_codes() - set(BY_CODE) == set()


def test_every_error_class_is_exported() -> None:
    """Whoever catches an error imports it from the package itself."""
    assert {cls.__name__ for cls in BY_CODE.values()} <= set(package.__all__)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_code_decides_the_class(code: str) -> None:
    """The code wins over the status."""
    assert type(error_from(418, {}, b'{"code": "%s"}' % code.encode())) is BY_CODE[code]


@pytest.mark.parametrize(("status", "expected"), [(404, NotFound), (422, InputRejected), (500, ServerFailed)])
def test_unknown_code_falls_to_the_class_of_its_status(status: int, expected: type[Exception]) -> None:
    """A newer server's code still arrives, under the class that its status says."""
    error = error_from(status, {}, b'{"code": "brand_new"}')
    assert (type(error), error.code) == (expected, "brand_new")


def test_answer_that_is_no_problem_document_still_raises() -> None:
    """A proxy's HTML page becomes an error with its status."""
    error = error_from(502, {}, b"<html>bad gateway</html>")
    assert (error.status, error.detail) == (502, "the server answered 502")


def test_retry_after_and_correlation_id_arrive() -> None:
    """What helps to act on an error is on it."""
    body = b'{"code": "ledger_busy", "correlation_id": "c-1"}'
    error = error_from(503, {"retry-after": "2"}, body)
    assert (type(error), error.retry_after_s, error.correlation_id) == (LedgerBusy, 2.0, "c-1")


def test_refused_field_is_named(client: Switchyard) -> None:
    """A 422 lists each field with its message and value."""
    with pytest.raises(InputRejected) as caught:
        client.submit("crawling.site", {"url": "nonsense"})
    assert caught.value.errors == (FieldError("params.url", "expected an http address", "nonsense"),)


def test_wrong_key_is_not_authenticated(server: ScriptedServer) -> None:
    """A key that the server does not know is refused as such."""
    with Switchyard(server.url, "wrong", limits=FAST) as client, pytest.raises(NotAuthenticated):
        client.kinds()


def test_problem_with_another_status_family_is_raised_by_its_code(server: ScriptedServer, client: Switchyard) -> None:
    """The typed error reaches the caller of an ordinary method."""
    server.faults.append(problem(500, "internal_error", detail="our fault", correlation_id="c-9"))
    with pytest.raises(ServerFailed) as caught:
        client.job("job-1")
    assert caught.value.correlation_id == "c-9"
