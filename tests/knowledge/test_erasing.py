"""A site that is let go, whole."""

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tasks.core.errors import NotFound, Transient
from tasks.core.ledger import tenants
from tasks.knowledge.store.reading import standings
from tasks.knowledge.store.tables import chunks, embeddings, pages, sites
from tests.knowledge.house import SITE, House, documents


def test_a_site_is_erased(house: House) -> None:
    """Nothing of it is left, nothing of others goes, and it may be made anew."""
    house.update(documents=documents())
    house.update(delete=["tea"])
    house.update(site="other", documents=documents())
    alice, house.tenant = house.tenant, tenants.named(house.ledger, "bob")
    with pytest.raises(NotFound, match="No site 'handbook' is known"):
        house.update(erase=True)
    house.tenant = alice
    done = house.update(erase=True)
    assert (2, "ngrams-1024-1") == (done.deleted, done.model)
    assert ["other"] == [one.site for one in standings(house.ledger, alice.id)]
    assert "knowledge.updated" == house.jobs[-1].emissions.emitted[0].type
    with house.ledger.read() as connection:
        left = [
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (sites, pages, chunks, embeddings)
        ]
    assert [1, 3, 4, 4] == left
    assert 3 == house.update(documents=documents()).added


def test_whoever_takes_something_in_meanwhile_tries_again(house: House) -> None:
    """Its site is not there any more."""
    house.update(documents=documents())
    job = house.job()
    keeper = house.keeper(job)
    site = keeper.open_site(SITE, house.embedder.model)
    house.update(erase=True)
    with pytest.raises(Transient, match="was deleted meanwhile"):
        keeper.remove(site, ["tea"])


@pytest.mark.parametrize("more", [{"documents": documents()}, {"delete": ["tea"]}, {"force": True}, {"site": None}])
def test_erase_stands_alone(house: House, more: dict[str, object]) -> None:
    """Nobody who names anything else means all of it."""
    with pytest.raises(ValidationError, match="erase takes a site and nothing else"):
        house.update(**({"erase": True} | more))
