"""``/api/webhooks`` and ``callback`` of a submission: taken, shown without secrets, refused where they lead inward."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from app.callbacks import check_url
from app.openapi import API
from app.services import Services
from client import AsyncSwitchyard, NotFound, Switchyard
from tasks.core.callbacks.signing import tenant_secret
from tasks.core.errors import InputRejected
from tasks.core.ledger import callbacks, deliveries, prepared
from tasks.core.ledger.callback_tables import webhooks as rows
from tasks.core.ledger.deliveries import Wanted
from tasks.core.setting_values import Environment
from tasks.core.settings import Settings
from tests.app.conftest import PING, Caller, claim, finish, sign_in
from tests.app.streams.house import served

URL = "https://hooks.example.com/in"
PATH = "/api/webhooks"
SECRET = "whsec_" + "A" * 44


@pytest.fixture
def made(alice: Caller) -> dict[str, Any]:
    """Alice's webhook."""
    response = alice.post(PATH, json={"url": URL, "events": ["job.*", "site.crawled"], "description": "ours"})
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json
    return record


def tell(services: Services) -> None:
    callbacks.tell_transitions(services.kernel.ledger, keep_trying_s=60)


def test_secret_is_shown_once_and_kept_sealed(services: Services, alice: Caller, made: dict[str, Any]) -> None:
    """Neither a later answer nor the database has it; a rotation gives another."""
    one = f"{PATH}/{made['id']}"
    assert made["secret"].startswith("whsec_")
    answers = [alice.get(PATH), alice.get(one), alice.open("PATCH", one, json={"description": "x"})]
    assert not [answer for answer in answers if "secret" in answer.json or made["secret"] in answer.text]
    with services.kernel.ledger.read() as connection:
        assert made["secret"].encode() not in connection.execute(sa.select(rows.c.sealed)).scalar_one()
    rotated = alice.post(f"{one}/rotate", json={"old_for_s": 60}).json
    assert rotated["secret"] != made["secret"]
    own = alice.post(f"{one}/rotate", json={"secret": SECRET})
    assert SECRET == own.json["secret"]


def test_webhook_is_changed_switched_off_and_deleted(alice: Caller, made: dict[str, Any]) -> None:
    """What is left out stays as it is."""
    one = f"{PATH}/{made['id']}"
    changed = alice.open("PATCH", one, json={"events": ["job.failed"], "enabled": False}).json
    assert (["job.failed"], False, "requested", URL) == tuple(
        changed[name] for name in ("events", "enabled", "off_reason", "url")
    )
    again = alice.open("PATCH", one, json={"enabled": True}).json
    assert (True, None, None) == (again["enabled"], again["off_reason"], again["off_at"])
    assert (204, 404) == (alice.delete(one).status_code, alice.get(one).status_code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("POST", "/test"),
        ("GET", "/stats"),
        ("POST", "/replay"),
    ],
)
def test_webhooks_are_their_tenants_own(bob: Caller, made: dict[str, Any], method: str, path: str) -> None:
    """Nobody else sees, changes or tests one."""
    body = {"json": {}} if method in {"PATCH", "POST"} else {}
    assert 404 == bob.open(method, f"{PATH}/{made['id']}{path}", **body).status_code
    assert [] == bob.get(PATH).json["webhooks"]


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://hooks.example.com/"},
        {"url": "https://127.0.0.1/"},
        {"url": "https://[::1]/"},
        {"url": "http://169.254.169.254/latest"},
        {"url": "https://hooks.example.com:8443/"},
        {"url": "https://localhost/"},
        {"url": "https://me:pass@hooks.example.com/"},
        {"url": "https://hooks.example.com/#x"},
        {"events": []},
        {"events": ["*"]},
        {"events": ["Job.Failed"]},
        {"secret": "whsec_YWJj"},
        {"surprise": 1},
    ],
)
def test_what_could_never_be_sent_is_refused(alice: Caller, changes: dict[str, Any]) -> None:
    """At once, and the field is named."""
    response = alice.post(PATH, json={"url": URL} | changes)
    assert 422 == response.status_code, response.text
    assert next(iter(changes)) in response.text


def test_production_calls_back_over_https(settings: Settings) -> None:
    """Plain http is for one's own machine."""
    production = settings.model_copy(update={"environment": Environment.PRODUCTION})
    with pytest.raises(InputRejected, match="https"):
        check_url(production, "http://hooks.example.com/")
    check_url(settings, "http://hooks.example.com/")
    check_url(production, URL)


def test_job_with_a_callback_has_its_end_listed_and_replayed(services: Services, alice: Caller, bob: Caller) -> None:
    """The request thread sends nothing: the delivery waits for the sender."""
    job = alice.submit(callback={"url": URL, "secret": SECRET})
    finish(services.kernel, claim(services.kernel, job["id"]))
    tell(services)
    page = alice.get(f"{PATH}/deliveries?job_id={job['id']}").json
    (delivery,) = page["deliveries"]
    assert ("job.succeeded", "pending", 0) == (delivery["type"], delivery["state"], delivery["tries"])
    assert job["id"] == delivery["payload"]["data"]["job_id"]
    one = f"{PATH}/deliveries/{delivery['id']}"
    assert (200, 409, 404) == (
        alice.get(one).status_code,
        alice.post(f"{one}/replay").status_code,
        bob.get(one).status_code,
    )
    assert ([], []) == (bob.get(f"{PATH}/deliveries").json["deliveries"], alice.get(PATH).json["webhooks"])


