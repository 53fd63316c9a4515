"""``connectors.check`` of services that are called over HTTP; of those with a WebSocket: test_websocket.py."""

from copy import deepcopy
from typing import Any

import pytest

from tasks.connectors.connector import Connector
from tasks.connectors.contract import CheckRequest, CheckResult
from tasks.connectors.engine.check import Check
from tasks.connectors.service import HTTPService
from tests.connectors.translations import KEY, SAY, Translations
from tests.fakes import FakeJob

WORDS = {"word": "olá", "words": [], "count": 3}


def checked(
    translations: Translations, job: FakeJob, given: dict[str, Any] | None, *, secret: str = KEY, **changes: Any
) -> CheckResult:
    """Check the service that says words."""
    service = deepcopy(SAY) | {"base_url": translations.url} | changes
    connector = Connector("translator", HTTPService.model_validate(service), {"key": secret})
    return Check(lambda _job, _name: connector)(CheckRequest(connector="translator", input=given), job)


@pytest.mark.parametrize(
    ("given", "changes", "healthy", "can_process", "reasons"),
    [
        (WORDS, {}, True, True, ()),
        (None, {}, True, None, ()),
        (WORDS, {"health": None}, None, True, ()),
        ({}, {}, True, False, ("input.word is missing.",)),
        (WORDS, {"health": {"path": "/none", "query": {"key": "{{secret.key}}"}}}, False, True, ("answered 404",)),
    ],
)
def test_a_check_says_what_it_found(
    translations: Translations,
    job: FakeJob,
    given: dict[str, Any] | None,
    changes: dict[str, Any],
    healthy: bool | None,
    can_process: bool | None,
    reasons: tuple[str, ...],
) -> None:
    """Whether the service is well and whether an input fits are two questions; nothing is submitted."""
    found = checked(translations, job, given, **changes)
    assert (healthy, can_process, len(reasons)) == (found.healthy, found.can_process, len(found.reasons))
    assert all(words in reason for words, reason in zip(reasons, found.reasons, strict=True))
    assert [] == translations.submitted


def test_what_a_check_finds_holds_no_secret(translations: Translations, job: FakeJob) -> None:
    """Though the service repeats what it was sent."""
    found = checked(translations, job, None, secret="another-secret")
    assert (False, 1, False) == (found.healthy, len(found.reasons), "another-secret" in found.model_dump_json())
    assert "***" in found.reasons[0]
