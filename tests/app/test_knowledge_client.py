"""The client and the command search what is known, against the front door itself."""

import json
from pathlib import Path

import pytest

from client import NotFound, Switchyard
from client.command import main
from tasks.core.egress import Egress
from tasks.core.ledger.tenants import Tenant
from tests.app.desk import Desk
from tests.knowledge.house import House, documents

pytestmark = pytest.mark.slow


@pytest.fixture
def house(desk: Desk, tmp_path: Path) -> House:
    """Alice's knowledge behind the door."""
    house = House(desk.services.kernel.ledger, Tenant(desk.alice.tenant_id, ""), tmp_path, Egress())
    house.update(documents=documents())
    return house


def test_a_site_is_searched_by_the_client_and_the_command(
    desk: Desk, house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the source of what was found."""
    address = f"http://{desk.address}"
    with Switchyard(address, desk.alice.key) as client:
        found = client.knowledge.search("handbook", "hotel price", top_k=1)
        assert ["travel"] == [passage.document_id for passage in found.results]
        assert ["handbook"] == [site["site"] for site in client.knowledge.status().sites]
        assert ("knowledge.reindex", "queued") == ((job := client.knowledge.reindex("handbook")).kind, job.state)
        with pytest.raises(NotFound):
            client.knowledge.search("other", "x")

    def command(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--url", address, "--key", desk.alice.key, "search", *arguments])
        assert not ended.value.code
        return capsys.readouterr().out

    found_here = command("handbook", "hotel price", "-n", "1")
    assert "1. Travel > Hotels\n   https://handbook.example/travel\n" in found_here
    assert "120 euros" in found_here
    told = command("handbook", "hotel", "--json").splitlines()[-1]
    assert "travel" == json.loads(told)["results"][0]["document_id"]