@pytest.mark.parametrize(
    "callback",
    [
        {"url": "https://10.0.0.1/"},
        {"url": URL, "events": ["site.crawled"]},
        {"url": URL, "secret": "whsec_AAAA"},
        {"events": ["job.*"]},
    ],
)
def test_bad_callback_makes_no_job(alice: Caller, callback: dict[str, Any]) -> None:
    """The whole submission is refused."""
    response = alice.post(PING, json={"params": {"message": "hi"}, "callback": callback})
    assert (422, 0) == (response.status_code, alice.get("/api/jobs").json["total"])


def test_same_key_with_another_callback_is_another_request(services: Services, alice: Caller) -> None:
    """And the same one makes no second callback."""
    body = {"params": {"message": "hi"}, "callback": {"url": URL}}
    headers = {"Idempotency-Key": "k"}
    answers = [alice.post(PING, json=body, headers=headers) for _ in range(2)]
    assert 1 == len({answer.json["id"] for answer in answers})
    with services.kernel.ledger.read() as connection:
        assert 1 == len(connection.execute(rows.select()).all())
    other = body | {"callback": {"url": f"{URL}/2"}}
    assert 422 == alice.post(PING, json=other, headers=headers).status_code


def test_deliveries_come_in_pages(services: Services, alice: Caller, made: dict[str, Any]) -> None:
    """Newest first, by state."""
    for _ in range(3):
        assert 202 == alice.post(f"{PATH}/{made['id']}/test").status_code
    first = alice.get(f"{PATH}/deliveries?limit=2&state=pending").json
    second = alice.get(f"{PATH}/deliveries?limit=2&state=pending&cursor={first['next_cursor']}").json
    ids = [one["id"] for page in (first, second) for one in page["deliveries"]]
    assert sorted(ids, reverse=True) == ids
    assert (3, None) == (len(set(ids)), second["next_cursor"])
    assert 3 == alice.get(f"{PATH}/{made['id']}/stats").json["pending"]
    assert "switchyard_callbacks_pending 3.0" in alice.get("/metrics").text


def test_accepting_a_job_asks_the_ledger_for_nothing_more(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with a webhook of the tenant nor without one: who is told is looked up with the transition."""
    statements: list[str] = []
    enter = prepared._Cursor.__enter__

    def noted(self: prepared._Cursor) -> Any:
        statements.append(self._text)
        return enter(self)

    alice.submit()
    monkeypatch.setattr(prepared._Cursor, "__enter__", noted)
    alice.submit()
    without = list(statements)
    alice.post(PATH, json={"url": URL})
    statements.clear()
    alice.submit()
    assert without == statements
    assert any("INSERT INTO jobs" in text for text in statements)
    assert not [text for text in statements if "webhooks" in text or "callback_deliveries" in text]


@pytest.fixture
def client(app: API, alice: Caller) -> Iterator[Switchyard]:
    """Alice's client of the same front door on a server."""
    with served(app) as address, Switchyard(f"http://{address}", alice.key) as client:
        yield client


def test_client_keeps_webhooks(services: Services, client: Switchyard, alice: Caller) -> None:
    """Everything that the interface offers."""
    made = client.webhooks.create(URL, events=["job.*"])
    assert made.secret
    assert [made.id] == [one.id for one in client.webhooks.list()]
    assert "b" == client.webhooks.change(made.id, description="b").description
    assert client.webhooks.rotate(made.id).secret != made.secret
    assert tenant_secret(services.settings, alice.tenant_id) == client.webhooks.signing_secret()
    sent = client.webhooks.test(made.id)
    assert ("webhook.test", 1) == (client.webhooks.delivery(sent.id).type, client.webhooks.stats(made.id).pending)
    job = client.submit("maintenance.ping", {"message": "hi"}, callback={"url": URL, "events": ["job.succeeded"]})
    finish(services.kernel, claim(services.kernel, job.id))
    tell(services)
    told = client.webhooks.deliveries(job_id=job.id, limit=10).deliveries
    assert ["job.started", "job.succeeded", "job.succeeded"] == sorted(one.type for one in told)
    client.webhooks.change(made.id, enabled=False)
    client.webhooks.change(made.id, enabled=True)
    assert 2 == client.webhooks.replay_dead(made.id)
    client.webhooks.delete(made.id)
    with pytest.raises(NotFound):
        client.webhooks.get(made.id)


def test_async_client_keeps_webhooks(app: API, services: Services) -> None:
    """The same, awaited."""

    async def scenario(url: str, key: str) -> None:
        async with AsyncSwitchyard(url, key) as client:
            made = await client.webhooks.create(URL)
            assert [made.id] == [one.id for one in await client.webhooks.list()]
            assert not (await client.webhooks.change(made.id, enabled=False)).enabled
            assert (await client.webhooks.get(made.id)).off_reason == "requested"
            assert (await client.webhooks.rotate(made.id, secret=SECRET)).secret == SECRET
            sent = await client.webhooks.test(made.id)
            assert (await client.webhooks.delivery(sent.id)).state == "pending"
            assert (await client.webhooks.stats(made.id)).pending == 1
            assert len((await client.webhooks.deliveries()).deliveries) == 1
            assert await client.webhooks.signing_secret()
            await client.webhooks.delete(made.id)

    with served(app) as address:
        asyncio.run(scenario(f"http://{address}", sign_in(app, "carol").key))
    assert [] == deliveries.page(services.kernel.ledger, Wanted("carol"), limit=1)
