"""``switchyard tools`` and the client's tools, against the real front door."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.openapi import API
from app.services import Services, services_of
from client import AsyncSwitchyard, ConfirmationRequired, InputRejected, NotFound, Switchyard
from client.command import main
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState
from tasks.discovery.contract import RUN
from tasks.discovery.store.tools import find_named
from tasks.discovery.tool import Effect
from tests.app.conftest import Caller, claim, finish
from tests.app.streams.house import served
from tests.discovery.tools import SITE, a_tool, record

Command = Callable[..., int]


@pytest.fixture
def url(app: API) -> Iterator[str]:
    """Where the front door answers."""
    with served(app) as address:
        yield f"http://{address}"


@pytest.fixture
def client(url: str, alice: Caller) -> Iterator[Switchyard]:
    """A tenant's client."""
    with Switchyard(url, alice.key) as client:
        yield client


@pytest.fixture
def switchyard(url: str, alice: Caller) -> Command:
    """Run one command; return its exit code."""

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["--url", url, "--key", alice.key, *arguments])
        return int(str(ended.value.code))

    return run


@pytest.fixture
def ids(app: API, alice: Caller) -> dict[str, str]:
    """The ids of two tools of alice's."""
    ledger = services_of(app).kernel.ledger
    record(ledger, Tenant(alice.tenant_id, ""), a_tool(), a_tool("close_account", effect=Effect.DESTROY))
    return {name: find_named(ledger, alice.tenant_id, SITE, name).id for name in ("search_products", "close_account")}


@pytest.fixture
def worker(services: Services, alice: Caller) -> Iterator[Callable[[Any], None]]:
    """Ends the next run with an output, in a thread of its own."""
    threads: list[threading.Thread] = []

    def next_run(value: Any) -> None:
        threads.append(threading.Thread(target=_run, args=(services, alice.tenant_id, value), daemon=True))
        threads[-1].start()

    yield next_run
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def _run(services: Services, tenant_id: str, value: Any) -> None:
    queued = Filter(tenant_id=tenant_id, kind=RUN, states=[JobState.QUEUED])
    for _ in range(1500):
        found = queries.listing(services.kernel.ledger, queued, limit=1).jobs
        if found:
            finish(services.kernel, claim(services.kernel, found[0].id), result={"value": value})
            return
        threading.Event().wait(0.02)


def test_tools_are_listed_shown_and_deleted(client: Switchyard, ids: dict[str, str]) -> None:
    """By the client."""
    page = client.tools.page("searching the catalogue", effect="read")
    assert (["search_products"], 1) == ([tool.name for tool in page.tools], page.total)
    found = client.tools.show(ids["search_products"])
    assert (SITE, 0, None) == (found.site, found.uses, found.statistics.success_rate)
    assert 2 == len(client.tools.recommended())
    client.tools.delete(found.id)
    with pytest.raises(NotFound):
        client.tools.show(found.id)
    with pytest.raises(ConfirmationRequired):
        client.tools.delete_site(SITE)
    assert 1 == client.tools.delete_site(SITE, confirm=True)


def test_a_tool_is_run(client: Switchyard, ids: dict[str, str], worker: Callable[[Any], None]) -> None:
    """Its output is returned; arguments that do not fit are refused before that."""
    worker({"items": ["tea"]})
    assert {"items": ["tea"]} == client.tools.run(ids["search_products"], {"q": "tea"})
    with pytest.raises(InputRejected) as refused:
        client.tools.run(ids["search_products"], {"sort": "colour"})
    assert {"arguments.q", "arguments.sort"} == {error.field for error in refused.value.errors}
    with pytest.raises(InputRejected):
        client.tools.run(ids["close_account"], {"q": "x"})


def test_a_tool_is_run_with_await(url: str, alice: Caller, ids: dict[str, str], worker: Callable[[Any], None]) -> None:
    """By the asyncio client, which has the same methods."""

    async def conversation() -> None:
        async with AsyncSwitchyard(url, alice.key) as client:
            worker("tea")
            assert "tea" == await client.tools.run(ids["search_products"], {"q": "tea"})
            assert [SITE] == [tool.site for tool in (await client.tools.page("catalogue", effect="read")).tools]
            assert 2 == len(await client.tools.recommended())
            assert "search_products" == (await client.tools.show(ids["search_products"])).name
            assert "tools" in json.loads(await client.tools.export("mcp"))
            await client.tools.delete(ids["search_products"])
            assert 1 == await client.tools.delete_site(SITE, confirm=True)

    asyncio.run(conversation())


def test_an_exported_module_runs_tools(client: Switchyard, ids: dict[str, str], worker: Callable[[Any], None]) -> None:
    """As it comes from the server."""
    module: dict[str, Any] = {}
    exec(client.tools.export("python", site=SITE), module)  # noqa: S102  # it is ours
    worker(["tea"])
    assert ["tea"] == module["shop_example__search_products"](client, q="tea", sort="price")


def test_advice_is_printed(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """First what to run, then why, then what to type."""
    assert 0 == switchyard("advise", "--sites", "60", "--people", "4")
    lines = capsys.readouterr().out.splitlines()
    head = lines.index("queue: 2 workers, 4 jobs at a time, sqlite")  # the server's log is there, too
    assert "- 60 sites: the queue, with 2 workers." == lines[head + 1]
    assert "  celery -A tasks worker -Q crawler  # 2 of it" == lines[-1]
    assert 0 == switchyard("advise", "--jobs-per-day", "300", "--no-redis")
    assert any(line.startswith("! The queue would be better") for line in capsys.readouterr().out.splitlines())


def test_commands_list_show_run_and_delete(
    switchyard: Command,
    ids: dict[str, str],
    worker: Callable[[Any], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For people, and with --json for scripts."""
    assert 0 == switchyard("tools", "list", "--json")
    assert 2 == len(json.loads(capsys.readouterr().out.splitlines()[-1])["tools"])
    assert 0 == switchyard("tools", "list", "catalogue", "--site", SITE, "--recommended")
    assert "shop_example__search_products" in capsys.readouterr().out
    assert 0 == switchyard("tools", "show", ids["search_products"])
    assert "(required)" in capsys.readouterr().out
    worker({"found": 5})
    assert 0 == switchyard("tools", "run", ids["search_products"], "q=5", "sort=price")
    assert capsys.readouterr().out.endswith('{\n  "found": 5\n}\n')
    assert 2 == switchyard("tools", "run", ids["close_account"], "q=x")
    assert 0 == switchyard("tools", "export", "functions", "-o", str(tmp_path / "a.json"))
    assert 2 == len(json.loads((tmp_path / "a.json").read_text()))
    assert 0 == switchyard("tools", "rm", ids["search_products"])
    assert 4 == switchyard("tools", "show", ids["search_products"])
    assert 2 == switchyard("tools", "rm", "--site", SITE)
    assert 0 == switchyard("tools", "rm", "--site", SITE, "--yes")
    assert 2 == switchyard("tools", "rm")
