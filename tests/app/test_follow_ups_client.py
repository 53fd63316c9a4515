"""The client and the command plan, see and cancel chains, against the front door itself."""

import asyncio

import pytest

from client import AsyncSwitchyard, InputRejected, Switchyard
from client.command import main
from tests.app.desk import Desk

pytestmark = pytest.mark.slow

PING = "maintenance.ping"
THEN = {"kind": PING, "params": {"message": {"$from": "/result/message"}}}


def test_a_chain_is_planned_seen_and_cancelled(desk: Desk) -> None:
    """What cannot follow is named by its place."""
    with Switchyard(f"http://{desk.address}", desk.alice.key) as client:
        job = client.submit(PING, on_success=THEN, on_failure={"kind": PING})
        assert job.follow_up is not None
        assert ("waiting", PING, PING) == (job.follow_up.state, job.follow_up.on_success, job.follow_up.on_failure)
        assert [job.id] == [one.id for one in client.jobs(chain=job.id)]
        assert [] == list(client.jobs(parent=job.id))
        assert [(job.id, "queued")] == [(one.id, one.state) for one in client.chain(job.id).jobs]
        assert "cancelled" == client.cancel_chain(job.id).jobs[0].state
        with pytest.raises(InputRejected) as refused:
            client.submit(PING, on_success=THEN | {"params": {"message": {"$from": "/result/nonsense"}}})
        assert ["on_success.params.message"] == [error.field for error in refused.value.errors]


def test_a_chain_of_a_loop(desk: Desk) -> None:
    async def work() -> None:
        async with AsyncSwitchyard(f"http://{desk.address}", desk.alice.key) as client:
            job = await client.submit(PING, on_success=THEN)
            assert job.id == (await client.chain(job.id)).chain_id
            assert "cancelled" == (await client.cancel_chain(job.id)).jobs[0].state

    asyncio.run(work())


def test_the_command_says_what_follows(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """And shows the chain."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--url", f"http://{desk.address}", "--key", desk.alice.key, *arguments])
        shown = capsys.readouterr()
        assert not ended.value.code, shown.err
        return shown.out.splitlines()[-1]  # the front door in this process tells its log, too

    job_id = run("submit", PING, "--then", '{"kind": "maintenance.ping"}')
    assert f"{job_id}  {PING}  queued  (what follows: waiting)" == run("chain", job_id)
    assert f"{job_id}  {PING}  cancelled" in run("chain", job_id, "--cancel")
    with pytest.raises(SystemExit) as ended:
        main(["submit", PING, "--then", "[]"])
    assert 2 == ended.value.code
