"""``/api/sessions``: sign-in states are taken, never given out, and open only for whom they were sealed."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.services import Services
from tasks.core.errors import NotFound, Permanent
from tasks.core.ledger.tenants import Tenant
from tasks.core.settings import Settings
from tasks.discovery.sealing import seal, state_for_job, unseal
from tasks.discovery.store.tables import sessions
from tests.app.conftest import Caller
from tests.samples import accepted

SITE = "https://shop.example"
PATH = f"/api/sessions?site={SITE}"
SECRET = "a-very-secret-cookie"
COOKIE = {"name": "sid", "value": SECRET, "domain": "shop.example", "path": "/", "expires": -1}
STATE: dict[str, Any] = {
    "cookies": [COOKIE | {"httpOnly": True, "secure": True, "sameSite": "Lax"}],
    "origins": [{"origin": SITE, "localStorage": [{"name": "token", "value": SECRET}]}],
}


def test_a_state_is_stored_and_never_shown(services: Services, alice: Caller) -> None:
    """Neither by an answer nor in the database; a job of its tenant gets it as it was."""
    answers = [alice.open("PUT", PATH, json=STATE), alice.open("PUT", PATH, json=STATE), alice.get("/api/sessions")]
    assert [201, 200, 200] == [answer.status_code for answer in answers]
    assert [SITE] == [one["site"] for one in answers[2].json["sessions"]]
    assert not [answer for answer in answers if SECRET in answer.text]
    ledger = services.kernel.ledger
    with ledger.read() as connection:
        sealed = connection.execute(sa.select(sessions.c.sealed)).scalar_one()
    assert SECRET.encode() not in sealed
    job = accepted(ledger, Tenant(alice.tenant_id, ""))
    assert STATE == state_for_job(ledger, services.settings, job.id, SITE)


def test_a_state_is_its_tenants_own(services: Services, alice: Caller, bob: Caller) -> None:
    """Nobody else lists, uses or deletes it."""
    alice.open("PUT", PATH, json=STATE)
    assert [] == bob.get("/api/sessions").json["sessions"]
    assert 404 == bob.delete(PATH).status_code
    job = accepted(services.kernel.ledger, Tenant(bob.tenant_id, ""))
    with pytest.raises(NotFound, match=r"No sign-in state is stored for https://shop\.example"):
        state_for_job(services.kernel.ledger, services.settings, job.id, SITE)
    assert (204, 404) == (alice.delete(PATH).status_code, alice.delete(PATH).status_code)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sessions", STATE),
        ("/api/sessions?site=shop.example", STATE),
        (PATH, {"cookies": [{"name": "a"}]}),
        (PATH, {"cookies": [COOKIE | {"sameSite": "x"}]}),
        (PATH, {"cookies": [COOKIE | {"value": SECRET * 10_000}]}),
        (PATH, {"headers": {}}),
    ],
)
def test_bad_states_are_refused(alice: Caller, path: str, body: dict[str, Any]) -> None:
    """Each field named, no value repeated."""
    answer = alice.open("PUT", path, json=body)
    assert (422, False) == (answer.status_code, SECRET in answer.text)


def test_a_seal_is_for_one_tenant_and_site_and_secret(settings: Settings, tmp_path: Any) -> None:
    """A copied row opens for nobody, nor does one of another installation."""
    sealed = seal(settings, "alice", SITE, STATE)
    assert STATE == unseal(settings, "alice", SITE, sealed)
    other = Settings(state_dir=tmp_path / "other", redis_url=settings.redis_url)
    for key in ((settings, "bob", SITE), (settings, "alice", "https://b.example"), (other, "alice", SITE)):
        with pytest.raises(Permanent, match="SWITCHYARD_SECRET_KEY is another"):
            unseal(*key, sealed)
    with pytest.raises(Permanent):
        unseal(settings, "alice", SITE, sealed[:-1])
