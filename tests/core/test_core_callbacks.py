"""What callbacks are made of: patience, turns, secrets."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from standardwebhooks import Webhook as Receiver

from tasks.core.callbacks.patience import next_pause_s
from tasks.core.callbacks.records import lane_of
from tasks.core.callbacks.signing import (
    add_secret,
    checked_secret,
    new_secret,
    seal_secret,
    signed_headers,
    tenant_secret,
    valid_secrets,
)
from tasks.core.callbacks.turns import MOST_OF_LANE, MOST_OF_TENANT, Lane, share_out
from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.core.sealing import SealBroken
from tasks.core.settings import Settings

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def tries_of_a_day(seed: int) -> list[float]:
    """When each try of a delivery that always fails is made, in seconds from the first."""
    chance, at, times = random.Random(seed), BEGAN, [0.0]
    while (pause_s := next_pause_s(len(times), at=at, give_up_at=BEGAN + DAY, chance=chance)) is not None:
        at += timedelta(seconds=pause_s)
        times.append((at - BEGAN).total_seconds())
    return times


def test_a_delivery_that_fails_is_tried_for_a_day_with_growing_pauses() -> None:
    """The last try is made when the day is over, and none after it."""
    for seed in range(20):
        times = tries_of_a_day(seed)
        assert 86400 == pytest.approx(times[-1])
        assert 20 < len(times) < 150
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert all(pause <= min(3600, 5 * 2**number) for number, pause in enumerate(pauses))


def test_pauses_are_drawn_from_nothing_to_the_bound() -> None:
    """Full jitter: who failed together does not come back together."""
    drawn = sorted(
        next_pause_s(5, at=BEGAN, give_up_at=BEGAN + DAY, chance=random.Random(seed)) or 0.0 for seed in range(200)
    )
    assert drawn[0] < 8
    assert 72 < drawn[-1] <= 80


def test_receiver_may_ask_for_an_hour_at_most() -> None:
    """Retry-After is followed, up to that."""
    for asked_s, least_s in ((600.0, 600.0), (1e6, 3600.0)):
        pause_s = next_pause_s(1, at=BEGAN, give_up_at=BEGAN + DAY, chance=random.Random(1), asked_s=asked_s)
        assert least_s == pause_s


def test_places_are_shared_by_tenant_and_by_server() -> None:
    """A tenant with much to send to many gets no more than its share while another has something to send."""
    lanes = [Lane(f"a{number}", "a", 100) for number in range(5)] + [Lane("b0", "b", 3)]
    shares = share_out(lanes, free=9, by_lane={}, by_tenant={})
    assert (3, 6) == (shares["b0"], sum(count for name, count in shares.items() if name != "b0"))
    alone = share_out(lanes, free=100, by_lane={"a0": MOST_OF_LANE}, by_tenant={"a": MOST_OF_LANE})
    assert "a0" not in alone
    assert MOST_OF_TENANT - MOST_OF_LANE == sum(count for name, count in alone.items() if name.startswith("a"))


def test_those_with_nothing_under_way_go_first() -> None:
    """A single free place goes to the tenant that has none."""
    lanes = [Lane("a0", "a", 100), Lane("b0", "b", 1)]
    assert {"b0": 1} == share_out(lanes, free=1, by_lane={"a0": 2}, by_tenant={"a": 2})


def test_lane_is_of_a_tenant_and_a_server() -> None:
    """Whatever the path is."""
    assert lane_of("t", "https://h.example:1/a") == lane_of("t", "https://H.example:1/b")
    assert lane_of("t", "https://h.example/") != lane_of("u", "https://h.example/")


def test_signatures_verify_by_old_and_new_secret_until_the_old_one_s_time_is_over() -> None:
    """By the reference library."""
    settings, at = Settings(secret_key="k" * 40), now()
    old, new = new_secret(), new_secret()
    sealed = add_secret(settings, "w", seal_secret(settings, "w", old), new, at=at, old_for_s=60)
    body = '{"a":"ü"}'
    headers = signed_headers("id", body, valid_secrets(settings, "w", sealed, at=at), at=at)
    for secret in (old, new):
        assert {"a": "ü"} == Receiver(secret).verify(body, headers)
    later = valid_secrets(settings, "w", sealed, at=at + timedelta(seconds=61))
    assert [new] == later
    third = add_secret(settings, "w", sealed, new_secret(), at=at + timedelta(seconds=61), old_for_s=0)
    assert 1 == len(valid_secrets(settings, "w", third, at=at + timedelta(seconds=61)))


def test_sealed_secret_opens_for_its_webhook_only() -> None:
    """And with the installation's secret only."""
    settings = Settings(secret_key="k" * 40)
    sealed = seal_secret(settings, "w", new_secret())
    for other, webhook_id in ((settings, "v"), (Settings(secret_key="o" * 40), "w")):
        with pytest.raises(SealBroken):
            valid_secrets(other, webhook_id, sealed, at=now())


def test_tenant_has_a_secret_of_its_own() -> None:
    """The same each time, and another for each."""
    settings = Settings(secret_key="k" * 40)
    assert tenant_secret(settings, "a") == tenant_secret(settings, "a") != tenant_secret(settings, "b")
    assert checked_secret(tenant_secret(settings, "a"))


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_YWJj", "whsec_!!!", "c2VjcmV0" * 5, "whsec_" + "A" * 120])
def test_what_is_no_secret_is_refused(text: str) -> None:
    """Too short, too long, not base64, without its prefix."""
    with pytest.raises(InputRejected, match="whsec_"):
        checked_secret(text)
