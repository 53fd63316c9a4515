"""``switchyard webhooks``: who is told of your jobs over HTTP, and what was sent."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import click

from client.command.exits import Exit
from client.command.jobs import pass_session
from client.command.plain import clean, moment
from client.command.session import Session, dumped, json_flag
from client.webhooks import Delivery, DeliveryFilters, Webhook


@click.group()
def webhooks() -> None:
    """List, make, test, switch and delete webhooks; look at deliveries and send them again."""


@webhooks.command(name="list")
@json_flag
@pass_session
def list_(session: Session, /) -> Exit:
    """List your webhooks, oldest first."""
    with session.client() as client:
        found = client.webhooks.list()
    session.table("webhooks", found, _WEBHOOK)
    return Exit.OK


@webhooks.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Of what it is told, as job.failed or site.*; all jobs' events.")
@click.option("--description", help="For people.")
@json_flag
@pass_session
def create(session: Session, /, url: str, *, events: Sequence[str], description: str | None) -> Exit:
    """Make a webhook for URL; its secret is printed this once."""
    options: dict[str, Any] = {"events": list(events or ("job.*",))}
    if description is not None:
        options["description"] = description
    with session.client() as client:
        made = client.webhooks.create(url, **options)
    session.show(made, clean(f"{made.id} {made.secret}"))
    return Exit.OK


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@json_flag
@pass_session
def show(session: Session, /, webhook_id: str) -> Exit:
    """Show a webhook, and what became of its deliveries."""
    with session.client() as client:
        found, counts = client.webhooks.get(webhook_id), client.webhooks.stats(webhook_id)
    if session.as_json:
        both = found.model_dump(mode="json") | {"stats": counts.model_dump(mode="json")}
        click.echo(json.dumps(both))
        return Exit.OK
    for name, read in _WEBHOOK.items():
        click.echo(clean(f"{name}: {read(found)}"))
    click.echo(f"deliveries: {counts.delivered} delivered, {counts.pending} pending, {counts.dead} dead")
    click.echo(f"last delivered: {moment(counts.last_delivered_at)}")
    return Exit.OK


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@json_flag
@pass_session
def test(session: Session, /, webhook_id: str) -> Exit:
    """Send it a `webhook.test`; `delivery` shows what came of it."""
    with session.client() as client:
        sent = client.webhooks.test(webhook_id)
    session.show(sent, sent.id)
    return Exit.OK


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("state", type=click.Choice(["on", "off"]))
@json_flag
@pass_session
def switch(session: Session, /, webhook_id: str, state: str) -> Exit:
    """Switch a webhook on or off."""
    with session.client() as client:
        changed = client.webhooks.change(webhook_id, enabled=state == "on")
    session.show(changed, f"{changed.id} {state}")
    return Exit.OK


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--old-for", "old_for_s", type=click.FloatRange(0), default=86400, help="Seconds for which both sign.")
@json_flag
@pass_session
def rotate(session: Session, /, webhook_id: str, *, old_for_s: float) -> Exit:
    """Give a webhook a new secret, printed this once."""
    with session.client() as client:
        changed = client.webhooks.rotate(webhook_id, old_for_s=old_for_s)
    session.show(changed, str(changed.secret))
    return Exit.OK


@webhooks.command(name="rm")
@click.argument("webhook_id", metavar="ID")
@pass_session
def remove(session: Session, /, webhook_id: str) -> Exit:
    """Delete a webhook with its deliveries."""
    with session.client() as client:
        client.webhooks.delete(webhook_id)
    return Exit.OK


@webhooks.command()
@click.option("--webhook", "webhook_id", help="Only of this webhook.")
@click.option("--job", "job_id", help="Only of this job.")
@click.option("--state", type=click.Choice(["pending", "delivered", "dead"]))
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@json_flag
@pass_session
def deliveries(
    session: Session,
    /,
    *,
    webhook_id: str | None,
    job_id: str | None,
    state: Literal["pending", "delivered", "dead"] | None,
    limit: int,
) -> Exit:
    """List deliveries, newest first, those of jobs' own callbacks too."""
    filters: DeliveryFilters = {"limit": limit}
    if webhook_id is not None:
        filters["webhook_id"] = webhook_id
    if job_id is not None:
        filters["job_id"] = job_id
    if state is not None:
        filters["state"] = state
    with session.client() as client:
        found = client.webhooks.deliveries(**filters).deliveries
    session.table("deliveries", found, _DELIVERY)
    return Exit.OK


@webhooks.command()
@click.argument("delivery_id", metavar="ID")
@json_flag
@pass_session
def delivery(session: Session, /, delivery_id: str) -> Exit:
    """Show a delivery and its tries."""
    with session.client() as client:
        found = client.webhooks.delivery(delivery_id)
    if session.as_json:
        click.echo(dumped(found))
        return Exit.OK
    click.echo(clean(f"{found.id} {found.type} {found.state}, {found.tries} tries"))
    for one in found.attempts:
        outcome = one.error or f"answered {one.status}"
        click.echo(clean(f"  {moment(one.at)} {outcome} after {one.took_ms:.0f} ms"))
    return Exit.OK


@webhooks.command()
@click.argument("some_id", metavar="ID")
@click.option("--dead", "is_webhook", is_flag=True, help="ID is a webhook's: all of its dead deliveries.")
@pass_session
def replay(session: Session, /, some_id: str, *, is_webhook: bool) -> Exit:
    """Send a delivery that has ended once more, under its id."""
    with session.client() as client:
        if is_webhook:
            click.echo(client.webhooks.replay_dead(some_id))
        else:
            click.echo(client.webhooks.replay(some_id).id)
    return Exit.OK


def _state(one: Webhook) -> str:
    return "on" if one.enabled else f"off ({one.off_reason})"


def _outcome(one: Delivery) -> object:
    if not one.attempts:
        return "-"
    return one.attempts[-1].error or one.attempts[-1].status


_WEBHOOK: dict[str, Callable[[Webhook], object]] = {
    "id": lambda one: one.id,
    "url": lambda one: one.url,
    "events": lambda one: " ".join(one.events),
    "state": _state,
    "failing since": lambda one: moment(one.failing_since),
    "description": lambda one: one.description or "-",
}
_DELIVERY: dict[str, Callable[[Delivery], object]] = {
    "id": lambda one: one.id,
    "type": lambda one: one.type,
    "job": lambda one: one.job_id or "-",
    "state": lambda one: one.state,
    "tries": lambda one: one.tries,
    "last": _outcome,
    "created": lambda one: moment(one.created_at),
}
