"""``/api/connectors``: configurations are taken, their secrets never given out, and open only for their tenant."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.services import Services
from tasks.connectors.configured import connector_for_job
from tasks.connectors.store.tables import connectors
from tasks.core.errors import NotFound, Permanent
from tasks.core.ledger.tenants import Tenant
from tests.app.conftest import Caller
from tests.connectors.translations import KEY, SAY, TRANSLATE
from tests.samples import accepted

PATH = "/api/connectors/translator"
SERVICE = SAY | {"base_url": "https://translations.example"}
BODY: dict[str, Any] = {"service": SERVICE, "secrets": {"key": KEY}}


def test_a_connector_is_stored_and_its_secrets_never_shown(services: Services, alice: Caller) -> None:
    """Neither by an answer nor in the database; a job of its tenant gets them as they were."""
    answers = [alice.open("PUT", PATH, json=body) for body in (BODY, BODY, {"service": SERVICE})]
    answers += [alice.get(PATH), alice.get("/api/connectors")]
    assert [201, 200, 200, 200, 200] == [answer.status_code for answer in answers]
    assert (["key"], [answers[3].json]) == (answers[3].json["secrets"], answers[4].json["connectors"])
    assert not [answer for answer in answers if "k3y" in answer.text]
    ledger = services.kernel.ledger
    with ledger.read() as connection:
        row = connection.execute(sa.select(connectors)).one()
    assert "k3y" not in repr(row)
    found = connector_for_job(ledger, services.settings, accepted(ledger, Tenant(alice.tenant_id, "")).id, "translator")
    assert ({"key": KEY}, SERVICE["base_url"]) == (found.secrets, found.service.base_url)
    assert KEY not in repr(found)


def test_a_connector_is_its_tenants_own(services: Services, alice: Caller, bob: Caller) -> None:
    """Nobody else lists, sees, uses or deletes it; a copied row does not open."""
    alice.open("PUT", PATH, json=BODY)
    assert ([], 404, 404) == (
        bob.get("/api/connectors").json["connectors"],
        bob.get(PATH).status_code,
        bob.delete(PATH).status_code,
    )
    ledger = services.kernel.ledger
    job = accepted(ledger, Tenant(bob.tenant_id, ""))
    with pytest.raises(NotFound, match="There is no connector translator"):
        connector_for_job(ledger, services.settings, job.id, "translator")
    with ledger.write() as connection:
        connection.execute(connectors.update().values(tenant_id=bob.tenant_id))
    with pytest.raises(Permanent, match="SWITCHYARD_SECRET_KEY is another"):
        connector_for_job(ledger, services.settings, job.id, "translator")
    assert (204, 404) == (bob.delete(PATH).status_code, bob.delete(PATH).status_code)


@pytest.mark.parametrize(
    ("service", "field"),
    [
        ({"base_url": "ftp://a.example"}, "service.base_url"),
        ({"base_url": "https://a.example/?key=1"}, "service"),
        ({"headers": {"Authorization": "Bearer abcdefgh"}}, "service.headers"),
        ({"headers": {"Host": "b.example"}}, "service.headers"),
        ({"headers": {"X": "{{input.a}}"}}, "service"),
        ({"request": {"path": "/{{secret.key}}"}}, "service.request.path"),
        ({"request": {"path": "//{{env.PATH}}"}}, "service.request.path"),
        ({"request": {"path": "/{{remote.id}}"}}, "service"),
        ({"request": {"path": "https://b.example/"}}, "service.request.path"),
        ({"health": {"path": "/{{input.a}}"}}, "service"),
        ({"poll": TRANSLATE["poll"] | {"remote": {"id": "/id"}}}, "service"),
        ({"poll": TRANSLATE["poll"] | {"state": "status"}}, "service.poll.state"),
        ({"request": {"path": "/", "headers": {"X": "{{secret.other}}"}}}, "secrets"),
    ],
)
def test_bad_configurations_are_refused(alice: Caller, service: dict[str, Any], field: str) -> None:
    """At once, each field named, no secret repeated."""
    answer = alice.open("PUT", PATH, json=BODY | {"service": SERVICE | service})
    assert (422, False) == (answer.status_code, "k3y" in answer.text)
    assert field in [one["field"] for one in answer.json["errors"]]


def test_short_secrets_are_refused(alice: Caller) -> None:
    """They could not be struck without harm."""
    answer = alice.open("PUT", PATH, json=BODY | {"secrets": {"key": "short"}})
    assert (422, "short" in answer.text.replace("shorter", "")) == (answer.status_code, False)
