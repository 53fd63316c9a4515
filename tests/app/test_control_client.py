"""The client and the command do an operator's work, against the front door itself."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from client import AsyncSwitchyard, ConfirmationRequired, NotAllowed, Switchyard
from client.command import main
from tasks.core.ledger import tenants
from tests.app.desk import Desk

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


@pytest.fixture
def key(desk: Desk) -> str:
    """An operator's key."""
    return tenants.create_key(desk.services.kernel.ledger, tenant=tenants.SYSTEM, name="operator")


@pytest.fixture
def run(desk: Desk, key: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command as the operator; return what it printed as JSON."""

    def run(*arguments: str, json_out: bool = True) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--url", f"http://{desk.address}", "--key", key, *(["--json"] if json_out else []), *arguments])
        printed = capsys.readouterr()
        assert str(ended.value.code) == "0", printed.err
        # The server logs in this process, too.
        written = "".join(line for line in printed.out.splitlines(True) if not line.startswith("level="))
        return json.loads(written) if json_out else written

    return run


def test_an_operator_pauses_purges_and_limits(desk: Desk, key: str) -> None:
    """Each call does what its HTTP call does; a tenant's key may do none of it."""
    with Switchyard(f"http://{desk.address}", key) as client, Switchyard(client.url, desk.alice.key) as tenant:
        made = client.control.pause(queue="maintenance", tenant="alice", reason="a", for_s=600)
        assert ("maintenance", None, "alice", "a") == (made.queue, made.kind, made.tenant, made.reason)
        job = tenant.submit("maintenance.ping", {"message": "hi"})
        waiting = tenant.job(job.id)
        assert ("pause", made.id) == (waiting.waiting_for, (waiting.pause or {})["id"])
        assert [1] == [one.held for one in client.control.pauses()]
        dry = client.control.purge(tenant="alice", kind="maintenance.ping", dry_run=True)
        assert ([job.id], 0, True) == ([one.id for one in dry.sample], dry.changed, dry.dry_run)
        with pytest.raises(ConfirmationRequired):
            client.control.purge(tenant="alice")
        assert 1 == client.control.purge(tenant="alice", confirm=True).changed
        assert "purged" == tenant.job(job.id).cause
        client.control.resume(made.id)
        assert 2 == client.control.set_limit(tenant="alice", weight=2).weight
        assert ["alice"] == [one.tenant for one in client.control.limits()]
        client.control.remove_limit(tenant="alice")
        told = [one.what for one in client.control.audit(tenant="alice", limit=5).entries]
        assert ["limit.removed", "limit.set", "pause.ended", "jobs.purged", "pause.made"] == told
        with pytest.raises(NotAllowed):
            tenant.control.pauses()


def test_an_operator_of_a_loop(desk: Desk, key: str) -> None:
    """The same, awaited."""

    async def work() -> None:
        async with AsyncSwitchyard(f"http://{desk.address}", key) as client:
            made = await client.control.pause(kind="maintenance.ping")
            assert [made.id] == [one.id for one in await client.control.pauses()]
            await client.control.resume(made.id)
            await client.control.set_limit(kind="maintenance.ping", most_at_once=1)
            assert 1 == len(await client.control.limits())
            await client.control.remove_limit(kind="maintenance.ping")
            assert 0 == (await client.control.purge(dry_run=True)).matched
            assert "limit.removed" == (await client.control.audit(limit=1)).entries[0].what

    asyncio.run(work())


def test_an_operators_commands(desk: Desk, run: Run) -> None:
    """What they print is for scripts, or for people."""
    made = run("pause", "maintenance", "--reason", "disk", "--for", "600")
    assert ("maintenance", "disk") == (made["queue"], made["reason"])
    job_id = desk.alice.submit()["id"]
    assert [made["id"]] == [one["id"] for one in run("pauses")["pauses"]]
    assert f"{made['id']}\tqueue maintenance" in run("pauses", json_out=False)
    assert "1 held" in run("queues", json_out=False)
    assert "1 queued jobs would be cancelled" in run("purge", "--queue", "maintenance", json_out=False)
    assert 1 == run("purge", "--tenant", "alice", "--yes")["changed"]
    assert "cancelled" == desk.alice.get(f"/api/jobs/{job_id}").json["state"]
    run("resume", "maintenance")
    assert [] == run("pauses")["pauses"]
    kinds = [run("pause", "--kind", "maintenance.ping")["id"], run("pause", "--tenant", "alice")["id"]]
    assert "goes on" in run("resume", kinds[0], json_out=False)
    assert kinds[1:] == [one["id"] for one in run("pauses")["pauses"]]
    assert 3 == run("limits", "set", "--kind", "maintenance.ping", "--at-once", "3")["most_at_once"]
    assert "*\tmaintenance.ping\tmost_at_once 3" in run("limits", "list", json_out=False)
    run("limits", "remove", "--kind", "maintenance.ping")
    page = run("audit", "--limit", "1")
    assert ["limit.removed"] == [one["what"] for one in page["entries"]]
    assert "limit.set" in run("audit", "--cursor", page["next_cursor"], json_out=False)
