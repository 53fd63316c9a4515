"""The sender against real receivers: what it sends, what it does not follow, and whom it does not keep waiting."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from standardwebhooks import Webhook as Verifier

from tasks.core.callbacks.records import TEST, Delivery, DeliveryState, OwnCallback
from tasks.core.callbacks.sender import Sender
from tasks.core.callbacks.signing import add_secret, new_secret, seal_secret, tenant_secret
from tasks.core.clock import now
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import LedgerUnavailable
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, accepting, callbacks, deliveries, transitions, webhooks
from tasks.core.ledger.deliveries import Wanted
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, JobState
from tasks.core.settings import Settings
from tests.core.ledger.test_ledger_callbacks import due_now
from tests.core.ledger.test_ledger_outbox import a_tenant
from tests.receiver import Received, Receiver, receiving
from tests.samples import a_job, claimed, eventually

_PATIENCE_S = 30.0


@pytest.fixture
def house() -> Iterator[tuple[Receiver, list[Received]]]:
    with receiving(inward="http://169.254.169.254/latest") as served:
        yield served


def settings_for(*, timeout_s: float = 5.0) -> Settings:
    return Settings(secret_key="k" * 40, callback_timeout_s=timeout_s)


@contextmanager
def sending(ledger: Ledger, settings: Settings, *allowed: str) -> Iterator[Sender]:
    with ExitStack() as stack:
        egress = stack.enter_context(Egress(EgressPolicy(allow=frozenset(allowed))))
        sender = Sender(ledger, settings, egress)
        stack.callback(sender.close)
        yield sender


def ended_job(ledger: Ledger, tenant: Tenant, url: str, *, sealed: bytes | None = None, webhook_id: str = "") -> str:
    """A job that has ended, and is to be told of at ``url``."""
    job = a_job(tenant)
    asked, its_id = OwnCallback(url, ["job.*"]), webhook_id or new_id()
    own = webhooks.own_webhook(asked, job.tenant_id, webhook_id=its_id, sealed=sealed, at=job.created_at, job_id=job.id)
    running = claimed(ledger, accepting.accept(ledger, job, may_publish=True, callback=own).job)
    transitions.finish(ledger, job.id, fence=running.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED)
    return job.id


def ends(ledger: Ledger, tenant: Tenant) -> list[Delivery]:
    return [one for one in deliveries.page(ledger, Wanted(tenant.id), limit=100) if one.type != "job.started"]


def tried(sender: Sender, ledger: Ledger, tenant: Tenant, *, times: int = 1) -> Delivery:
    """The only end's delivery, once it was tried so often."""

    def is_tried() -> bool:
        sender.tick()
        return len(ends(ledger, tenant)[0].attempts) >= times

    assert eventually(is_tried, within_s=_PATIENCE_S)
    return ends(ledger, tenant)[0]


def test_end_is_sent_signed_by_each_secret(
    ledger: Ledger, tenant: Tenant, house: tuple[Receiver, list[Received]]
) -> None:
    """While a secret is being rotated both verify; the body is what the ledger keeps."""
    receiver, received = house
    settings, old, new, webhook_id = settings_for(), new_secret(), new_secret(), new_id()
    sealed = add_secret(settings, webhook_id, seal_secret(settings, webhook_id, old), new, at=now(), old_for_s=60)
    job_id = ended_job(ledger, tenant, receiver.url("/in"), sealed=sealed, webhook_id=webhook_id)
    with sending(ledger, settings, receiver.endpoint) as sender:
        delivery = tried(sender, ledger, tenant)
    assert (DeliveryState.DELIVERED, 200) == (delivery.state, delivery.attempts[0]["status"])
    (got,) = [one for one in received if one.id == delivery.id]
    for secret in (old, new):
        verified = Verifier(secret).verify(got.body, got.signed)
        assert ("job.succeeded", job_id) == (verified["type"], verified["data"]["job_id"])
    assert delivery.body == got.body


def test_job_without_a_secret_is_signed_by_its_tenants(
    ledger: Ledger, tenant: Tenant, house: tuple[Receiver, list[Received]]
) -> None:
    """So that every delivery can be verified."""
    receiver, received = house
    settings = settings_for()
    ended_job(ledger, tenant, receiver.url("/in"))
    with sending(ledger, settings, receiver.endpoint) as sender:
        tried(sender, ledger, tenant)
    assert all(Verifier(tenant_secret(settings, tenant.id)).verify(one.body, one.signed) for one in received)


