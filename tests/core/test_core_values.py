"""Small values: ids, URLs, times, specs and the breaker."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core import breaker as breaker_module
from tasks.core.breaker import Breaker
from tasks.core.clock import now, rfc3339
from tasks.core.ids import is_id, new_id
from tasks.core.records import TERMINAL, JobState
from tasks.core.spec import RETRY_PRESETS, JobSpec, Queue
from tasks.core.urls import is_loopback, mask_password
from tasks.maintenance.contract import SPECS, PingRequest, PingResult
from tests.samples import FakeClock


def test_ids_are_version_7_and_sort_by_time() -> None:
    """A later job has a greater id, also within a millisecond."""
    ids = [new_id() for _ in range(200)]
    assert sorted(ids) == ids
    assert {7} == {UUID(one).version for one in ids}


@pytest.mark.parametrize(
    "text", ["", "x", "01A20163-E147-721A-BAD7-283AE97D0864", "{01a20163-e147-721a-bad7-283ae97d0864}"]
)
def test_other_spellings_are_no_ids(text: str) -> None:
    """One job has one name."""
    assert not is_id(text)
    assert is_id(new_id())


@pytest.mark.parametrize("host", [None, "", "localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_loopback(host: str | None) -> None:
    """A file and a socket are here too."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example.org", "127.evil.example", "128.0.0.1"])
def test_other_machines_are_not_loopback(host: str) -> None:
    """A name that only looks like it is somewhere else."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user@h:6379/0", "redis://user@h:6379/0"),
        ("redis://:pass@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://u:p:a/s@s@h/d?sslmode=require", "postgresql://u:***@h/d?sslmode=require"),
        ("postgresql://h/d?password=hunter2&sslmode=require", "postgresql://h/d?password=***&sslmode=require"),
        ("sqlite:////var/lib/a:b@c.db", "sqlite:////var/lib/a:b@c.db"),
    ],
)
def test_password_is_masked(url: str, masked: str) -> None:
    """Wherever it stands and whatever it is made of; the rest stays readable."""
    assert masked == mask_password(url)


@given(st.text(alphabet="abc:/@?#%&=", min_size=6))
def test_no_password_shows(password: str) -> None:
    """Also where the URL is not well formed."""
    assert f":{password}@" not in mask_password(f"redis://user:{password}@host:6379/0")


def test_times_are_sent_in_utc_with_milliseconds() -> None:
    """RFC 3339, whatever the zone they came in."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(at) == "2026-01-02T01:04:05.678Z"
    assert now().tzinfo is UTC


def test_three_states_are_terminal() -> None:
    """Nothing leaves them."""
    assert {"succeeded", "failed", "cancelled"} == TERMINAL == {state for state in JobState if state.is_terminal}


@pytest.mark.parametrize(("soft", "hard"), [(0, 1), (-1, 1), (5, 5), (6, 5)])
def test_spec_needs_a_soft_limit_under_a_hard_one(soft: float, hard: float) -> None:
    """The engine is told before its processes are killed."""
    with pytest.raises(ValueError, match="soft_limit_s"):
        JobSpec("a.b", Queue.AI, PingRequest, PingResult, "s", soft_limit_s=soft, hard_limit_s=hard)


def test_spec_knows_its_family() -> None:
    """The part before the dot."""
    assert [spec.family for spec in SPECS] == ["maintenance"] * len(SPECS)


def test_contract_refuses_unknown_fields_and_changes() -> None:
    """A typo is an answer, not a default."""
    with pytest.raises(ValidationError, match="extra"):
        PingRequest(massage="x")
    with pytest.raises(ValidationError, match="frozen"):
        PingRequest(message="x").message = "y"


def test_examples_of_the_specs_are_valid() -> None:
    """The catalogue shows what it accepts."""
    assert [spec.kind for spec in SPECS if spec.request.model_validate(spec.example) is None] == []


def test_presets_are_found_by_their_name() -> None:
    """A row keeps the name only."""
    assert [preset.name for preset in RETRY_PRESETS.values()] == list(RETRY_PRESETS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The breaker's clock, standing still."""
    clock = FakeClock()
    monkeypatch.setattr(breaker_module.time, "monotonic", clock)
    return clock


def test_breaker_opens_for_its_pause(clock: FakeClock) -> None:
    """A failure lets nobody through for two seconds."""
    breaker = Breaker()
    assert not breaker.is_open
    breaker.failed()
    clock.at += 1.99
    assert breaker.is_open


def test_one_caller_tries_again_after_the_pause(clock: FakeClock) -> None:
    """The others wait for what it finds."""
    breaker = Breaker()
    breaker.failed()
    clock.at += 2.0
    assert [breaker.is_open for _ in range(3)] == [False, True, True]
    clock.at += 2.0
    assert not breaker.is_open


def test_success_closes_the_breaker(clock: FakeClock) -> None:
    """Everybody gets through again at once."""
    breaker = Breaker()
    breaker.failed()
    clock.at += 2.0
    assert not breaker.is_open
    breaker.succeeded()
    assert [breaker.is_open, breaker.is_open] == [False, False]
