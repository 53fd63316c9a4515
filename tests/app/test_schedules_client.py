"""The client and the command make, change, run and delete schedules, against the front door itself."""

import asyncio
import json

import pytest

from client import AsyncSwitchyard, InputRejected, NotFound, Switchyard
from client.command import main
from tests.app.desk import Desk

pytestmark = pytest.mark.slow

PING = {"kind": "maintenance.ping", "params": {"message": "hi"}}


def test_a_schedule_is_made_changed_run_and_deleted(desk: Desk) -> None:
    """What is refused is named by its path in the body."""
    with Switchyard(f"http://{desk.address}", desk.alice.key) as client:
        made = client.schedules.create(PING, cron="0 6 * * MON", time_zone="Africa/Maputo", catch_up="skip", name="n")
        assert (made, "skip", 0) == (client.schedules.get(made.id), made.catch_up, made.jobs_made)
        assert made.next_at is not None
        assert (0, 4) == (made.next_at.weekday(), made.next_at.hour)
        with pytest.raises(InputRejected) as refused:
            client.schedules.create({"kind": "maintenance.ping", "params": {"message": 5}}, cron="nonsense")
        assert {"cron", "job.params.message"} == {error.field for error in refused.value.errors}
        off = client.schedules.edit(made.id, enabled=False, every_s=60)
        assert (None, 60, None) == (off.cron, off.every_s, off.next_at)
        job = client.schedules.run_now(made.id, idempotency_key="k")
        assert (made.id, True) == (
            job.labels["schedule"],
            client.schedules.run_now(made.id, idempotency_key="k").replayed,
        )
        page = client.schedules.list(enabled=False, limit=1)
        assert ([job.id], made.id) == ([one.last_job_id for one in page.schedules], page.next_cursor)
        client.schedules.delete(made.id)
        with pytest.raises(NotFound):
            client.schedules.get(made.id)


def test_a_schedule_of_a_loop(desk: Desk) -> None:
    async def work() -> None:
        async with AsyncSwitchyard(f"http://{desk.address}", desk.alice.key) as client:
            made = await client.schedules.create(PING, every_s=3600)
            assert (await client.schedules.edit(made.id, name="n")).name == "n"
            assert [made.id] == [one.id for one in (await client.schedules.list()).schedules]
            job = await client.schedules.run_now(made.id)
            assert job.id == (await client.schedules.get(made.id)).last_job_id
            await client.schedules.delete(made.id)

    asyncio.run(work())


def test_schedules_by_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Its input is added to, and what was not named stays."""

    def command(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--url", f"http://{desk.address}", "--key", desk.alice.key, "schedules", *arguments])
        assert 0 == ended.value.code
        lines = capsys.readouterr().out.splitlines()
        return "\n".join(line for line in lines if not line.startswith("level="))  # the server writes there as well

    crawl = ("--param", "url=https://example.org/", "--param", "since=last", "--unique-key", "example.org")
    made = command("create", "crawling.site", "--cron", "0 3 * * *", "--time-zone", "Africa/Maputo", *crawl)
    assert "next" in command("show", made)
    edited = command("edit", made, "--param", "max_pages=50", "--priority", "20", "--disable", "-o", "json")
    job = json.loads(edited)["job"]
    assert {"url": "https://example.org/", "since": "last", "max_pages": 50} == job["params"]
    assert (20, "example.org", False) == (job["priority"], job["unique_key"], json.loads(edited)["enabled"])
    [row] = json.loads(command("list", "--json"))["schedules"]
    assert made == row["id"]
    assert ["disabled", "0 3 * * * Africa/Maputo"] == command("list").splitlines()[1].split("\t")[4:2:-1]
    assert command("run", made)
    assert f"{made} deleted" == command("delete", made)