@pytest.mark.parametrize(
    ("path", "error"), [("/fail", "status_500"), ("/huge", "status_500"), ("/inward", "status_307")]
)
def test_whatever_is_no_success_is_tried_again(
    ledger: Ledger, tenant: Tenant, house: tuple[Receiver, list[Received]], path: str, error: str
) -> None:
    """Redirects are not followed, bodies not read."""
    receiver, _ = house
    ended_job(ledger, tenant, receiver.url(path))
    with sending(ledger, settings_for(), receiver.endpoint) as sender:
        delivery = tried(sender, ledger, tenant)
        assert (DeliveryState.PENDING, error) == (delivery.state, delivery.attempts[0]["error"])
        due_now(ledger)
        assert [error] * 2 == [one["error"] for one in tried(sender, ledger, tenant, times=2).attempts]


def test_address_is_judged_at_each_try(ledger: Ledger, tenant: Tenant, house: tuple[Receiver, list[Received]]) -> None:
    """What is allowed now may lead inward at the next try: then nothing is sent, and no reason is given."""
    receiver, received = house
    ended_job(ledger, tenant, receiver.url("/fail"))
    with sending(ledger, settings_for(), receiver.endpoint) as sender:
        tried(sender, ledger, tenant)
    before = len(received)
    due_now(ledger)
    with sending(ledger, settings_for()) as sender:
        delivery = tried(sender, ledger, tenant, times=2)
    assert ("egress_refused", before) == (delivery.attempts[1]["error"], len(received))


def test_name_that_leads_inward_is_refused(ledger: Ledger, tenant: Tenant) -> None:
    """By its addresses, looked up anew at each try."""
    ended_job(ledger, tenant, "https://hooks.example.com/in")

    def inward(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1"]

    with Egress(resolver=inward) as egress:
        sender = Sender(ledger, settings_for(), egress)
        try:
            assert "egress_refused" == tried(sender, ledger, tenant).attempts[0]["error"]
        finally:
            sender.close()


def test_try_that_could_not_be_written_down_is_repeated_under_the_same_id(
    ledger: Ledger,
    tenant: Tenant,
    house: tuple[Receiver, list[Received]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a sender was killed between sending and noting it: receivers tell by the id."""
    receiver, received = house
    ended_job(ledger, tenant, receiver.url("/in"))

    refused: list[object] = []

    def refuse(*what: object, **__: object) -> None:
        refused.append(what)
        raise LedgerUnavailable("gone")

    with sending(ledger, settings_for(), receiver.endpoint) as sender, monkeypatch.context() as patch:
        patch.setattr(deliveries, "record", refuse)
        sender.tick()
        assert eventually(lambda: len(refused) == 2, within_s=_PATIENCE_S)
    assert len(received) == 2
    due_now(ledger)
    with sending(ledger, settings_for(), receiver.endpoint) as sender:
        delivery = tried(sender, ledger, tenant)
    assert (DeliveryState.DELIVERED, 2) == (delivery.state, delivery.tries)
    assert 2 == sum(one.id == delivery.id for one in received)


def test_receivers_that_hang_do_not_keep_others_waiting(
    ledger: Ledger, tenant: Tenant, house: tuple[Receiver, list[Received]]
) -> None:
    """Neither those of other tenants nor other servers of the same one."""
    receiver, received = house
    other = a_tenant(ledger, "other")
    patient = settings_for(timeout_s=60)
    with receiving() as (quick, got), sending(ledger, patient, receiver.endpoint, quick.endpoint) as sender:
        for _ in range(10):
            ended_job(ledger, tenant, receiver.url("/hang"))
        sender.tick()
        assert eventually(lambda: len(received) == 4, within_s=_PATIENCE_S)  # the most of one server
        ended_job(ledger, tenant, quick.url("/in"))
        ended_job(ledger, other, quick.url("/in"))

        def all_got() -> bool:
            sender.tick()
            return len(got) == 4

        assert eventually(all_got, within_s=_PATIENCE_S)
        assert len(received) == 4  # the others have not even had their turn
        receiver.released.set()


def test_endpoint_that_is_switched_off_gets_nothing_but_tests(
    ledger: Ledger, tenant: Tenant, house: tuple[Receiver, list[Received]]
) -> None:
    """A delivery that was written just before is given up."""
    receiver, received = house
    settings, webhook_id = settings_for(), new_id()
    webhook = webhooks.create(
        ledger,
        tenant.id,
        webhook_id=webhook_id,
        url=receiver.url("/in"),
        events=["job.succeeded"],
        description="",
        sealed=seal_secret(settings, webhook_id, new_secret()),
        enabled=False,
    )
    callbacks.tell_test(ledger, webhook, TEST)
    callbacks.tell_test(ledger, webhook, "job.succeeded")
    with sending(ledger, settings, receiver.endpoint) as sender:

        def all_ended() -> bool:
            sender.tick()
            return all(one.state != DeliveryState.PENDING for one in ends(ledger, tenant))

        assert eventually(all_ended, within_s=_PATIENCE_S)
    states = {one.type: one.state for one in ends(ledger, tenant)}
    assert {TEST: DeliveryState.DELIVERED, "job.succeeded": DeliveryState.DEAD} == states
    assert 1 == len(received)
